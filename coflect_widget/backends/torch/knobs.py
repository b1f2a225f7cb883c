"""The knobs of a torch model: values of the optimizer's groups, and frozen layers.

A frozen layer's weights get no gradient, and its batch normalisation keeps its statistics: it
normalises by them, as ``trainable = False`` does in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from coflect_widget.backends.knobs import (
    MOST_LAYERS,
    OptimizerKnobs,
    OptimizerValues,
    Values,
    folded_layers,
    of_values,
    unknown,
)
from coflect_widget.events import KnobTurn, LayerState

#: Numbers of a group that are a schedule's, or the optimizer's way of computing.
_NOT_TURNED = {
    "initial_lr", "max_lr", "min_lr", "base_lr", "max_momentum", "base_momentum", "min_momentum",
}  # fmt: skip


class TorchKnobs(OptimizerKnobs):
    """Implements `backends.knobs.Knobs`.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    scheduler : LRScheduler or None
    try_batch : callable (rows)
        Raises where the model cannot train on a batch of so many rows.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        try_batch: Callable[[int], None],
    ) -> None:
        self._model = getattr(model, "_orig_mod", model)  # of one that is compiled
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._try_batch = try_batch
        self.values = OptimizerValues(self.now, self._write)
        self._settling: Any = None  # the hook that has turns hold against others
        #: as they were before any layer was frozen, by id: weight, whether it was trained
        self._before: dict[int, tuple[nn.Parameter, bool]] = {}
        self._held: dict[int, tuple[nn.Module, Any]] = {}  # modules that keep their statistics

    # --- values ------------------------------------------------------------------------------

    def names(self) -> list[str]:
        found: list[str] = []
        for key in self._optimizer.param_groups[0]:
            values = [group.get(key) for group in self._optimizer.param_groups]
            if key in _NOT_TURNED:
                continue
            if key == "betas" and all(_numbers(value) for value in values):
                found += [f"beta{place + 1}" for place in range(len(values[0] or ()))]
            elif all(_is_number(value) for value in values):
                found.append(key)
        return found

    def scheduled(self, name: str) -> str:
        cycles = isinstance(self._scheduler, OneCycleLR | CyclicLR)
        cycles = cycles and getattr(self._scheduler, "cycle_momentum", False)
        if self._scheduler is None or not (name == "lr" or (cycles and name in _CYCLED)):
            return ""
        return type(self._scheduler).__name__

    def now(self, name: str) -> Values:
        if name.startswith("beta") and "betas" in self._optimizer.param_groups[0]:
            place = int(name[4:]) - 1
            return [float(group["betas"][place]) for group in self._optimizer.param_groups]
        return [float(group[name]) for group in self._optimizer.param_groups]

    def _write(self, name: str, values: Values) -> None:
        for group, value in zip(self._optimizer.param_groups, values, strict=True):
            if name.startswith("beta") and "betas" in group:
                betas = list(group["betas"])
                betas[int(name[4:]) - 1] = value
                group["betas"] = tuple(betas)
            elif isinstance(group[name], torch.Tensor):  # of an optimizer that is compiled
                group[name].fill_(value)
            else:
                group[name] = value

    # --- layers ------------------------------------------------------------------------------

    def layers(self) -> list[LayerState]:
        found: list[LayerState] = []
        for name, module in self._model.named_modules():
            weights = list(module.parameters())
            if name and weights and len(found) < MOST_LAYERS:
                count = sum(p.numel() for p in weights)
                held = sum(p.numel() for p in weights if not p.requires_grad)
                found.append(LayerState(name=name, weights=count, frozen=held / max(count, 1)))
        return found

    def _weights(self, layer: str) -> list[nn.Parameter]:
        """The weights of a module, or one weight, by its name."""
        weights = [
            weight
            for name, weight in self._model.named_parameters()
            if name == layer or name.startswith(f"{layer}.")
        ]
        if not weights:
            modules = dict(self._model.named_modules())
            if layer in modules and layer:
                raise ValueError(f"layer {layer!r} has no weights; there is nothing to freeze")
            known = [n for n, m in modules.items() if n and next(m.parameters(), None) is not None]
            known += [name for name, _ in self._model.named_parameters()]
            raise unknown(layer, known, "layer")
        return weights

    def _statistics(self, turns: Sequence[KnobTurn]) -> dict[int, nn.Module]:
        """Modules with running statistics that shall keep them."""
        held: dict[int, nn.Module] = {}
        for turn in turns:
            for layer in turn.layers if turn.name in ("freeze", "unfreeze") else ():
                for name, module in self._model.named_modules():
                    inside = name == layer or name.startswith(f"{layer}.")
                    if inside and getattr(module, "running_mean", None) is not None:
                        if turn.name == "freeze":
                            held[id(module)] = module
                        else:
                            held.pop(id(module), None)
        return held

    # --- both --------------------------------------------------------------------------------

    def check(self, turns: Sequence[KnobTurn]) -> None:
        self.values.plan(of_values(turns))
        self._planned(turns)

    def put(self, turns: Sequence[KnobTurn]) -> None:
        self.check(turns)
        wanted = self._planned(turns)
        self._before = self._before or self._trained()
        self.values.put(of_values(turns))
        self._settle()
        for weight, trained in wanted.values():
            if weight.requires_grad != trained:
                weight.requires_grad_(trained)
                weight.grad = None  # else the optimizer would go on with an old one
        if not any(turn.layers for turn in turns):
            self._before = {}
        self._hold(self._statistics(turns))

    def kept(self) -> dict[str, Any]:
        names = {id(p): name for name, p in self._model.named_parameters()}
        trained = {names[key]: was for key, (_, was) in self._before.items() if key in names}
        return {"values": self.values.kept(), "trained": trained}

    def take(self, turns: Sequence[KnobTurn], kept: Mapping[str, Any]) -> None:
        self.values.take(of_values(turns), kept["values"])
        for name, weight in self._model.named_parameters():
            if name in kept["trained"]:
                weight.requires_grad_(bool(kept["trained"][name]))
        self._before = {}
        self.put(turns)

    def _settle(self) -> None:
        """Look before each step whether a schedule that is not the session's has set a value."""
        if self.values.any and self._settling is None:
            self._settling = self._optimizer.register_step_pre_hook(lambda *_: self.values.settle())
        elif not self.values.any and self._settling is not None:
            self._settling.remove()
            self._settling = None

    def _planned(self, turns: Sequence[KnobTurn]) -> dict[int, tuple[nn.Parameter, bool]]:
        """Each weight, and whether it is to be trained."""
        if not self._before and not any(turn.layers for turn in turns):
            return {}
        frozen = folded_layers(turns, self._weights)
        wanted = {
            key: (weight, not frozen[key] if key in frozen else trained)
            for key, (weight, trained) in (self._before or self._trained()).items()
        }
        known = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        for key, (_, trained) in wanted.items():
            if trained and key in frozen and key not in known:
                name = next(n for n, p in self._model.named_parameters() if id(p) == key)
                raise ValueError(
                    f"{name} is not among the optimizer's weights, so that it would not be "
                    "trained; make the optimizer of model.parameters(), all of them, and freeze "
                    "what is to wait"
                )
        if frozen and not any(trained and key in known for key, (_, trained) in wanted.items()):
            raise ValueError("nothing would be left to train; leave at least one layer unfrozen")
        return wanted

    def _trained(self) -> dict[int, tuple[nn.Parameter, bool]]:
        """Each weight, and whether it is trained."""
        return {id(p): (p, p.requires_grad) for p in self._model.parameters()}

    def _hold(self, wanted: dict[int, nn.Module]) -> None:
        for key in self._held.keys() - wanted.keys():
            module, handle = self._held.pop(key)
            handle.remove()
            module.training = self._model.training
        for key, module in wanted.items():
            held_by_user = self._model.training and not module.training
            if key not in self._held and not held_by_user:
                module.training = False
                # An evaluation, or a loop of one's own, puts all of a model into train mode.
                handle = module.register_forward_pre_hook(_keep_statistics)
                self._held[key] = (module, handle)

    def check_batch_size(self, batch_size: int) -> None:
        try:
            self._try_batch(batch_size)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"batch_size={batch_size} leaves a batch of one sample, on which this model cannot "
                f"train ({str(error).splitlines()[0]}); take a larger one"
            ) from error


_CYCLED = ("momentum", "beta1")


def _keep_statistics(module: nn.Module, _: Any) -> None:
    if module.training:
        module.training = False


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and value.is_floating_point()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(map(_is_number, value))
