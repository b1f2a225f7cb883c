"""Boosted trees in a worker: their arrays come and go. They have outputs, and no gradient."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import WeightSpec
from coflect_widget.backends.differentiable import Differentiable, Held, Noise, WorkerModel
from coflect_widget.backends.trees.forest import Forest

#: Rounds that a snapshot has room for, and its bytes, at most.
_ROUNDS, _BYTES = 500, 2**25
#: Nodes of a tree of 64 leaves.
_NODES = 127
_NODE = ("feature", "threshold", "left", "right", "value")
_TREE = ("root", "output")
SIZES = "sizes"


def specs_of(forest: Forest) -> list[WeightSpec]:
    """The room of a snapshot: trees grow, and that does not."""
    each = forest.outputs if forest.outputs > 2 else 1  # trees of a round
    arrays = forest.weights()
    node = sum(arrays[name].itemsize for name in _NODE) * _NODES * each
    rounds = max(1, min(_ROUNDS, _BYTES // node))
    room = dict.fromkeys(_NODE, (rounds * each * _NODES,))
    room |= dict.fromkeys(_TREE, (rounds * each,))
    room["start"] = (forest.outputs,)
    specs = [WeightSpec(name, shape, str(arrays[name].dtype)) for name, shape in room.items()]
    return [WeightSpec(SIZES, (3,), "int64"), *specs]


def copy_to(forest: Forest, specs: Sequence[WeightSpec], room: Sequence[NDArray[Any]]) -> None:
    """Write nodes, trees and rounds, and the arrays as far as there is room."""
    arrays = forest.weights()
    room[0][:] = len(arrays["feature"]), len(forest), forest.rounds
    for spec, into in zip(specs[1:], room[1:], strict=True):
        values = arrays[spec.name]
        if len(values) <= len(into):
            into[: len(values)] = values


def structure(forest: Forest) -> bytes:
    """What `load` makes a forest without trees of."""
    return json.dumps([forest.learner, forest.columns, forest.outputs]).encode()


def load(structure: bytes) -> TreesWorkerModel:
    """Rebuild it; its trees come with the weights."""
    learner, columns, outputs = json.loads(structure)
    return TreesWorkerModel(Forest(str(learner), int(columns), int(outputs)))


class _Numpy:
    """Of `differentiable.Ops` what outputs alone need."""

    @staticmethod
    def numpy(values: NDArray[Any]) -> NDArray[Any]:
        return values


class _Outputs:
    """Of `differentiable.Differentiable` what has no gradient."""

    ops = _Numpy()

    def __init__(self, model: TreesWorkerModel) -> None:
        self.own = np.asarray
        self.logits = model.outputs


class TreesWorkerModel(WorkerModel):
    """`backends.differentiable.WorkerModel` for boosted trees."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """See `WorkerModel.load_weights`.

        Raises
        ------
        ValueError
            If a snapshot had no room for all trees.
        """
        nodes, trees, rounds = (int(n) for n in views[SIZES])
        if nodes > len(views["feature"]) or trees > len(views["root"]):
            raise ValueError(
                f"{rounds} rounds are more trees than maps of single rows are made of; train for "
                "fewer rounds, or ask session.pipeline.worth_of_columns(rows)"
            )
        ends = {**dict.fromkeys(_NODE, nodes), **dict.fromkeys(_TREE, trees)}
        found = {name: np.array(views[name][:end]) for name, end in ends.items()}
        self.forest.put_weights({
            **found, "start": np.array(views["start"]), "rounds": np.array([rounds])
        })  # fmt: skip

    def fill(self) -> None:
        """No trees."""
        self.forest = Forest(self.forest.learner, self.forest.columns, self.forest.outputs)

    def randomise(self, seed: int) -> None:
        """Draw columns and thresholds anew, and bring the values of leaves into another order."""
        rng = np.random.default_rng(seed)
        weights = self.forest.weights()
        inner = weights["feature"] >= 0
        columns = rng.integers(self.forest.columns, size=len(inner)).astype(np.int32)
        spread = float(weights["threshold"][inner].std()) if inner.any() else 0.0
        self.forest.put_weights({
            **weights,
            "feature": np.where(inner, columns, -1),
            "threshold": rng.normal(0, spread or 1.0, len(inner)),
            "value": rng.permutation(weights["value"]),
        })  # fmt: skip

    def bound(self, held: Held | None = None) -> Differentiable:
        """The model's outputs; whatever asks for a gradient fails."""
        return cast("Differentiable", _Outputs(self))

    def probabilities(self, logits: Any) -> NDArray[np.float32]:
        """Softmax."""
        powers = np.exp(logits[0] - logits[0].max())
        found: NDArray[np.float32] = (powers / powers.sum()).astype(np.float32)
        return found

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[Noise]:
        """Nothing is drawn here."""
        rng = np.random.default_rng(seed)
        yield lambda shape, spread: rng.normal(0, spread, shape)

    def outputs(self, x: NDArray[np.float32], held: Held | None = None) -> NDArray[np.float32]:
        """Logits less their mean over the classes: of two, trees grow for the second alone."""
        found = self.forest(x)
        return found - found.mean(1, keepdims=True) if found.shape[1] > 1 else found
