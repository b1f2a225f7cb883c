"""A callback for Lightning's Trainer.

Lightning shows a callback neither logits nor a way to change the loss. The logits come from a
forward hook; the guidance's gradient is added to the parameters' just before Lightning adds
that of the loss.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from coflect_widget.backends.base import MissingFrameworkError
from coflect_widget.backends.torch.tap import ForwardTap, add_gradient, targets_of
from coflect_widget.training.own_loop import OwnLoop

_TARGET_NAMES = ("y", "label", "labels", "target", "targets")
_INDEX_NAMES = ("index", "indices", "idx")


def make_callback(own: OwnLoop) -> Any:
    """See `Session.lightning_callback`."""
    backend: Any = own.backend
    if not isinstance(backend.model, torch.nn.Module):
        raise TypeError("lightning_callback() is for sessions whose model is a torch.nn.Module")
    return type("CoflectCallback", (_Hooks, _base_class()), {})(own)


def _base_class() -> type:
    for name in ("lightning.pytorch.callbacks", "pytorch_lightning.callbacks"):  # new and old
        try:
            found: type = importlib.import_module(name).Callback
        except ImportError:
            continue
        return found
    raise MissingFrameworkError(
        "lightning_callback() needs Lightning, which is not installed; run: pip install lightning"
    )


class _Hooks:
    """Lightning's hooks, in the order in which it calls them."""

    def __init__(self, own: OwnLoop) -> None:
        self._own = own
        self._backend: Any = own.backend
        self._resources = ExitStack()
        self._tap: ForwardTap | None = None
        self._next_indices: Callable[[], Any] = _unknown
        self._indices: Any = None
        self._targets: Any = None
        self._guided = False

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Before the loader is asked for: what it gives must be followed from the first batch."""
        if not any(m is self._backend.model for m in module.modules()):
            raise ValueError(
                "the session's model is neither the LightningModule that is fitted nor a module "
                "in it; make the session from that module, for example Session(module.model, ...)"
            )
        strategy = trainer.strategy
        if trainer.world_size > 1 and "DDP" not in type(strategy).__name__:
            raise ValueError(
                f"lightning_callback() cannot follow {type(strategy).__name__}, whose processes "
                "have a part of the weights each; use Trainer(strategy='ddp')"
            )
        source = getattr(trainer.fit_loop, "_data_source", None)
        if source is None:  # another version of Lightning; batches must bring their indices
            return
        ask, process = source.dataloader, strategy.process_dataloader
        asked = [False]

        def loader_asked_for() -> Any:
            asked[0] = True
            return ask()

        def followed(loader: Any) -> Any:
            """The loader as it will be gone through, with the sampler of several processes."""
            loader = process(loader)
            if asked[0]:
                asked[0] = False
                self._next_indices = self._resources.enter_context(self._backend.follow(loader))
            return loader

        source.dataloader, strategy.process_dataloader = loader_asked_for, followed
        self._resources.callback(lambda: vars(source).pop("dataloader", None))
        self._resources.callback(lambda: vars(strategy).pop("process_dataloader", None))

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
        """Lightning saves what is its own; what is the session's is saved beside it."""
        if self._own.open:
            self._own.save()

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if trainer.global_step and trainer.accumulate_grad_batches == 1:
            self._own.at_step(trainer.global_step)
        going_on = self._own.begin(
            steps=_whole(trainer.num_training_batches) * max(trainer.max_epochs or 0, 0),
            steps_per_epoch=_whole(trainer.num_training_batches),
        )
        if not going_on:
            trainer.should_stop = True
            return
        self._tap = ForwardTap(self._backend.model)
        self._resources.callback(self._tap.remove)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        indices = self._next_indices()
        self._indices = _part(batch, 2, _INDEX_NAMES) if indices is None else indices
        found = _part(batch, 1, _TARGET_NAMES)
        known = isinstance(found, Tensor)
        self._targets = found if known else targets_of(self._backend, self._own.task, self._indices)
        self._guided = False

    def on_before_backward(self, trainer: Any, module: Any, loss: Tensor) -> None:
        tap = self._tap
        if tap is None or tap.inputs is None or self._guided or not self._own.open:
            return
        self._guided = True
        share = trainer.accumulate_grad_batches
        with tap.off():
            term = self._own.guidance_loss(tap.inputs, self._targets, loss * share)
            if isinstance(term, Tensor):
                add_gradient(term / share, self._backend.model)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        tap = self._tap
        if tap is None or not self._own.open:
            return
        if tap.logits is not None:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
            self._own.observe(
                self._indices,
                tap.logits,
                self._targets,
                None if loss is None else loss * trainer.accumulate_grad_batches,
            )
            tap.forget()
        if not self._own.step_done():
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        found = {
            ours: metrics[theirs]
            for theirs, ours in (
                ("val_loss", "loss"), ("val_acc", "accuracy"), ("val_accuracy", "accuracy"),
            )
            if theirs in metrics
        }  # fmt: skip
        if not self._own.epoch_done(found or None):
            trainer.should_stop = True

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._own.end("finished")
        self._resources.close()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._own.end("stopped")
        else:
            self._own.end("failed", exception)
        self._resources.close()


def _part(batch: Any, place: int, names: tuple[str, ...]) -> Any:
    if isinstance(batch, Mapping):
        return next((batch[name] for name in names if name in batch), None)
    return batch[place] if isinstance(batch, list | tuple) and len(batch) > place else None


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**31 else 0


def _unknown() -> None:
    return None
