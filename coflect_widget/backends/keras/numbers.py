"""Keras models whose targets are rows of numbers: values to regress on, or several labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.guided_outputs import OfLabels, OfValues
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.loss import last_activation, loss_name, takes_logits
from coflect_widget.backends.keras.model import Head
from coflect_widget.backends.keras.ops import TfOps
from coflect_widget.backends.keras.other_targets import OtherTargets
from coflect_widget.backends.label_forms import Form
from coflect_widget.backends.targets import task_of_labels
from coflect_widget.tasks import MultiLabel, Regression
from coflect_widget.tasks.tallies import Explained, Labels

Rows = NDArray[np.float32]


class RowSource(Source):
    """A `data.Source` whose targets are rows of numbers (N, D), or numbers (N,), float32."""

    class_numbers = False

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


class _NumbersBackend(OtherTargets):
    """What the two have in common."""

    reads = RowSource

    def check_columns(self, count: int) -> None:
        """Raise ValueError unless targets have as many numbers as the model has outputs."""
        for source in self.sources():
            if source.width != count:
                raise ValueError(
                    f"model has {count} output{'s' * (count != 1)} but {source.argument} has "
                    f"targets of {source.width}; give the last layer {source.width} outputs"
                )

    def of_step(self, targets: Any) -> Rows:
        """Targets (B,) or (B, D) of a step as rows."""
        given = np.asarray(targets, np.float32)
        return given.reshape(len(given), -1)

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        outputs, rows = self.model.logits(tf.convert_to_tensor(logits)), self.of_step(targets)
        if loss is None:
            loss = tf.reduce_mean(self.ops().cross_entropy(outputs, rows))
        return StepOutput(indices, rows, outputs, loss, guidance_loss)


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

    def ops(self) -> OfValues:
        return OfValues(TfOps(), float(self.train_source.labels().var(0).mean()))

    def tally(self) -> Explained:
        return Explained()


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

    def ops(self) -> OfLabels:
        return OfLabels(TfOps())

    def tally(self) -> Labels:
        return Labels()
