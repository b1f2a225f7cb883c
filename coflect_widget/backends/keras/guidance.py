"""Second passes of a Keras model beside a step's main one, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.differentiable import Checked
from coflect_widget.backends.keras.entry import Entry
from coflect_widget.backends.keras.gradients import KerasGradients
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.ops import TfCell
from coflect_widget.backends.keras.quiet import (
    held_statistics,
    normalises_by_batch,
    quiet,
    refresh_statistics,
)

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]
ReadRows = Callable[[Sequence[int]], tuple[Array, Numbers]]

#: Guided steps in a row whose gradients do not fit into 16 bits until the term is said to fail:
#: an optimizer that scales the loss halves its factor at each of them.
OVERFLOWS = 20


class KerasGuided(KerasGradients):
    """`backends.differentiable.Guided` for Keras; passes work in and out of a ``tf.function``.

    Parameters
    ----------
    classifier : Classifier
    read_rows : callable
        Indices -> inputs (n, ...) as the model takes them, and labels (n,).
    entry : Entry, optional
        Where whole numbers enter the model.
    """

    looks = True
    placed = False

    def __init__(
        self, classifier: Classifier, read_rows: ReadRows, entry: Entry | None = None
    ) -> None:
        super().__init__(classifier, training=True, entry=entry)
        self._own_rows = read_rows
        self._overflows = 0  # in a row

    def read_rows(self, indices: Sequence[int]) -> tuple[Array, Numbers]:
        inputs, labels = self._own_rows(indices)
        return self.classifier.chw(inputs), labels

    def tensors(self, array: NDArray[Any]) -> NDArray[Any]:
        return array  # rows are chosen outside the graph

    def cell(self) -> TfCell:
        return TfCell()

    def logits(self, x: Any) -> Any:
        with quiet(self.classifier.model):
            return self.outputs(x)

    def normalises_by_batch(self) -> bool:
        return normalises_by_batch(self.classifier.model)

    def held_statistics(self) -> AbstractContextManager[Any]:
        return held_statistics(self.classifier.model)

    def refresh_statistics(self, inputs: Any, steps: int) -> None:
        refresh_statistics(self.classifier.model, inputs, steps)

    def reaches_weights(self, value: Callable[[], Any]) -> bool:
        with tf.GradientTape() as tape:
            found = value()
        gradients = tape.gradient(found, self.classifier.model.trainable_variables)
        return any(gradient is not None for gradient in gradients)

    def differentiate(
        self,
        term: Callable[[], Any],
        *,
        scale_loss: Callable[[Any], Any] | None = None,
        clear: bool = True,
    ) -> Checked:
        """In and out of graphs.

        Parameters
        ----------
        term : callable () -> tensor ()
        scale_loss : callable, optional
            The optimizer's; the gradients are scaled as those of the task loss are.
        clear : bool
            Whether the gradients are 0 where one of them is not finite.
        """
        with tf.GradientTape() as tape:
            value = term()
            scaled = value if scale_loss is None else scale_loss(value)
        gradients = tape.gradient(scaled, self.classifier.model.trainable_variables)
        found = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        every = [value, *(g for g in found if g is not None)]
        sound = tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(one)) for one in every]))
        checked = Checked(tf.stop_gradient(value), found, sound)
        return self.cleared(checked) if clear else checked

    def cleared(self, checked: Checked) -> Checked:
        found = [
            None if g is None else tf.where(checked.finite, g, tf.zeros_like(g))
            for g in checked.gradients
        ]
        return checked._replace(gradients=found)

    def summand(self, checked: Checked) -> Any:
        variables = self.classifier.model.trainable_variables

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def known(*weights: Any) -> Any:
            def backward(upstream: Any) -> list[Any]:
                return [
                    tf.zeros_like(weight) if g is None else g * tf.cast(upstream, g.dtype)
                    for weight, g in zip(weights, checked.gradients, strict=True)
                ]

            return tf.identity(checked.value), backward

        return known(*[tf.convert_to_tensor(variable) for variable in variables])

    def sent(self, checked: Checked, task_loss: Any) -> Callable[[], bool | None]:
        return lambda: bool(checked.finite)

    def overflowed(self, *, scaled: bool) -> bool:
        self._overflows = (self._overflows + 1) % OVERFLOWS if scaled else self._overflows
        return scaled and self._overflows > 0

    def fits(self) -> None:
        self._overflows = 0

    def kept(self) -> dict[str, Any]:
        return {"overflows": self._overflows}

    def take(self, kept: Mapping[str, Any]) -> None:
        self._overflows = kept["overflows"]
