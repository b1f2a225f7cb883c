"""What targets and outputs mean to the Keras backend: classes.

A backend of another task derives from `backend.KerasBackend` and says the same of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.label_remedies import CHANGES
from coflect_widget.backends.keras.loss import TargetForm, check_loss, find_head, last_activation
from coflect_widget.backends.keras.model import Head
from coflect_widget.backends.label_forms import check_classes, labels_of_step, read_labels
from coflect_widget.backends.sourced import SourcedBackend


class Meanings(SourcedBackend):
    """Answers of `KerasBackend` that depend on the task."""

    #: what reads the data
    reads: type[Source] = Source
    keras_model: Any
    num_classes: int
    _class_weight: NDArray[np.float32] | None
    _target_form: TargetForm

    def find_meaning(self, outputs: Any) -> tuple[Head, int]:
        """What outputs (n, D) are, and how many classes there are."""
        loss, last = self.keras_model.loss, last_activation(self.keras_model)
        return find_head(outputs, loss, last), max(2, int(outputs.shape[1]))

    def check_meaning(self, head: Head, outputs: Any) -> None:
        """Raise ValueError unless loss and targets belong to the outputs."""
        check_loss(self.keras_model.loss, head, outputs, last_activation(self.keras_model))
        for source in self.sources():
            check_classes(source, self.num_classes, CHANGES[source.place])

    @property
    def named_outputs(self) -> int:
        """How many names classes= must have."""
        return self.num_classes

    def of_step(self, targets: Any) -> NDArray[Any]:
        """Targets of a step of a loop of the user's own, as the losses of guidance take them."""
        return labels_of_step(targets)

    def as_judged(
        self, indices: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Labels (B,) to train with, `labels` itself where all are right, and weights (B,) or None.

        Weights are None where all weigh the same.
        """
        labels, kept = self._judged.weighed(indices, labels)
        weights = None if self._class_weight is None else self._class_weight[labels]
        if weights is None or kept is None:
            return labels, kept if weights is None else weights
        return labels, kept * weights

    def even_weights(self, rows: int) -> NDArray[np.float32] | None:
        """Weights of samples that weigh the same, as a step takes them."""
        return np.ones(rows, np.float32)

    def class_numbers(self, targets: NDArray[Any]) -> NDArray[np.int64]:
        """Class numbers (B,) of targets in any form that the data may have."""
        return read_labels(targets, "targets", CHANGES["arrays"])[0]

    def targets(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        """Class numbers (B,) in the form that the compiled loss takes."""
        if self._target_form == "one-hot":
            return np.eye(self.num_classes, dtype=np.float32)[labels]
        if self._target_form == "column":
            return labels[:, None].astype(np.float32)
        return labels
