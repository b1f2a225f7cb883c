"""Keras models that give a class to each place of a picture: ``task="segmentation"``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, StepOutput
from coflect_widget.backends.guided_outputs import OfPlaces
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.loss import check_loss, find_head, last_activation
from coflect_widget.backends.keras.model import Head
from coflect_widget.backends.keras.ops import TfOps
from coflect_widget.backends.keras.other_targets import OtherTargets
from coflect_widget.backends.label_forms import Form
from coflect_widget.backends.masks import (
    TASK,
    VOID,
    OfMasks,
    OfPlacesBackend,
    check_known,
    check_masks,
    check_outputs_of_places,
    check_places,
)
from coflect_widget.tasks import Segmentation
from coflect_widget.tasks.tallies import Overlap

Masks = NDArray[np.int64]


class MaskSource(OfMasks, Source):
    """A `data.Source` of pictures and masks (N, H, W); batches have them as int64 (B, H, W)."""

    class_numbers = False

    def read_targets(self, values: Any, index: int | None = None) -> tuple[NDArray[Any], Form]:
        """Masks (N, H, W), or of sample `index` alone (1, H, W)."""
        several = index is None
        named = self.argument if several else f"{self.argument}[{index}][1]"
        try:
            masks = np.asarray(values)
        except (TypeError, ValueError):
            masks = np.asarray(None)
        if masks.dtype.kind not in "iufb":
            raise ValueError(f"{named} is no mask; give an array (H, W) of class numbers, integers")
        whole = "{name}.astype('int64')"
        check_masks(tuple(masks.shape), masks.dtype, named, whole, several=several)
        return (masks if several else masks[None]), "numbers"

    def one(self, target: Any) -> NDArray[Any]:
        """A mask (H, W)."""
        return np.array(target)

    def batches(self, order: Masks, batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """See `data.Source`; masks stay in the type they were given in until here."""
        for batch in super().batches(order, batch_size, skip):
            yield batch._replace(targets=np.asarray(batch.targets).astype(np.int64))


def figures(task: Segmentation, logits: Any, masks: Any) -> Any:
    """See `Segmentation.figures`, of logits (B, C, H, W): on the device, without a wait for it."""
    return task.figures(logits, masks, _counted, ARRAYS)


def _counted(numbers: Any, length: int, weights: Any) -> Any:
    each = tf.ones_like(numbers) if weights is None else weights
    return tf.math.unsorted_segment_sum(each, numbers, length)


def _leaves_out(value: int) -> str:
    return (
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True, "
        f"ignore_class={value}) to model.compile()"
    )


class ARRAYS:
    """Functions of the array API standard of TensorFlow, as far as segmentation needs them."""

    float32, int64 = tf.float32, tf.int64
    astype, reshape, where, zeros_like = tf.cast, tf.reshape, tf.where, tf.zeros_like
    exp, log, stack = tf.exp, tf.math.log, tf.stack
    sum, max, min = tf.reduce_sum, tf.reduce_max, tf.reduce_min

    @staticmethod
    def argmax(x: Any, axis: int) -> Any:
        """int64."""
        return tf.argmax(x, axis, tf.int64)

    @staticmethod
    def take_along_axis(x: Any, indices: Any, axis: int) -> Any:
        """Of (B, C, n) and one number a place (B, 1, n), along axis 1."""
        last = tf.transpose(x, (0, 2, axis))
        return tf.gather(last, indices[:, 0], axis=2, batch_dims=2)[:, None]

    @staticmethod
    def clip(x: Any, low: float | None, high: float | None) -> Any:
        """What is not a number stays so."""
        x = x if low is None else tf.maximum(x, low)
        return x if high is None else tf.minimum(x, high)

    @staticmethod
    def full_like(x: Any, value: Any) -> Any:
        """Of the shape and the type of `x`."""
        return tf.fill(tf.shape(x), tf.cast(value, x.dtype))

    @staticmethod
    def arange(count: int, dtype: Any = tf.int64, device: Any = None) -> Any:
        """From 0 on, where TensorFlow puts it."""
        return tf.range(count, dtype=dtype)


class SegmentationBackend(OfPlacesBackend, OtherTargets):
    """Implements `backends.base.Backend` for masks (N, H, W) and outputs (N, H, W, classes).

    Where the model takes pictures (N, C, H, W), outputs are (N, classes, H, W). The attribute
    ``ignore_class`` of the compiled loss is the target of places without a label.
    """

    reads = MaskSource
    figures = staticmethod(figures)
    task: Segmentation
    task_name, given = Segmentation.name, "outputs"

    def _outputs(self) -> Any:
        inputs = self._inputs()
        try:
            outputs = self.keras_model(inputs, training=False)
        except Exception as error:  # Keras has many kinds
            raise ValueError(
                f"model fails on a batch of shape {inputs.shape} made from train_data: {error}"
            ) from error
        kind = self.modality
        if kind is None or kind.members or kind.axes != 2:
            raise ValueError(f"{TASK} is for a model of one input, a picture (H, W, C)")
        shape = tuple(getattr(outputs, "shape", ()))
        if len(shape) != 4:
            raise ValueError(
                f"model gives {shape or type(outputs).__name__} for {len(inputs)} pictures; under "
                f"{TASK} it must give (samples, H, W, classes): one output for each pixel and "
                "class. To classify whole pictures pass class numbers and leave task= out"
            )
        return outputs

    def _rows(self, outputs: Any) -> Any:
        """Outputs for places as those for samples (n x places, classes)."""
        placed = tf.transpose(outputs, (0, 2, 3, 1)) if self._first_axis else outputs
        rows = tf.reshape(placed, (-1, placed.shape[-1]))
        if hasattr(outputs, "_keras_logits"):  # of a softmax
            rows._keras_logits = True
        return rows

    @property
    def _first_axis(self) -> bool:
        """Whether classes stand first, as the channels of the pictures do."""
        x = self.train_source.input(0)
        return x.ndim == 3 and self.layout == "first"

    def find_meaning(self, outputs: Any) -> tuple[Head, int]:
        model = self.keras_model
        rows = self._rows(outputs)
        classes = int(rows.shape[1])
        places = tuple(self.train_source.target(0).shape)
        given = (1, *outputs.shape[1:])
        found = tuple(outputs.shape[2:] if self._first_axis else outputs.shape[1:3])
        resized = (
            f"let the model end with keras.layers.Resizing{places}, or with as many UpSampling2D "
            "as it has poolings"
        )
        check_outputs_of_places(given, found, classes, places, None, resized)
        return find_head(rows, model.loss, last_activation(model)), classes

    def check_meaning(self, head: Head, outputs: Any) -> None:
        model = self.keras_model
        check_loss(model.loss, head, self._rows(outputs), last_activation(model))
        void = getattr(model.loss, "ignore_class", None)
        classes = self.num_classes
        for source in self.sources():
            masks = source.labels()
            check_known(source, masks, classes, void, _leaves_out)
            x = self.model.chw(source.input(0))
            check_places(source.argument, tuple(masks.shape[1:]), tuple(x.shape[1:]))
        self.know(self.train_source.labels(), classes, VOID if void is None else int(void))

    # --- what is kept of a step ----------------------------------------------------------------

    def of_step(self, targets: Any) -> Masks:
        """Masks (B, H, W) of targets as the compiled loss takes them."""
        given = np.asarray(targets)
        if given.ndim == 4:
            given = given[..., 0] if given.shape[-1] == 1 else given.argmax(-1)
        return given.astype(np.int64)

    def even_weights(self, rows: int) -> None:
        return None  # (B,) would be taken for weights of the places in a row

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        if self._target_form == "one-hot":
            rows: NDArray[np.float32] = np.eye(self.num_classes, dtype=np.float32)[labels]
            return rows
        return labels

    def step(self, *given: Any, **more: Any) -> StepOutput:
        return self.reduced(super().step(*given, **more))

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        outputs, masks = self.model.logits(tf.convert_to_tensor(logits)), self.of_step(targets)
        self.task.check(outputs, masks)
        output = self.reduced(StepOutput(indices, masks, outputs, loss, guidance_loss))
        if loss is None:
            output.loss = tf.reduce_mean(output.logits[:, 0])
        return output

    def tally(self) -> Overlap:
        return Overlap(self.task, _counted, ARRAYS)

    def count(self, tally: Any, outputs: Any, targets: NDArray[Any]) -> None:
        tally.add(outputs, targets)

    # --- guidance ------------------------------------------------------------------------------

    def ops(self) -> OfPlaces:
        return OfPlaces(TfOps(), self.task.void)

    def read_rows(self, indices: Any) -> tuple[NDArray[np.float32], Masks]:
        """Pictures and masks; places without a label have a number above all classes."""
        inputs, masks = super().read_rows(indices)
        masks = masks.astype(np.int64)
        unknown = (masks < 0) | (masks == self.task.void)
        return inputs, np.where(unknown, self.num_classes, masks)
