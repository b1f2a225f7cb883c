"""Where whole numbers enter a Keras model: the layer that looks them up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from coflect_widget.backends.keras.layers import changed, named_layers


class Entry:
    """The layer that a model's whole numbers enter, found on a first pass.

    Parameters
    ----------
    model : keras.Model
    call : callable, optional
        Runs the model on numbers (B, E), where ``model(x)`` does not.
    """

    def __init__(self, model: Any, call: Callable[..., Any] | None = None) -> None:
        self._model = model
        self._call = call or model
        self._name: str | None = None

    def find(self, x: Any) -> Any:
        """The first embedding that is given the numbers `x` (B, E) as they are.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self._name is None:
            self._name = _name_of(self._model, self._call, np.asarray(x))
        return named_layers(self._model)[self._name]

    def rows(self, x: Any) -> int:
        """How many numbers the layer has rows for."""
        return int(self.find(x).input_dim)

    @contextlib.contextmanager
    def given(self, x: Any, change: Callable[[Any], Any]) -> Iterator[None]:
        """Within the block the layer's output is what `change` makes of it."""
        with changed(self.find(x), lambda _, output: change(output)):
            yield


def _name_of(model: Any, call: Callable[..., Any], x: Any) -> str:
    """Path of the layer; whether the pass succeeds does not matter."""
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        for name, layer in named_layers(model).items():
            if isinstance(layer, keras.layers.Embedding):

                def look(given: Any, output: Any, _name: str = name) -> Any:
                    given = np.asarray(given)
                    if given.shape == x.shape and np.array_equal(given, x):
                        found.append(_name)
                    return output

                stack.enter_context(changed(layer, look))
        with contextlib.suppress(Exception):
            call(tf.constant(x), training=False)
    if not found:
        raise ValueError(
            "inputs are whole numbers, and no layer of the model looks each of them up: give it a "
            "keras.layers.Embedding that is called with the ids (B, L) as they are. Where the "
            "numbers are quantities and no ids, pass them as floating point, x.astype('float32')"
        )
    return found[0]
