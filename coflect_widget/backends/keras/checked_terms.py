"""Gradients of a loss term that are known to be finite before anybody adds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def differentiate(
    term: Callable[[], Any],
    variables: Sequence[Any],
    scale_loss: Callable[[Any], Any] | None = None,
    *,
    clear: bool = True,
) -> tuple[Any, list[Any], Any]:
    """Value and gradients of a term, in and out of graphs.

    Parameters
    ----------
    term : callable () -> tensor ()
    variables : sequence
        What the gradients are by.
    scale_loss : callable, optional
        The optimizer's; the gradients are scaled as those of the task loss are.
    clear : bool
        Whether the gradients are 0 where one of them is not finite.

    Returns
    -------
    value : tensor ()
    gradients : list of tensor or None
        Dense; None where the term does not depend on a variable.
    sound : tensor () of bool
        Value and gradients are free of NaN and infinity.
    """
    with tf.GradientTape() as tape:
        value = term()
        scaled = value if scale_loss is None else scale_loss(value)
    gradients = tape.gradient(scaled, variables)
    found = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
    every = [value, *(g for g in found if g is not None)]
    sound = tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(one)) for one in every]))
    if clear:
        found = [None if g is None else tf.where(sound, g, tf.zeros_like(g)) for g in found]
    return tf.stop_gradient(value), found, sound


def summand(value: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> Any:
    """A tensor () to add to a loss, whose gradients by `variables` are known already."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def known(*weights: Any) -> Any:
        def backward(upstream: Any) -> list[Any]:
            return [
                tf.zeros_like(weight) if g is None else g * tf.cast(upstream, g.dtype)
                for weight, g in zip(weights, gradients, strict=True)
            ]

        return tf.identity(value), backward

    return known(*[tf.convert_to_tensor(variable) for variable in variables])
