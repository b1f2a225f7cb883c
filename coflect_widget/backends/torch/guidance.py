"""Strokes as loss terms for PyTorch models.

Every few steps a small second pass sees some rows again. What is to be ignored is swapped there
with the same place of another picture, and the prediction shall stay the same and right
(counterfactual fill, in the spirit of Plumb et al., "Finding and Fixing Spurious Patterns with
Explanations", 2022; what is penalised is the total-effect index of Sobol, 1993: the share of
the prediction's variance that hangs on the place). Or the gradient of the prediction with
respect to those pixels is penalised (Ross, Hughes and Doshi-Velez, "Right for the Right
Reasons", 2017). What is to be looked at shall hold the energy of the class activation map (Rao
et al., "Studying How to Efficiently and Effectively Guide Models with Explanations", 2023).

No step fails by it: a term that raises or is not finite is out of force from then on.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coflect_widget.backends.torch.checked_terms import (
    UNKNOWN,
    Checked,
    accumulate,
    cleared,
    differentiate,
    sent,
    summand,
)
from coflect_widget.backends.torch.layers import find_layer
from coflect_widget.backends.torch.passes import GuidedPasses
from coflect_widget.backends.torch.plan import on_device
from coflect_widget.backends.torch.quiet import (
    held_statistics,
    normalises_by_batch,
    quiet,
    refresh_statistics,
)
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.in_force import InForce
from coflect_widget.guidance.plan import Plan, ReadRows, make_plan
from coflect_widget.guidance.rows import RowChooser
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.terms import (
    NORMALISED_ROWS,
    OUTSIDE,
    REFRESH,
    Turn,
    choose,
    turn,
)

#: Factor on a term before its backward pass in float16, so that small gradients do not vanish;
#: it shrinks, down to 1, where large ones do not fit.
HALF_SCALE, SHRINK = 1024.0, 4.0


@dataclass(frozen=True, slots=True)
class _Batch:
    """What `loss` is given of one step."""

    inputs: Tensor  # (B, C, H, W)
    targets: Tensor  # (B,) or (B, classes)
    indices: Tensor | None  # (B,)


class TorchGuidance(InForce):
    """Turns the guidance in force into a loss term.

    Parameters
    ----------
    model : torch.nn.Module
        Classifier that maps (B, C, H, W) to logits (B, classes).
    read_rows : callable
        Indices -> inputs (n, C, H, W) and labels (n,) on the model's device.
    image_size : (int, int)
        H and W of the inputs.
    config : GuidanceConfig
    seed : int
        Decides which rows are guided and with whom they are swapped.
    device : str or torch.device
    """

    def __init__(
        self,
        model: nn.Module,
        read_rows: ReadRows,
        image_size: tuple[int, int],
        config: GuidanceConfig,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self.model = model
        self._read_rows = read_rows
        self._image_size = image_size
        self._config = config
        self._seed = seed
        self._device = torch.device(device)
        self._rows = RowChooser(seed)
        self._passes = GuidedPasses(model, self._device)
        self._plan: Plan[Tensor] | None = None
        self._terms: list[str] = []
        self._steps = self._held = 0  # since the state was set
        self._layer_known = False
        self._twice: bool | None = None  # whether the input gradient has a derivative
        self._whole = False  # whether only a whole backward pass gives a gradient
        self._looks = self._device.type == "cpu"  # elsewhere to look at a value is to wait
        self._sent: list[tuple[Tensor, Turn]] = []  # verdicts on their way from the device
        self._scale = HALF_SCALE

    # --- taking orders -----------------------------------------------------------------------

    def set_state(self, state: GuidanceState) -> str:
        """See `InForce.set_state`."""
        known = len(self.warnings)
        chosen = choose(
            make_plan(state, self._read_rows, self._image_size),
            self._config,
            self._find_layer,
            self._twice_differentiable,
            self._warn,
        )
        self._state, self._fills_outside = state, OUTSIDE in chosen.words
        self._rows.restart()  # what follows depends on `state` alone
        self._passes.restart()
        self._steps = self._held = 0
        self._sent = []
        self._plan = None if chosen.plan is None else on_device(chosen.plan, self._device)
        self._terms = chosen.terms
        self.active = bool(chosen.terms)
        said = self.warnings[known:]
        return ", ".join(chosen.words) + (f" ({'; '.join(said)})" if said else "")

    def kept(self) -> dict[str, Any]:
        """See `InForce.kept`; tensors are not copied."""
        plan = self._plan
        return {
            "rows": self._rows.kept(),
            "steps": self._steps,
            "held": self._held,
            "whole": self._whole,
            "scale": self._scale,
            "passes": self._passes.kept(),
            "plan": None
            if plan is None or not len(plan.samples)
            else {"samples": plan.samples, "inputs": plan.inputs, "labels": plan.labels},
        }

    def _take(self, kept: Mapping[str, Any]) -> None:
        self._rows.take(kept["rows"])
        self._steps, self._held = kept["steps"], kept["held"]
        self._whole, self._scale = kept["whole"], kept["scale"]
        self._passes.take(kept["passes"])

    def _nothing_in_force(self) -> None:
        self._plan, self._terms = None, []

    def _find_layer(self) -> str | None:
        """The layer whose map is guided; found once, on a copy, so that the model stays as is."""
        if not self._layer_known:
            self._layer_known = True
            shape = tuple(self._read_rows([0])[0].shape[1:])
            try:
                self._passes.layer = find_layer(copy.deepcopy(self.model).cpu().eval(), shape)
                self._rehearse_map()
            except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
                self._passes.layer = None
                self._warn(f"look: no class activation map ({error})")
        layer = self._passes.layer
        return None if layer is None else layer.name

    def _rehearse_map(self) -> None:
        """Raise where the map cannot be trained through."""
        x, labels = self._read_rows([0, 0])  # two, for models that normalise by the batch
        with torch.enable_grad():
            energy = self._passes.maps(x, labels.clamp(min=0))[0].sum()
            found = torch.autograd.grad(energy, self._parameters(), allow_unused=True)
        if all(gradient is None for gradient in found):
            raise RuntimeError(f"that of {self._passes.layer} depends on no weight")

    def _twice_differentiable(self) -> bool:
        if self._twice is None:
            x = self._read_rows([0, 0])[0].clone()
            try:
                with torch.enable_grad():
                    energy = self._passes.energy_of_pixels(x)[0].sum()
                    found = torch.autograd.grad(energy, self._parameters(), allow_unused=True)
                # some functions do not refuse, they only cut the gradient off
                self._twice = any(gradient is not None for gradient in found)
            except Exception:  # noqa: BLE001 - whatever the model does, there is another way
                self._twice = False
        return self._twice

    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    # --- one step ----------------------------------------------------------------------------

    def exchange(self, inputs: Tensor, targets: Tensor, indices: Tensor | None = None) -> Tensor:
        """The batch to train on: what is to be ignored everywhere is exchanged among its rows.

        So nothing is left to gain from it, at no cost in time. Call the model on what comes back
        within `hold`, and then `loss` with ``exchanged=True``.

        Parameters
        ----------
        inputs, targets, indices
            As for `loss`.

        Returns
        -------
        Tensor (B, C, H, W)
            `inputs` itself where there is nothing to exchange.
        """
        plan = self._plan
        if plan is None or "fill" not in self._terms or not plan.reaches_others:
            return inputs
        if len(inputs) < 2:
            return inputs
        try:
            with torch.no_grad():
                seen: Tensor = self._rows.counterfactual(plan, inputs, targets, indices)
                return seen
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            self.fail("exchange", error)
            return inputs

    @contextlib.contextmanager
    def hold(self, inputs: Tensor) -> Iterator[None]:
        """Keep exchanged rows out of the running statistics; show them `inputs` now and then."""
        with held_statistics(self.model) as has_statistics:
            yield
        self._held += 1
        if has_statistics and self._held % REFRESH == 0:
            try:
                refresh_statistics(self.model, inputs, REFRESH)
            except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
                self.fail("exchange", error)

    def loss(
        self,
        inputs: Tensor,
        targets: Tensor,
        task_loss: Tensor,
        indices: Tensor | None = None,
        *,
        exchanged: bool = False,
    ) -> Tensor | None:
        """The term to add to the task loss of this step.

        Called in train mode, after the main forward pass. Neither the statistics of
        normalisation layers nor the global random state change, and no hook stays.

        Parameters
        ----------
        inputs : Tensor (B, C, H, W)
        targets : Tensor (B,) of int or (B, classes) of probabilities
        task_loss : Tensor ()
            Detached; the strength is relative to what it was before any shortcut was found.
        indices : Tensor (B,) of int64, optional
            Places of the rows in the training data, for artefacts that were found there.
        exchanged : bool
            The task loss is that of an exchanged batch already.

        Returns
        -------
        Tensor () or None
            Finite, and so is its gradient, which is computed already: its backward pass cannot
            fail. None where nothing is in force, and in the steps between two guided ones.
        """
        if not self.active or self._plan is None:
            return None
        batch = _Batch(inputs, targets, indices)
        now: Turn | None = None
        try:
            self._hear(batch)
            now = self._turn(len(inputs), task_loss, exchanged=exchanged)
            checked = None if now is None else self._checked(now, batch)
            if now is None or checked is None:
                return None
            return self._sound(now, batch, checked, task_loss)
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            if now is None:
                self.fail("", error)
            else:
                self.fail(now.term, error, partial(self._fails, now, batch))
            return None

    def _turn(self, rows: int, task_loss: Tensor, *, exchanged: bool) -> Turn | None:
        plan = self._plan
        if plan is None:  # out of force just now
            return None
        self._passes.remember(task_loss)
        steps, self._steps = self._steps, self._steps + 1
        return turn(
            self._terms,
            steps,
            rows,
            self._config.replay_share,
            exchanged=exchanged,
            found_all=plan.found_all,
        )

    def _checked(self, now: Turn, batch: _Batch) -> Checked | None:
        """The term and its gradients; None where no row has a stroke."""
        parameters = self._parameters()
        scale = self._scale if _in_half(self._device.type) else 1.0
        # The backward pass may compute layers again, where they are checkpointed.
        with torch.enable_grad(), quiet(self.model, self._device):
            for backward in (accumulate,) if self._whole else (differentiate, accumulate):
                term = self._term(now, batch)
                if term is None:
                    return None
                try:
                    checked = backward(now.gain * term, parameters, scale)
                except RuntimeError:
                    if backward is accumulate:
                        raise
                else:
                    self._whole = backward is accumulate
                    return checked
        return None

    def _term(self, now: Turn, batch: _Batch) -> Tensor | None:
        plan = self._plan
        if plan is None:
            return None
        least = NORMALISED_ROWS if normalises_by_batch(self.model) else 0
        x, y = batch.inputs, batch.targets
        if now.term == "fill":
            with torch.no_grad():
                pairs = self._rows.swapped(plan, x, y, batch.indices, now.rows, least // 2)
            return None if pairs is None else self._passes.fill(pairs)
        kind = "ignore" if now.term == "slopes" else "look"
        with torch.no_grad():
            rows = self._rows.marked(plan, kind, x, y, now.rows, least)
        if rows is None:
            return None
        if now.term == "activation":
            return self._passes.activation(rows)
        return self._passes.slopes(rows, inside=now.term == "slopes inside")

    def _sound(
        self, now: Turn, batch: _Batch, checked: Checked, task_loss: Tensor
    ) -> Tensor | None:
        """The term where it is finite; where looking would wait for the device, 0 if not."""
        if not self._looks:
            self._sent.append((sent(checked.finite | ~task_loss.isfinite()), now))
            return summand(cleared(checked), self._parameters())
        if bool(checked.finite):
            return summand(checked, self._parameters())
        if math.isfinite(task_loss.item()):  # or it is the batch that is not finite
            self._not_finite(now, batch, checked.value.item())
        return None

    def _hear(self, batch: _Batch) -> None:
        """Take in what the device has told meanwhile of earlier terms."""
        if not self._sent:
            return
        arrived = [(int(verdict), verdict, now) for verdict, now in self._sent]
        self._sent = [(verdict, now) for said, verdict, now in arrived if said == UNKNOWN]
        wrong = next((now for said, _, now in arrived if said == 0), None)
        if wrong is not None:
            self._not_finite(wrong, batch)

    # --- what fails ----------------------------------------------------------------------------

    def _not_finite(self, now: Turn, batch: _Batch, value: float = 0.0) -> None:
        if _in_half(self._device.type) and math.isfinite(value) and self._scale > 1:
            self._scale = max(1.0, self._scale / SHRINK)  # it may only have been too large
            return
        why = "has a gradient that is not finite" if math.isfinite(value) else f"is {value}"
        self.fail(now.term, why, partial(self._fails, now, batch))

    def _fails(self, now: Turn, batch: _Batch, state: GuidanceState) -> bool:
        """Whether the term fails with this in force."""
        alone = copy.copy(self)
        alone.warnings, alone.lapses = list(self.warnings), []
        alone._rows = RowChooser(self._seed)
        alone._passes = self._passes.anew()
        try:
            alone.set_state(state)
            alone._passes = self._passes.anew()  # with the task loss, which that made it forget
            checked = alone._checked(now, batch)
            return checked is not None and not bool(checked.finite)
        except Exception:  # noqa: BLE001 - that is what was asked
            return True


def _in_half(kind: str) -> bool:
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.half
