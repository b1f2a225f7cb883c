"""PyTorch: a ``torch.nn.Module`` with its data, trained one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import LRScheduler

from coflect_widget.backends.base import (
    Batch,
    NonFiniteLossError,
    StepOutput,
    batch_cuts,
    processors,
)
from coflect_widget.backends.lengths import even
from coflect_widget.backends.torch.batch_rows import as_judged, one_row, rows_of
from coflect_widget.backends.torch.checks import (
    check_alike,
    check_channels,
    check_model,
    choose_device,
    look_up,
    rehearse_step,
)
from coflect_widget.backends.torch.data import Source
from coflect_widget.backends.torch.labels import means_labels
from coflect_widget.backends.torch.last_layer import TorchLastLayer
from coflect_widget.backends.torch.loss import TotalLoss, check_loss, make_loss, metric_device
from coflect_widget.backends.torch.meanings import Meanings
from coflect_widget.backends.torch.methods import load, structure
from coflect_widget.backends.torch.modes import Buffers, Frozen, evaluating
from coflect_widget.backends.torch.numbers import call
from coflect_widget.backends.torch.outputs import (
    forward_names,
    gives_several,
    logits_of,
    note_width,
)
from coflect_widget.backends.torch.portable import Exports
from coflect_widget.backends.torch.precision import autocast, half_type, scaler_for
from coflect_widget.backends.torch.quiet import held_statistics
from coflect_widget.backends.torch.ranks import Ranked
from coflect_widget.backends.torch.schedules import (
    BatchSchedule,
    schedule_of_batches,
    step_epoch,
    unit_of,
)
from coflect_widget.backends.torch.state import KeepsState
from coflect_widget.backends.torch.steps import OfSteps
from coflect_widget.backends.torch.tap import classes_of_step, values_of_step
from coflect_widget.backends.torch.weights import WeightCopies
from coflect_widget.config import Config
from coflect_widget.modalities.base import Modality

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Optimizer = torch.optim.Optimizer | Callable[[Any], torch.optim.Optimizer]
Scheduler = LRScheduler | Callable[[torch.optim.Optimizer], LRScheduler]
#: Of what is computed along with others and not learned from: a magnitude that overflows nothing.
_HARMLESS = 1e3


class TorchBackend(Exports, Meanings, KeepsState, Ranked, OfSteps):
    """Implements `backends.base.Backend` for PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
        Gives logits (B, classes) for inputs (B, C, H, W); for regression values (B, D). It may be
        in a ``DistributedDataParallel``.
    loss : callable or None
        ``loss(logits, targets) -> scalar``; cross-entropy if None. Where it is given and the
        targets are floating point, (N,) or (N, D), this is regression: `num_classes` is 0, and
        `loss` gets outputs and targets of (B, D). Of a model that gives more, such as
        (main, auxiliary) in train mode, it gets the logits alone, and a warning says so.
    optimizer : torch.optim.Optimizer, callable or None
        An optimizer over the model's parameters, or what makes one from them;
        AdamW with a learning rate of 1e-3 if None.
    scheduler : torch.optim.lr_scheduler.LRScheduler, callable or None
        A schedule of the learning rate, or what makes one from the optimizer. OneCycleLR and
        CyclicLR step after each batch, others at each epoch's end: ReduceLROnPlateau with
        the validation loss, or in mode "max" with the accuracy, in regression R squared. Where
        one is made for batches, as far as can be told, it steps by batches too, and an
        assumption says so.
    """

    name = "torch"
    explainer, refits = "coflect_widget.backends.torch.methods:load", True
    load = staticmethod(load)

    def __init__(
        self,
        model: torch.nn.Module,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Loss | None,
        optimizer: Optimizer | None,
        scheduler: Scheduler | None,
        batch_size: int,
        config: Config,
        class_weight: Mapping[int, float] | None = None,
        modality: Modality | None = None,
        task: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; pass a torch.nn.Module")
        check_loss(loss)
        model = self._take_off(model)
        check_model(model)
        self.seed = config.seed
        self.batch_size = batch_size
        read = partial(
            self.reads,
            loader_workers=config.loader_workers,
            may_regress=loss is not None,
            labels=means_labels(model, loss, task),
            names=forward_names(model),
        )
        self.train_source: Source = read(train_data, "train_data", modality=modality)
        kind = self.train_source.modality
        self.val_source = None if val_data is None else read(val_data, "val_data", modality=kind)
        self.regression = self.train_source.regression
        self.assumptions += even(self.sources())
        check_alike(self.sources())
        self.assumptions += self.find_task(model, task, loss, num_classes, class_weight)
        check_channels(model, self.train_source)
        self._device = choose_device(model, config.device)
        self.device = str(self._device)
        self.model = model.to(self._device)
        self._frozen = Frozen()
        self._frozen.look(self.model)
        self._buffers = Buffers()
        self.modality = look_up(self.model, self.sources(), self._device)
        outputs, said = self.find_outputs(num_classes, self._device)
        self._outputs, self.assumptions = outputs, self.assumptions + said
        self.num_classes = 0 if self.regression else outputs
        self.check_targets(outputs)
        made = make_loss(loss or self.plain_loss(), class_weight, self.num_classes, self._device)
        self.loss, self._class_weights = made
        self.take_optimizer(
            optimizer, scheduler, validates=val_data is not None, try_batch=self._try_batch
        )
        self._each_batch, self._unit_known = schedule_of_batches(
            self.scheduler, config.schedule_unit, self.steps_per_epoch, self.warnings
        )
        values = self.regression and self.task is None
        self._half = half_type(config.mixed_precision, self._device, values=values)
        self._scaler = scaler_for(self._half, self._device)
        self._outputs_known = loss is None  # or a loss of the user's has missed none
        self._on_cpu = self._device.type == "cpu"
        self._looks_left = 8  # at targets (B, classes) of a loop of the user's own
        several = rehearse_step(
            self.model, self.loss, self.train_source, self.batch_size, outputs,
            frozen=self._frozen, autocast=self._autocast,
        )  # fmt: skip
        if several:  # in eval mode it may have given the logits alone
            note_width(self.model, outputs)
        self._copies = WeightCopies(self._device)

    @property
    def fills_processors(self) -> bool:
        return self._device.type == "cpu" and torch.get_num_threads() >= processors()

    def expect(self, steps: int) -> None:
        """Find out, once, what the schedule counts: now the training's length is known."""
        if self._unit_known or self.scheduler is None:
            return
        self._unit_known = True
        found = unit_of(self.scheduler, steps, self.steps_per_epoch)
        self.assumptions += [found.said] if found.said else []
        if found.unit == "batch":
            self._each_batch = BatchSchedule(self.scheduler, self.warnings)

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        self._frozen.look(self.model)
        if self._on_cpu:  # elsewhere a loss that is not finite is found after its step
            self._buffers.keep(self.model)
        return self.train_source.batches(
            self.order(epoch),
            self.batch_size,
            self._device,
            skip=skip,
            seed=self.seed + 1_000_003 * epoch,
        )

    def train_step(self, batch: Batch) -> StepOutput:
        if self._judged.any:
            whole, batch = batch, as_judged(batch, self._judged)
            # A person has left out all of them, or all but one, which many a model cannot take.
            if len(batch.indices) < min(2, len(whole.indices)):
                return self._step_of_none(whole)
        if not self.model.training:  # after an evaluation, here or in another cell
            self._frozen.train(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        extra: torch.Tensor | None = None
        found: float | None = None
        seen = batch  # or what guidance makes of it
        if self._half is not None or self.guiding is not None:
            with self._autocast():
                if self.guiding is not None:
                    logits, seen, task_loss, extra = self._guided(batch)
                else:
                    logits = self._forward(batch.inputs)
                    task_loss = self.loss(logits, batch.targets)
            total = task_loss if extra is None else task_loss + extra
        else:
            logits = self._forward(batch.inputs)
            total = task_loss = self.loss(logits, batch.targets)
        # On a CPU looking costs nothing and saves the weights; elsewhere it would wait for the
        # device, and the telemetry finds out a few steps later.
        if self._on_cpu:
            found = total.item()
            if not math.isfinite(found) and self._wrapper is None:
                text = self._buffers.mended(self.model, found)
                raise NonFiniteLossError(text, batch, logits.detach())
        self._step(total, partial(self._check_all, found, batch, logits))
        if extra is None and found is not None:
            # `data` is `detach()` in half its time.
            return StepOutput(batch.indices, batch.targets, logits.data, found, None)
        return self._output(batch.indices, logits, seen.targets, task_loss, extra)

    def _step_of_none(self, whole: Batch) -> StepOutput:
        """A step that is counted, and in which this process learns nothing of the batch."""
        if self._wrapper is None:
            self._step_schedule()
        else:  # the step is of all processes
            if not self.model.training:
                self._frozen.train(self.model)
            self.optimizer.zero_grad(set_to_none=True)
            inputs = whole.inputs  # 0 times what is not finite is NaN
            if inputs.is_floating_point():
                inputs = inputs.nan_to_num(0.0, 0.0, 0.0).clamp(-_HARMLESS, _HARMLESS)
            with self._autocast(), held_statistics(self.model):
                logits = self._forward(inputs)
            nothing = logits.sum() * 0
            found = nothing.item() if self._on_cpu else None
            self._step(nothing, partial(self._check_all, found, whole, logits))
        logits = torch.zeros(0, self._outputs, device=self._device)
        loss = torch.zeros((), device=self._device)
        return self._output(whole.indices[:0], logits, whole.targets[:0], loss, None)

    def _step(self, total: torch.Tensor, check: Callable[[], None] | None = None) -> None:
        if self._scaler is None:
            total.backward()  # type: ignore[no-untyped-call]
            if check and self._wrapper and self._on_cpu:
                check()
            self.optimizer.step()
        else:
            self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self.optimizer)
            self._scaler.update()
        self._step_schedule()

    def _step_schedule(self) -> None:
        if self._each_batch is not None:
            with self.knobs.values.beneath():
                self._each_batch.step()

    def _forward(self, inputs: Any, *, again: bool = False) -> torch.Tensor:
        # Only in a step that learns, and once: the processes wait for one another in the wrapper.
        wrapper = self._wrapper if torch.is_grad_enabled() and not again else None
        output = call(wrapper or self.model, inputs)
        if isinstance(output, torch.Tensor):
            return output
        if not self._outputs_known and self.model.training:
            self._outputs_known = True
            if gives_several(output):
                self.warnings.append(
                    "The model gives more than logits in train mode, and loss= is given the logits "
                    "alone: what else it gives is not trained. Write the loop yourself, with "
                    "session.loop(), to train on all of it."
                )
        return logits_of(output, self.model, self._outputs)

    def _output(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor,
        guidance_loss: torch.Tensor | None,
    ) -> StepOutput:
        if self._on_cpu:
            term = None if guidance_loss is None else guidance_loss.item()
            return StepOutput(indices, targets, logits.detach(), loss.item(), term)
        # From a device a copy would wait for it.
        guidance = None if guidance_loss is None else guidance_loss.detach()
        return StepOutput(indices, targets, logits.detach(), loss.detach(), guidance)

    def _guided(
        self, batch: Batch
    ) -> tuple[torch.Tensor, Batch, torch.Tensor, torch.Tensor | None]:
        """Logits, the batch that they are of, the task loss, and the term of guidance."""
        guidance, inputs, targets = self._guidance, batch.inputs, batch.targets
        indices = torch.from_numpy(batch.indices).to(self._device, non_blocking=True)
        prepared = guidance.prepare(inputs, targets, indices)
        exchanged = prepared.exchanged
        why: str | Exception = ""
        if exchanged:
            try:
                with guidance.hold():
                    logits = self._forward(prepared.inputs)
                guidance.exchanged_step_done(inputs)
                seen = batch._replace(inputs=prepared.inputs, targets=prepared.targets)
                task_loss = self.loss(logits, seen.targets)
                why = self._wrong_with(task_loss)
            except Exception as error:
                if self._wrapper is not None:  # the other processes have made this pass
                    raise
                why = error  # the batch as it came tells whose fault it is
            exchanged = not why
        if not exchanged:
            logits, seen = self._forward(inputs, again=bool(why)), batch
            task_loss = self.loss(logits, targets)
        if why and not self._wrong_with(task_loss):
            guidance.fail("exchange", why)
            prepared = guidance.prepare(inputs, targets, indices, exchange=False)
        return logits, seen, task_loss, guidance.added(prepared, task_loss.detach())

    def _wrong_with(self, task_loss: torch.Tensor) -> str:
        """What is wrong with a task loss, where looking at it costs nothing."""
        if not self._on_cpu or math.isfinite(task_loss.item()):
            return ""
        return f"makes the task loss {task_loss.item()}"

    def validate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        where = metric_device(self._device)
        total = TotalLoss(self.loss, self._class_weights, self.batch_size, where)
        tally = self.tally()
        order, size = np.arange(source.length), max(self.batch_size, 128)
        with evaluating(self.model), self._autocast():
            for batch in source.batches(order, size, self._device):
                if not boundary():
                    return None
                if self.model.training:
                    self.model.eval()
                logits = self._forward(batch.inputs)
                total.add(self.loss(logits, batch.targets), batch.targets)
                tally.add(logits.to(where), batch.targets.to(where))
        return {"loss": total.value(), **tally.values(source.length)}

    def end_epoch(self, validation: dict[str, float]) -> None:
        if self._each_batch is None:
            with self.knobs.values.beneath():
                step_epoch(self.scheduler, validation)

    def step_output(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor | None,
        guidance_loss: torch.Tensor | None,
    ) -> StepOutput:
        if self.regression:
            targets, loss = values_of_step(logits, targets, loss, self.loss)
        else:
            looked = np.ndim(targets) == 2 and targets.shape[1] > 1 and self._looks_left > 0
            self._looks_left -= looked  # each look waits for the device
            targets, loss = classes_of_step(logits, targets, loss, look=looked)
        return self._output(indices, logits.detach(), targets, loss, guidance_loss)

    def guidance_term(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor,
        indices: NDArray[np.int64] | None,
    ) -> torch.Tensor | None:
        guidance = self.guiding
        if guidance is None:
            return None
        rows = None if indices is None else torch.from_numpy(indices).to(self._device)
        x, of = self.train_source.as_long(inputs), torch.as_tensor(loss).detach()
        if self.regression and self.task is None:
            targets = targets.reshape(len(targets), -1)
        with self._autocast():
            return guidance.loss(x, targets, of, rows)  # type: ignore[no-any-return]

    def read_rows(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `batch_rows.rows_of`; on the model's device."""
        return rows_of(self.train_source, indices, self._judged, self._device)

    def losses_alone(self, batch: Batch) -> NDArray[np.float32]:
        with evaluating(self.model), self._autocast():
            rows = [one_row(batch, row) for row in range(len(batch.indices))]
            losses = [float(self.loss(self._forward(x), y)) for x, y in rows]
        return np.array(losses, np.float32)

    def _try_batch(self, batch_size: int) -> None:
        """Take a step of one sample on a copy of the model, where such a batch would come."""
        if min(b - a for a, b in batch_cuts(len(self._in_epoch), batch_size)) > 1:
            return
        rehearse_step(
            self.model, self.loss, self.train_source, 1, self._outputs,
            frozen=self._frozen, autocast=self._autocast,
        )  # fmt: skip

    def last_layer(self, probe: NDArray[Any]) -> TorchLastLayer:
        def batch(x: NDArray[Any]) -> Any:
            return self.train_source.as_long(torch.from_numpy(x).to(self._device))

        return TorchLastLayer(self.model, self._forward, batch, probe)

    def labels(self) -> NDArray[Any]:
        return self.train_source.values() if self.regression else self.train_source.labels()

    def structure(self) -> bytes:
        return structure(self.model)

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self._half, self._device)
