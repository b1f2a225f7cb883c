"""Keras models whose targets are rows of numbers: values to regress on, or several labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, Sample, StepOutput
from coflect_widget.backends.differentiable import Ops
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.guidance import KerasGuided
from coflect_widget.backends.keras.loss import last_activation, loss_name, takes_logits
from coflect_widget.backends.keras.model import Head
from coflect_widget.backends.keras.ops import TfOps
from coflect_widget.backends.keras.step import make_outputs, other_metrics
from coflect_widget.backends.keras.targets import Form
from coflect_widget.backends.targets import task_of_labels
from coflect_widget.tasks import MultiLabel, Regression

Rows = NDArray[np.float32]
#: A target this far from its mean tells that targets vary.
_TINY = 1e-12


class RowSource(Source):
    """A `data.Source` whose targets are rows of numbers (N, D), or numbers (N,), float32."""

    def read_targets(self, values: Any, index: int | None = None) -> tuple[Rows, Form]:
        """Rows (N, D), or of sample `index` alone (1, D)."""
        try:
            given = np.asarray(values)
            rows = given.astype(np.float32) if given.dtype.kind in "fiub" else None
        except (TypeError, ValueError):
            rows = None
        where = self.argument if index is None else f"{self.argument}[{index}]"
        if rows is None:
            raise ValueError(f"{where} has targets that are no numbers; give each sample as many")
        if index is not None:
            rows = rows[None]
        if rows.ndim == 1:
            rows = rows[:, None]
        if rows.ndim != 2 or not rows.shape[1] or self.width not in (0, rows.shape[1]):
            expected = f"(N, {self.width})" if self.width else "(N,) or (N, D)"
            raise ValueError(f"{where} has targets of shape {given.shape}; expected {expected}")
        wrong = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(wrong):
            at = int(wrong[0]) if index is None else index
            raise ValueError(
                f"{self.argument} has a target at index {at} that is NaN or infinite; leave the "
                "sample out or correct it"
            )
        self.width = rows.shape[1]
        return rows, "numbers"

    def one(self, target: Any) -> Rows:
        """A row (D,)."""
        return np.array(target, np.float32).reshape(-1)


def _rows(targets: Any) -> Rows:
    """Targets (B,) or (B, D) of a step as rows."""
    given = np.asarray(targets, np.float32)
    return given.reshape(len(given), -1)


class _NumbersBackend(KerasBackend):
    """What the two have in common."""

    reads = RowSource
    takes_labels = False

    def __init__(self, *given: Any, task: str | None = None, **more: Any) -> None:
        del task  # it is this one
        if more.get("class_weight") is not None:
            raise ValueError(
                f"class_weight= is for one class a sample, and under task={self.task_name!r} "
                "there is none; weigh in the loss that the model is compiled with"
            )
        self._outputs_alone: Any = None
        super().__init__(*given, **more)

    task_name = ""

    def check_columns(self, count: int) -> None:
        """Raise ValueError unless targets have as many numbers as the model has outputs."""
        for source in self.sources():
            if source.width != count:
                raise ValueError(
                    f"model has {count} output{'s' * (count != 1)} but {source.argument} has "
                    f"targets of {source.width}; give the last layer {source.width} outputs"
                )

    def ops(self) -> TfOps:
        """How outputs and targets make a loss of guidance."""
        raise NotImplementedError

    def figures(self, outputs: Rows, targets: Rows) -> dict[str, float]:
        """Of all validation samples, outputs as `Classifier.logits` has them, (N, D) both."""
        raise NotImplementedError

    def _assume(self, of_layout: str, outputs: Any) -> None:
        said = self.assumptions + ([of_layout] if of_layout else [])
        for source in self.sources():
            said += source.assumptions
        self.assumptions = list(dict.fromkeys(said))

    def train_step(self, batch: Batch) -> StepOutput:
        rows = np.asarray(batch.targets, np.float32)
        return self.step(batch.indices, batch.inputs, rows, rows)

    def as_judged(self, indices: NDArray[np.int64], labels: Any) -> tuple[Any, None]:
        return labels, None

    def of_step(self, targets: Any) -> Rows:
        return _rows(targets)

    def class_numbers(self, targets: NDArray[Any]) -> Any:
        """The rows themselves: no sample has one class."""
        return _rows(targets)

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def recompile(self) -> None:
        super().recompile()
        self._outputs_alone = None

    def validate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        self.take_compiled()
        if self._outputs_alone is None:
            self._outputs_alone = make_outputs(self.keras_model, self.model)
        total = 0.0
        found: list[Rows] = []
        wanted: list[Rows] = []
        for batch in source.batches(np.arange(source.length), max(self.batch_size, 128)):
            if not boundary():
                return None
            loss, outputs = self._outputs_alone(batch.inputs, batch.targets)
            total += float(loss) * len(batch.indices)
            found.append(outputs.numpy())
            wanted.append(np.asarray(batch.targets))
        figures = self.figures(np.concatenate(found), np.concatenate(wanted))
        named = {"loss": total / source.length} | figures
        return named | {k: v for k, v in other_metrics(self.keras_model).items() if k not in named}

    def guided(self) -> KerasGuided:
        made = super().guided()
        made.ops = cast("Ops", self.ops())
        return made

    def read_rows(self, indices: Sequence[int]) -> tuple[Rows, Any]:
        """Inputs (n, ...) as the model takes them, and targets (n, D)."""
        samples = [self.train_source.sample(int(i)) for i in indices]
        return np.stack([x for x, _ in samples]), np.stack([y for _, y in samples])

    def as_sample(self, found: Any) -> Sample:
        x, target = found
        return Sample(input=self.model.chw(x), target=0, targets=target)

    def label_of(self, index: int) -> int:
        return 0


class ValuesBackend(_NumbersBackend):
    """Implements `backends.base.Backend` for values to regress on: ``task="regression"``."""

    task_name = Regression.name

    def find_meaning(self, outputs: Any) -> tuple[Head, int]:
        return "values", 0

    def check_meaning(self, head: Head, outputs: Any) -> None:
        name = loss_name(self.keras_model.loss)
        if any(word in name for word in ("crossentropy", "hinge", "divergence")):
            raise ValueError(
                f"model is compiled with the loss {self.keras_model.loss!r}, which is for classes; "
                "compile it with a loss for values, such as 'mse', or leave task= out"
            )
        if last_activation(self.keras_model) == "softmax":
            raise ValueError(
                "model ends with a softmax, whose outputs are the probabilities of classes; end it "
                "with keras.layers.Dense(D) for D values, or leave task= out"
            )
        self.check_columns(int(outputs.shape[1]))

    @property
    def named_outputs(self) -> int:
        raise ValueError("classes= is for classes; leave it out under task='regression'")

    def ops(self) -> TfOps:
        return ValueOps(float(self.train_source.labels().var(0).mean()))

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        outputs, rows = self.model.logits(tf.convert_to_tensor(logits)), _rows(targets)
        if loss is None:
            loss = tf.reduce_mean(tf.square(outputs - rows))
        return StepOutput(indices, rows, outputs, loss, guidance_loss)

    def figures(self, outputs: Rows, targets: Rows) -> dict[str, float]:
        """R squared, at most 1; 0 where the targets are all the same."""
        wanted = targets.astype(np.float64)
        spread = float(np.square(wanted - wanted.mean(0)).sum())
        error = float(np.square(outputs - wanted).sum())
        return {"r2": 1 - error / spread if spread > _TINY else 0.0}


class LabelsBackend(_NumbersBackend):
    """Implements `backends.base.Backend` for several labels a sample: ``task="multi_label"``."""

    task_name = MultiLabel.name

    def find_meaning(self, outputs: Any) -> tuple[Head, int]:
        model, values = self.keras_model, np.asarray(outputs, np.float32)
        logits, last = takes_logits(model.loss), last_activation(self.keras_model)
        between = bool(((values >= 0) & (values <= 1)).all()) and not logits
        shares = last == "sigmoid" or (last == "" and between)
        return "labels" if shares else "logits", int(outputs.shape[1])

    def check_meaning(self, head: Head, outputs: Any) -> None:
        model, count = self.keras_model, int(outputs.shape[1])
        name, logits = loss_name(model.loss), takes_logits(model.loss)
        if "categorical" in name or last_activation(model) == "softmax":
            raise ValueError(
                f"model is compiled with the loss {model.loss!r} or ends with a softmax, which is "
                "for one class a sample; end it with activation='sigmoid' and compile it with "
                "'binary_crossentropy', or leave task= out"
            )
        if head == "logits" and "crossentropy" in name and logits is False:
            raise ValueError(
                f"the loss {model.loss!r} takes probabilities, and the model's outputs are none; "
                "give its last layer activation='sigmoid', or compile it with "
                "keras.losses.BinaryCrossentropy(from_logits=True)"
            )
        self.check_columns(count)
        asked = f"task={MultiLabel.name!r}"
        # the training part first: its share of each label is what guessing comes to
        self.task, *_ = [task_of_labels(one.labels(), one, asked) for one in self.sources()]

    def ops(self) -> TfOps:
        return LabelOps()

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        outputs, rows = self.model.logits(tf.convert_to_tensor(logits)), _rows(targets)
        if loss is None:
            loss = tf.reduce_mean(LabelOps.cross_entropy(outputs, rows))
        return StepOutput(indices, rows, outputs, loss, guidance_loss)

    def figures(self, outputs: Rows, targets: Rows) -> dict[str, float]:
        """Means over labels: of the share that is right, and of F1 where a label is met."""
        said, there = outputs > 0, targets > 0.5
        met = (said | there).any(0)
        both, total = (said & there).sum(0)[met], (said.sum(0) + there.sum(0))[met]
        f1 = float((2 * both / total).mean()) if met.any() else 1.0
        return {"label_accuracy": float((said == there).mean()), "macro_f1": f1}


class ValueOps(TfOps):
    """`TfOps` where outputs (B, D) are values; as `backends.torch.values.ValueOps`.

    Parameters
    ----------
    spread : float
        Mean square distance of the targets from their mean: the loss of who knows nothing.
    """

    def __init__(self, spread: float) -> None:
        self._spread = spread

    def ignorance(self, logits: Any) -> float:
        """Who knows nothing says the mean."""
        return self._spread

    @staticmethod
    def log_softmax(logits: Any) -> Any:
        """The values themselves: a unit that moves one of them counts."""
        return logits

    @staticmethod
    def cross_entropy(logits: Any, targets: Any) -> Any:
        """Mean square errors (B,)."""
        return tf.reduce_mean(tf.square(logits - tf.cast(targets, logits.dtype)), 1)

    @staticmethod
    def beside(logits: Any, targets: Any) -> Any:
        """Each value and its opposite, (B, 2 D)."""
        return tf.concat([logits, -logits], 1)

    @staticmethod
    def of_classes(logits: Any, targets: Any) -> Any:
        """The values (B, 1), added up."""
        return tf.reduce_sum(logits, 1, keepdims=True)


class LabelOps(TfOps):
    """`TfOps` where each output is a label; as `backends.torch.labels.LabelOps`."""

    @staticmethod
    def log_softmax(logits: Any) -> Any:
        """Of both answers to each label, added up."""
        return tf.math.log_sigmoid(logits) + tf.math.log_sigmoid(-logits)

    @staticmethod
    def cross_entropy(logits: Any, targets: Any) -> Any:
        """The mean over labels (B,)."""
        wanted = tf.cast(targets, logits.dtype)
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=logits)
        return tf.reduce_mean(each, 1)

    @staticmethod
    def beside(logits: Any, targets: Any) -> Any:
        """Of each label both answers, (B, 2 L)."""
        return tf.concat([logits, -logits], 1)

    @staticmethod
    def of_classes(logits: Any, targets: Any) -> Any:
        """The logits (B, 1) of the labels that are there, added up."""
        there = tf.cast(targets > 0.5, logits.dtype)
        return tf.reduce_sum(logits * there, 1, keepdims=True)
