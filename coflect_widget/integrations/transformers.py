"""A callback for Hugging Face's Trainer.

Its callbacks are not shown what the model computed, so a forward hook is; the hook also adds
the guidance to the loss that the model gives, before the trainer scales and clips anything.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from coflect_widget.backends.base import MissingFrameworkError
from coflect_widget.backends.torch.tap import ForwardTap, add_gradient, targets_of
from coflect_widget.training.own_loop import OwnLoop


def make_callback(own: OwnLoop) -> Any:
    """See `Session.transformers_callback`."""
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingFrameworkError(
            "transformers_callback() needs transformers, which is not installed; "
            "run: pip install 'transformers[torch]'"
        ) from None
    backend: Any = own.backend
    if not isinstance(backend.model, torch.nn.Module):
        raise TypeError("transformers_callback() is for sessions whose model is a torch.nn.Module")
    hooks = _Hooks if backend.losses_of_output is None else _LossHooks
    return type("CoflectCallback", (hooks, TrainerCallback), {})(own)


class _Hooks:
    """The trainer's hooks, in the order in which it calls them."""

    def __init__(self, own: OwnLoop) -> None:
        self._own = own
        self._backend: Any = own.backend
        self._resources = ExitStack()
        self._tap: ForwardTap | None = None
        self._next_indices: Callable[[], Any] | None = None
        self._indices: Any = None
        self._targets: Any = None
        self._loss: Tensor | None = None
        self._late: Tensor | None = None  # guidance that could not be added to the loss
        self._pieces = 1  # backward passes of a step

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._resources.close()  # of a training that ended by an exception
        model = more.get("model")
        if model is None or not any(m is self._backend.model for m in model.modules()):
            raise ValueError(
                "the session's model is not the one that the Trainer trains; make the session "
                "from the same model, Session(model, ...) and Trainer(model, ...)"
            )
        if state.global_step and args.gradient_accumulation_steps == 1:
            self._own.at_step(state.global_step)
        per_epoch = -(-state.max_steps // max(1, round(state.num_train_epochs or 1)))
        if not self._own.begin(state.max_steps, per_epoch, args.per_device_train_batch_size):
            control.should_training_stop = True
            return
        self._pieces = args.gradient_accumulation_steps
        following = self._backend.follow(more.get("train_dataloader"))
        self._next_indices = self._resources.enter_context(following)
        self._resources.callback(self._tapped())

    def _tapped(self) -> Callable[[], object]:
        """Look at what the model computes from now on; what ends that."""
        self._tap = ForwardTap(self._backend.model, self._forward)
        return self._tap.remove

    def _forward(self, inputs: Any, keywords: dict[str, Any], output: Any) -> Any:
        """The model has computed a batch."""
        tap = self._tap
        if tap is None or self._next_indices is None or not self._own.open:
            return None
        self._indices = self._next_indices()
        labels = keywords.get("labels")
        given = isinstance(labels, Tensor)
        self._targets = (
            labels if given else targets_of(self._backend, self._own.task, self._indices)
        )
        loss = getattr(output, "loss", None)
        self._loss = None if loss is None else loss.detach()
        logits = tap.logits
        silent = not self._own.task.of_labels and self._backend.guiding is None
        if inputs is None or logits is None or silent:
            return None  # nothing that guidance could add to, or no guidance that could
        task = loss
        if task is None:
            labelled = self._own.task.labelled
            mean = torch.nn.functional.cross_entropy if labelled else self._backend.loss
            targets = self._targets if labelled else self._targets.reshape(logits.shape)
            task = mean(logits.detach(), targets)
        with tap.off():
            term = self._own.guidance_loss(inputs, self._targets, task.detach())
        if not isinstance(term, Tensor):
            return None
        if loss is None and self._own.several:
            # Before the backward pass, which averages over processes; later each had its own.
            add_gradient(term / self._pieces, self._backend.model)
            return None
        if loss is None:
            self._late = term
            return None
        output.loss = loss + term
        return output

    def on_substep_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._step(control)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        late, self._late = self._late, None
        if late is not None:
            late.backward()  # type: ignore[no-untyped-call]  # torch's has no types

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._step(control)

    def _step(self, control: Any) -> None:
        tap = self._tap
        if tap is None or not self._own.open:
            return
        if tap.logits is not None:
            self._own.observe(self._indices, tap.logits, self._targets, self._loss)
            tap.forget()
        if not self._own.step_done():
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._own.open:
            self._own.save()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self._own.open and not self._own.epoch_done():
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._own.end("finished")
        self._resources.close()


class _LossHooks(_Hooks):
    """The same where a session knows the losses of samples alone; nothing is added to the loss."""

    _told = False  # that strokes do nothing here

    def _tapped(self) -> Callable[[], object]:
        handle: Any = self._backend.model.register_forward_hook(self._seen, with_kwargs=True)
        remove: Callable[[], object] = handle.remove
        return remove

    def _seen(self, model: Any, _: Any, keywords: dict[str, Any], output: Any) -> None:
        """The model has computed a batch."""
        if self._next_indices is None or not self._own.open or not torch.is_grad_enabled():
            return
        if model.training:
            self._indices = self._next_indices()
            try:
                self._loss = self._backend.losses_of_output(model, keywords, output)
            except Exception as error:  # noqa: BLE001 - what is looked at ends no training
                self._next_indices = None
                self._own.notice(
                    "warning",
                    f"Losses of samples are not observed from here on; training goes on: {error}",
                )

    def _step(self, control: Any) -> None:
        if not self._own.open:
            return
        if self._backend.guiding is not None and not self._told:
            self._told = True
            self._own.notice(
                "warning",
                "Strokes add nothing to the loss of the Trainer under task='own_loss'; in "
                "a loop with session.loop() add session.guidance_loss(inputs, None, loss) to it.",
            )
        losses, self._loss = self._loss, None
        if losses is not None:
            self._own.observe(self._indices, loss=losses)
        if not self._own.step_done():
            control.should_training_stop = True
