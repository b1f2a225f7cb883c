"""The last layer of a classifier: what it is given, and its weights."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray


class Linear(NamedTuple):
    """Weights of a linear layer: outputs are ``features @ weight.T + bias``."""

    weight: NDArray[Any]  # (C, D)
    bias: NDArray[Any] | None  # (C,), None where the layer has none


class LastLayer(Protocol):
    """The linear layer that gives a model's logits.

    Attributes
    ----------
    name : str
        As of the model's weights: ``{name}.weight``.
    """

    name: str

    def features(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """What the layer is given (n, D) for inputs (n, ...), in eval mode."""

    def weights(self) -> Linear:
        """A copy of its weights."""

    def put(self, weights: Linear) -> None:
        """Give it these weights; at a step boundary."""
