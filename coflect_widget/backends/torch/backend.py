"""PyTorch: a ``torch.nn.Module`` with its data, trained one step at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file, save_model
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from coflect_widget.backends.base import (
    Batch,
    NonFiniteLossError,
    Sample,
    StepOutput,
    WeightSpec,
    batch_cuts,
    class_weights,
    epoch_order,
    processors,
)
from coflect_widget.backends.items import check_labels
from coflect_widget.backends.judged import JudgedLabels
from coflect_widget.backends.targets import SEVERAL_LABELS
from coflect_widget.backends.torch.checks import (
    check_channels,
    check_model,
    find_outputs,
    first_rows,
    one_or_all,
)
from coflect_widget.backends.torch.data import Source, arguments
from coflect_widget.backends.torch.items import forward_names
from coflect_widget.backends.torch.knobs import TorchKnobs
from coflect_widget.backends.torch.loader import NextIndices, follow
from coflect_widget.backends.torch.loss import TotalLoss, check_loss, check_weights, weights_in
from coflect_widget.backends.torch.modes import Buffers, Frozen, modes, restore
from coflect_widget.backends.torch.optimizers import make_optimizer
from coflect_widget.backends.torch.outputs import gives_several, logits_of, note_width
from coflect_widget.backends.torch.rehearsal import rehearse
from coflect_widget.backends.torch.schedules import (
    BatchSchedule,
    check_length,
    make_scheduler,
    unit_of,
)
from coflect_widget.backends.torch.targets import Explained, Hits, check_regression, check_values
from coflect_widget.config import Config
from coflect_widget.records.durable import replacing

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
OptimizerFactory = Callable[[Any], torch.optim.Optimizer]
SchedulerFactory = Callable[[torch.optim.Optimizer], LRScheduler]


class TorchBackend:
    """Implements `backends.base.Backend` for PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
        Gives logits (B, classes) for inputs (B, C, H, W); for regression values (B, D).
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
    explainer = "coflect_widget.backends.torch.methods:load"

    def __init__(
        self,
        model: torch.nn.Module,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Loss | None,
        optimizer: torch.optim.Optimizer | OptimizerFactory | None,
        scheduler: LRScheduler | SchedulerFactory | None,
        batch_size: int,
        config: Config,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; pass a torch.nn.Module")
        check_loss(loss)
        check_model(model)
        self.assumptions: list[str] = []
        self.seed = config.seed
        self.batch_size = batch_size
        read = partial(
            Source,
            loader_workers=config.loader_workers,
            may_regress=loss is not None,
            names=forward_names(model),
        )
        self.train_source = read(train_data, "train_data")
        self.val_source = None if val_data is None else read(val_data, "val_data")
        self.regression = self.train_source.regression
        self._check_same_shape()
        if self.regression:
            self._assume(check_regression(self.train_source, loss, num_classes, class_weight))
        check_channels(model, self.train_source)
        self.num_train = self.train_source.length
        self.members: NDArray[np.int64] | None = None
        self.num_val = 0 if self.val_source is None else self.val_source.length
        self._device = _choose_device(model, config.device)
        self.device = str(self._device)
        self.model = model.to(self._device)
        self._frozen = Frozen()
        self._frozen.look(self.model)
        self._buffers = Buffers()
        outputs = self._outputs = self._checked_outputs(num_classes)
        self.num_classes = 0 if self.regression else outputs
        for source in (self.train_source, self.val_source):
            if source is not None and self.regression:
                check_values(source, outputs)
            elif source is not None:
                check_labels(source, self.num_classes)
                source.num_classes = self.num_classes
        self.loss: Loss = loss or F.cross_entropy
        if not self.regression:
            check_weights(loss, self.num_classes)
        self._class_weights = weights_in(loss, self.num_classes)
        if class_weight is not None:
            if loss is not None:
                raise ValueError(
                    "class_weight is for the loss that is made for you; give your own its "
                    "weights, for example loss=torch.nn.CrossEntropyLoss(weight=...)"
                )
            weights = torch.from_numpy(class_weights(class_weight, self.num_classes))
            self._class_weights = weights.to(self._device)
            self.loss = partial(F.cross_entropy, weight=self._class_weights)
        self.optimizer = make_optimizer(optimizer, self.model)
        #: whether a loop of the user's own steps the same optimizer
        self.shares_optimizer = isinstance(optimizer, torch.optim.Optimizer)
        self.scheduler = make_scheduler(scheduler, self.optimizer)
        self.knobs = TorchKnobs(self.model, self.optimizer, self.scheduler, self._try_batch)
        if isinstance(self.scheduler, ReduceLROnPlateau) and val_data is None:
            raise ValueError(
                "scheduler is a ReduceLROnPlateau, which follows the validation: give val_data"
            )
        self.warnings: list[str] = []
        self._each_batch: BatchSchedule | None = None
        self._unit = config.schedule_unit
        self._unit_known = self._set_unit()
        self._amp = config.mixed_precision
        if self._amp is None:
            self._amp = self._device.type == "cuda"
        half = self._device.type == "cuda" and not torch.cuda.is_bf16_supported()
        self._amp_type = torch.float16 if half else torch.bfloat16
        self._scaler = torch.amp.GradScaler("cuda") if self._amp and half else None
        #: whether a sample may only be read at a step boundary, lest it moves training's numbers
        self.reads_at_boundary = self.train_source.draws_random_numbers
        self._guidance: Any = None
        self._judged = JudgedLabels()
        self._outputs_known = loss is None  # or a loss of the user's has missed none
        self._on_cpu = self._device.type == "cpu"
        self._looks_left = 8  # at targets (B, classes) of a loop of the user's own
        self._rehearse()
        #: by name: where a weight lies, and its memory as an array
        self._arrays: dict[str, tuple[tuple[object, ...], NDArray[Any] | None]] = {}
        #: memory that a device copies to, of copies that are finished
        self._pinned: list[list[torch.Tensor]] = []

    # --- shape of the task -----------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        return len(batch_cuts(self._in_epoch, self.batch_size))

    @property
    def _in_epoch(self) -> int:
        return self.num_train if self.members is None else len(self.members)

    @property
    def fills_processors(self) -> bool:
        return self._device.type == "cpu" and torch.get_num_threads() >= processors()

    @property
    def image_size(self) -> tuple[int, int]:
        height, width = self.train_source.picture_shape[-2:]
        return (height, width)

    def _assume(self, sentence: str) -> None:
        if sentence:
            self.assumptions.append(sentence)

    def _checked_outputs(self, num_classes: int | None) -> int:
        found = find_outputs(self.model, self.train_source, num_classes, self._device)
        self.assumptions += found.said
        return found.outputs

    def _rehearse(self) -> None:
        """Take one step on a copy of the model, so that what does not fit is found now."""
        smallest = min(b - a for a, b in batch_cuts(self.num_train, self.batch_size))
        # A batch of one is trained on where it is, and tried with one.
        size = 1 if smallest == 1 else self.batch_size
        inputs, targets = first_rows(self.train_source, size, self._outputs)
        output, _ = rehearse(
            self.model,
            self.loss,
            [x.to(self._device) for x in inputs],
            targets.to(self._device),
            outputs=self._outputs,
            frozen=self._frozen,
            autocast=self._autocast,
        )
        if output is not None and not isinstance(output, torch.Tensor):
            # In eval mode it may have given the logits alone.
            note_width(self.model, self._outputs)

    def _try_batch(self, batch_size: int) -> None:
        """Take a step of one sample on a copy of the model, where such a batch would come."""
        if min(b - a for a, b in batch_cuts(self._in_epoch, batch_size)) > 1:
            return
        sample = self.train_source.sample(0)
        target = torch.zeros(1, self._outputs) if self.regression else torch.tensor([sample.target])
        inputs = [torch.from_numpy(x)[None].to(self._device) for x in arguments(sample)]
        rehearse(
            self.model, self.loss, inputs, target.to(self._device), outputs=self._outputs,
            frozen=self._frozen, autocast=self._autocast,
        )  # fmt: skip

    def _set_unit(self) -> bool:
        """Set whether the schedule steps by batches; False where the training's length tells."""
        scheduler, unit = self.scheduler, self._unit
        if isinstance(scheduler, ReduceLROnPlateau) and unit == "batch":
            raise ValueError(
                "config['schedule_unit'] = 'batch', but scheduler is a ReduceLROnPlateau, which "
                "follows the validation at each epoch's end; leave the setting out"
            )
        counts = isinstance(scheduler, OneCycleLR | CyclicLR)
        if scheduler is None or unit == "epoch":
            return True
        if counts:
            check_length(scheduler, self.steps_per_epoch)
        if counts or unit == "batch":
            self._each_batch = BatchSchedule(scheduler, self.warnings)
        return counts or unit == "batch"

    def expect(self, steps: int) -> None:
        """Find out, once, what the schedule counts: now the training's length is known."""
        if self._unit_known or self.scheduler is None:
            return
        self._unit_known = True
        found = unit_of(self.scheduler, steps, self.steps_per_epoch)
        self._assume(found.said)
        if found.unit == "batch":
            self._each_batch = BatchSchedule(self.scheduler, self.warnings)

    def _check_same_shape(self) -> None:
        if self.val_source is None:
            return
        if self.val_source.regression != self.train_source.regression:
            raise ValueError(
                "one of train_data and val_data has class numbers and the other has values to "
                "regress on; give both the same kind of targets"
            )
        train, val = (s.shapes for s in (self.train_source, self.val_source))
        if train != val:
            raise ValueError(
                f"val_data has inputs of shape {one_or_all(val)}, but train_data of "
                f"{one_or_all(train)}; one "
                "model reads both: give them the same shape"
            )

    # --- training --------------------------------------------------------------------------

    def begin(self) -> None:
        """Called once, on the training thread, before the first step.

        The seed is that of all global generators which augmentation in a data set may draw from,
        those of torch, numpy and Python. The processes of a loader have torch seed their own.
        """
        torch.manual_seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002 - the generator that users draw from
        random.seed(self.seed)

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        self._frozen.look(self.model)
        if self._on_cpu:  # elsewhere a loss that is not finite is found after its step
            self._buffers.keep(self.model)
        order = epoch_order(
            self.seed, epoch, self.num_train if self.members is None else self.members
        )
        return self.train_source.batches(
            order, self.batch_size, self._device, skip=skip, seed=self.seed + 1_000_003 * epoch
        )

    def train_step(self, batch: Batch) -> StepOutput:
        if self._judged.any:
            given, batch = len(batch.indices), self._as_judged(batch)
            # A person has left out all of them, or all but one, which many a model cannot take.
            if len(batch.indices) < min(2, given):
                nothing = torch.zeros(0, self.num_classes)
                return StepOutput(batch.indices, batch.targets, nothing, torch.zeros(()), None)
        if not self.model.training:  # after an evaluation, here or in another cell
            self._frozen.train(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        extra: torch.Tensor | None = None
        found: float | None = None
        if self._amp or (self._guidance is not None and self._guidance.active):
            with self._autocast():
                logits, task_loss, extra = self._losses(batch)
            total = task_loss if extra is None else task_loss + extra
        else:
            logits = self._forward(batch.inputs)
            total = task_loss = self.loss(logits, batch.targets)
        # On a CPU looking costs nothing and saves the weights; elsewhere it would wait for the
        # device, and the telemetry finds out a few steps later.
        if self._on_cpu:
            found = total.item()
            if not math.isfinite(found):
                raise NonFiniteLossError(self._not_finite(found), batch, logits.detach())
        if self._scaler is None:
            total.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        else:
            self._scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self.optimizer)
            self._scaler.update()
        if self._each_batch is not None:
            with self.knobs.values.beneath():
                self._each_batch.step()
        if extra is None and found is not None:
            # `data` is `detach()` in half its time.
            return StepOutput(batch.indices, batch.targets, logits.data, found, None)
        return self._output(batch.indices, logits, batch.targets, task_loss, extra)

    def _not_finite(self, loss: float) -> str:
        mended = self._buffers.mend(self.model)
        if not mended:
            return f"the loss is {loss}"
        return (
            f"the loss is {loss}; {', '.join(mended)} had become so too and were set back to what "
            "they were when the epoch began"
        )

    def _losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Logits, task loss and what guidance adds to it."""
        if self._guidance is not None and self._guidance.active:
            return self._guided(batch)
        logits = self._forward(batch.inputs)
        return logits, self.loss(logits, batch.targets), None

    def _forward(self, inputs: Any) -> torch.Tensor:
        output = self.model(*inputs) if isinstance(inputs, tuple) else self.model(inputs)
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

    def _guided(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        guidance, inputs, targets = self._guidance, batch.inputs, batch.targets
        indices = torch.from_numpy(batch.indices).to(self._device, non_blocking=True)
        seen = guidance.exchange(inputs, targets, indices)
        exchanged = seen is not inputs
        why: str | Exception = ""
        if exchanged:
            try:
                with guidance.hold(inputs):
                    logits = self._forward(seen)
                task_loss = self.loss(logits, targets)
                why = self._wrong_with(task_loss)
            except Exception as error:  # noqa: BLE001 - the batch as it came tells whose fault it is
                why = error
            exchanged = not why
        if not exchanged:
            logits = self._forward(inputs)
            task_loss = self.loss(logits, targets)
        if why and not self._wrong_with(task_loss):
            guidance.fail("exchange", why)
        extra = guidance.loss(inputs, targets, task_loss.detach(), indices, exchanged=exchanged)
        return logits, task_loss, extra

    def _wrong_with(self, task_loss: torch.Tensor) -> str:
        """What is wrong with a task loss, where looking at it costs nothing."""
        if not self._on_cpu or math.isfinite(task_loss.item()):
            return ""
        return f"makes the task loss {task_loss.item()}"

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        total = TotalLoss(self.loss, self._class_weights, self.batch_size, self._metric_device())
        tally = (Explained if self.regression else Hits)(self._metric_device())
        order = np.arange(source.length)
        before = modes(self.model)
        self.model.eval()
        try:
            with torch.no_grad(), self._autocast():
                for batch in source.batches(order, max(self.batch_size, 128), self._device):
                    if not boundary():
                        return None
                    if self.model.training:
                        self.model.eval()
                    logits = self._forward(batch.inputs)
                    total.add(self.loss(logits, batch.targets), batch.targets)
                    tally.add(logits, batch.targets)
        finally:
            restore(before)  # layers that the user holds in eval mode stay so
        return {
            "loss": total.value(),
            tally.name: tally.value(source.length),
        }

    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def end_epoch(self, validation: dict[str, float]) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            wanted = ("accuracy", "r2") if self.scheduler.mode == "max" else ("loss",)
            for name in validation.keys() & set(wanted):
                with self.knobs.values.beneath():
                    self.scheduler.step(validation[name])
        elif self.scheduler is not None and self._each_batch is None:
            with self.knobs.values.beneath():
                self.scheduler.step()

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        # One array for all: each call costs its time, and on a device each copy a wait.
        logits = torch.cat([o.logits for o in outputs]).float()
        targets = torch.cat([o.targets for o in outputs])
        if logits.device.type != "cpu":
            return logits, targets  # reduced where they are: only a few numbers a sample travel
        return logits.numpy(), targets.cpu().numpy()

    def scalars(self, values: Sequence[Any]) -> list[float]:
        if all(isinstance(value, float) for value in values):
            return list(values)
        try:
            found: list[float] = torch.stack(list(values)).view(len(values)).tolist()
        except (RuntimeError, TypeError):  # none, no tensors, or of several kinds
            return [float(value) for value in values]
        return found

    def attach_guidance(self, guidance: Any) -> None:
        """Let `guidance` (backends.torch.guidance.TorchGuidance) add its loss to each step."""
        self._guidance = guidance

    def set_guidance(self, guidance: Any) -> str:
        if self.regression:
            raise ValueError(
                "strokes and focus need a classifier: they say what should speak for a class"
            )
        if len(self.train_source.shapes) > 1:
            raise ValueError(
                "strokes and focus need a model with one input, a picture; this one has several"
            )
        return "" if self._guidance is None else str(self._guidance.set_state(guidance))

    def step_output(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor | None,
        guidance_loss: torch.Tensor | None,
    ) -> StepOutput:
        logits = logits.detach()
        targets = torch.as_tensor(targets).detach()
        if self.regression:
            targets = targets.reshape(logits.shape)
            if loss is None:
                with torch.no_grad():
                    loss = self.loss(logits, targets)
            return self._output(indices, logits, targets, loss, guidance_loss)
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        elif targets.ndim == 2 and self._looks_left:
            self._looks_left -= 1  # each waits for the device
            if bool(((targets.float().sum(1) - 1).abs() > 0.01).any()):
                raise ValueError(f"targets are (B, {targets.shape[1]}), but {SEVERAL_LABELS}")
        if loss is None:
            with torch.no_grad():
                loss = F.cross_entropy(logits.float(), targets)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        return self._output(indices, logits, classes, loss, guidance_loss)

    def concatenate(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits, or targets, of the pieces of one step; where they are."""
        return torch.cat(list(parts))

    def guidance_term(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor,
        indices: NDArray[np.int64] | None,
    ) -> torch.Tensor | None:
        guidance = self._guidance
        if guidance is None or not guidance.active:
            return None
        rows = None if indices is None else torch.from_numpy(indices).to(self._device)
        with self._autocast():
            term: torch.Tensor | None = guidance.loss(
                inputs.detach(), targets, torch.as_tensor(loss).detach(), rows
            )
        return term

    @property
    def lapses(self) -> list[Any]:
        """What went out of force by itself; see guidance.lapses."""
        found: list[Any] = [] if self._guidance is None else self._guidance.lapses
        return found

    def follow(self, loader: Any) -> AbstractContextManager[NextIndices]:
        return follow(loader, self.num_train, self.train_source.given)

    def set_labels(self, labels: Mapping[int, int | None]) -> None:
        """Train with these labels from the next step on; None leaves a sample out."""
        self._judged = JudgedLabels(labels)

    def label_of(self, index: int) -> int:
        """The data set's own label of a sample."""
        return self.train_source.sample(index).target

    def add_samples(self, x: Any, y: Any) -> int:
        added = self.train_source.add(x, y, self._outputs if self.regression else 0)
        if self.members is None:  # the epoch that is under way goes over those of before
            self.members = np.arange(self.num_train)
        self.num_train = self.train_source.length
        return added

    def losses_alone(self, batch: Batch) -> NDArray[np.float32]:
        """Loss of each row (B,) by itself, in eval mode; nothing of the model changes.

        At a step boundary. One row that is NaN spoils all of a batch that is normalised together.
        """
        before = modes(self.model)
        self.model.eval()
        found = []
        try:
            with torch.no_grad(), self._autocast():
                for row in range(len(batch.indices)):
                    several = isinstance(batch.inputs, tuple | list)
                    x = (
                        tuple(each[row : row + 1] for each in batch.inputs)
                        if several
                        else batch.inputs[row : row + 1]
                    )
                    logits = self._forward(x)
                    found.append(float(self.loss(logits, batch.targets[row : row + 1])))
        finally:
            restore(before)
        return np.array(found, np.float32)

    def _as_judged(self, batch: Batch) -> Batch:
        judged = self._judged.of(batch.indices)
        if judged is None:
            return batch
        targets = batch.targets.clone()
        targets[torch.from_numpy(judged.changed)] = torch.from_numpy(judged.labels).to(targets)
        kept = torch.from_numpy(judged.keep).to(targets.device)
        several = isinstance(batch.inputs, tuple | list)
        inputs = tuple(x[kept] for x in batch.inputs) if several else batch.inputs[kept]
        return Batch(batch.indices[judged.keep], inputs, targets[kept])

    def read_rows(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (n, C, H, W) and labels (n,) of the given samples, on the model's device.

        The label of a sample that is left out is -1.
        """
        samples = [self.train_source.sample(int(i)) for i in indices]
        inputs = torch.stack([torch.from_numpy(s.input) for s in samples]).to(self._device)
        labels = [
            self._judged.label(int(i), s.target) for i, s in zip(indices, samples, strict=True)
        ]
        return inputs, torch.tensor(labels, device=self._device)

    # --- weights ---------------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return [
            WeightSpec(name, tuple(tensor.shape), _numpy_type(tensor))
            for name, tensor in _tensors(self.model).items()
        ]

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> Callable[[], None] | None:
        state = _tensors(self.model)
        for array, (name, weight) in zip(destination, state.items(), strict=True):
            if array.shape != weight.shape:
                raise ValueError(f"{name} is now of shape {tuple(weight.shape)}, not {array.shape}")
        if self._device.type == "cuda":
            weights = [weight.detach() for weight in state.values()]
            return self._copy_from_cuda(weights, destination)
        for array, (name, weight) in zip(destination, state.items(), strict=True):
            memory = self._as_array(name, weight)
            if memory is None:
                torch.from_numpy(array).copy_(weight.detach())
            else:
                # On this thread alone: torch would copy in parallel and wait for its helpers,
                # which on a busy machine takes several times as long.
                np.copyto(array, memory)
        return None

    def _as_array(self, name: str, weight: torch.Tensor) -> NDArray[Any] | None:
        """The weight's own memory; kept, because to ask for it takes longer than a small copy.

        None where it lies on a device, or is of a type that numpy does not know. What is kept
        holds the memory, so that no other tensor can be found at its address.
        """
        place = (weight.data_ptr(), weight.dtype, weight.shape, weight.stride())
        kept = self._arrays.get(name)
        if kept is None or kept[0] != place:
            try:
                memory = weight.detach().numpy()
            except TypeError:
                memory = None
            kept = self._arrays[name] = (place, memory)
        return kept[1]

    def _copy_from_cuda(
        self, weights: Sequence[torch.Tensor], destination: Sequence[NDArray[Any]]
    ) -> Callable[[], None]:
        """Queue copies into pinned memory and return at once; the result waits for them.

        They stand in the training's own stream before its next step, so that they see this
        step's weights whatever the training does meanwhile.
        """
        if self._pinned:
            memory = self._pinned.pop()
        else:
            memory = [
                torch.empty(weight.shape, dtype=torch.from_numpy(array).dtype, pin_memory=True)
                for weight, array in zip(weights, destination, strict=True)
            ]
        stream = torch.cuda.current_stream(self._device)
        for pinned, weight in zip(memory, weights, strict=True):
            pinned.copy_(weight, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record(stream)

        def finish() -> None:
            copied.synchronize()
            for array, pinned in zip(destination, memory, strict=True):
                np.copyto(array, pinned.numpy())
            self._pinned.append(memory)

        return finish

    def read_sample(self, index: int) -> Sample:
        return self.train_source.sample(index)

    def read_val_sample(self, index: int) -> Sample:
        """One validation sample as the model sees it."""
        if self.val_source is None:
            raise IndexError("there are no validation data")
        return self.val_source.sample(index)

    def labels(self) -> NDArray[Any]:
        """Labels (N,) or values (N, D) of the training data, as far as known without reading."""
        return self.train_source.values() if self.regression else self.train_source.labels()

    def probes(self) -> list[NDArray[np.float32]]:
        """A spread of inputs, for the fingerprint of the data."""
        return [self.train_source.sample(i).input for i in self.train_source.probes()]

    def readings(
        self, index: int, enough: Callable[[list[NDArray[np.float32]]], bool]
    ) -> list[NDArray[np.float32]]:
        """One training sample's picture (C, H, W), read until there are `enough`; [] of arrays."""
        return self.train_source.readings(index, enough)

    def forget_read(self) -> None:
        """The session stands: let go of what was read of the data to check them."""
        for source in (self.train_source, self.val_source):
            if source is not None:
                source.forget_read()

    def save_checkpoint(self, path: Path) -> Path:
        file = path.with_suffix(".safetensors")
        tensors = _tensors(self.model)
        with replacing(file) as temporary:
            if len(tensors) == len(self.model.state_dict()):
                save_model(self.model, str(temporary))
            else:  # safetensors knows tensors alone, and takes no memory twice
                copies = {name: weight.detach().clone() for name, weight in tensors.items()}
                save_file(copies, str(temporary))
        return file

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self._amp:
            return nullcontext()
        return cast(
            "AbstractContextManager[Any]",
            torch.autocast(self._device.type, dtype=self._amp_type),
        )

    def _metric_device(self) -> torch.device:
        # Apple's GPUs have no float64.
        return torch.device("cpu") if self._device.type == "mps" else self._device


def _choose_device(model: torch.nn.Module, wanted: str | None) -> torch.device:
    if wanted is not None:
        try:
            device = torch.device(wanted)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"config['device'] = {wanted!r} cannot be used here ({error}); "
                "use 'cpu', or leave it out to take the best device present"
            ) from error
        return device
    first = next(model.parameters(), None)
    if first is None:
        raise ValueError("model has no parameters; there is nothing to train")
    if first.device.type != "cpu":
        return first.device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict without what is no tensor, such as a module's extra state."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _numpy_type(tensor: torch.Tensor) -> str:
    try:
        return str(torch.empty(0, dtype=tensor.dtype).numpy().dtype)
    except TypeError:  # numpy has neither bfloat16 nor float8; float32 holds each of their values
        return "float32"
