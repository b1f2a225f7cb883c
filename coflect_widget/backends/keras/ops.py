"""Array functions of TensorFlow, for maps and guidance; in and out of a ``tf.function``."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.guided_outputs import OfClasses


class TfCell:
    """A number () that a compiled step may change."""

    def __init__(self) -> None:
        self._variable = tf.Variable(-1.0, trainable=False)

    @property
    def value(self) -> Any:
        """As it is now, whatever is assigned later."""
        return tf.identity(self._variable)

    def assign(self, value: Any) -> None:
        """Keep another one."""
        self._variable.assign(value)

    def forget(self) -> None:
        """It is not known any more."""
        self._variable.assign(-1.0)


class TfOps(OfClasses):
    """`backends.differentiable.Ops`; maps are (B, h, w, C)."""

    channels, places = -1, (1, 2)
    sum, mean, min = map(staticmethod, (tf.reduce_sum, tf.reduce_mean, tf.reduce_min))
    abs, square, where, relu = map(staticmethod, (tf.abs, tf.square, tf.where, tf.nn.relu))
    isfinite, maximum = map(staticmethod, (tf.math.is_finite, tf.maximum))
    detach, log_softmax = map(staticmethod, (tf.stop_gradient, tf.nn.log_softmax))
    log_sigmoid = staticmethod(tf.math.log_sigmoid)

    @staticmethod
    def real(x: Any) -> Any:
        return tf.cast(x, tf.float32)  # of any floating type that a policy sets

    @staticmethod
    def whole(x: Any) -> Any:
        return tf.cast(x, tf.int64)

    @staticmethod
    def like(x: Any, other: Any) -> Any:
        return tf.reshape(tf.cast(x, other.dtype), tf.shape(other))

    @staticmethod
    def rows(x: Any) -> Any:
        return tf.reshape(x, (tf.shape(x)[0], -1))

    @staticmethod
    def concat(parts: Any, axis: int = 0) -> Any:
        return tf.concat(parts, axis)

    @staticmethod
    def halves(x: Any) -> tuple[Any, Any]:
        first, second = tf.split(x, 2)
        return first, second

    @staticmethod
    def cross_entropy(logits: Any, targets: Any) -> Any:
        axes = range(len(logits.shape))
        logits = tf.transpose(logits, (0, *axes[2:], 1))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)

    @staticmethod
    def of_classes(logits: Any, targets: Any) -> Any:
        return tf.gather(logits, targets, axis=1, batch_dims=1)

    @staticmethod
    def pooled(region: Any, size: tuple[int, int]) -> Any:
        region = tf.convert_to_tensor(region)
        sides = zip(region.shape[1:], size, strict=True)
        down, across = (tf.constant(_cells(int(n), s)) for n, s in sides)
        return tf.einsum("hi,bij,wj->bhw", down, region, across)

    @staticmethod
    def resized(cam: Any, size: tuple[int, ...]) -> NDArray[np.float32]:
        return TfOps.numpy(tf.image.resize(cam[..., None], size)[0, :, :, 0])

    @staticmethod
    def numpy(x: Any) -> NDArray[Any]:
        found: NDArray[Any] = x.numpy()
        return found


def _cells(length: int, cells: int) -> NDArray[np.float32]:
    """(cells, length): the mean over each cell's pixels, as adaptive average pooling cuts them."""
    found = np.zeros((cells, length), np.float32)
    for cell in range(cells):
        first, last = cell * length // cells, -(-(cell + 1) * length // cells)
        found[cell, first:last] = 1 / (last - first)
    return found
