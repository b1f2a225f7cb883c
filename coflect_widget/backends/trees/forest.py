"""Trees as plain arrays: they are kept without pickle and told from without who grew them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Arrays of a forest, by name, and their dtypes.
_ARRAYS = {
    "feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32,
    "value": np.float64, "root": np.int32, "output": np.int32, "start": np.float64,
}  # fmt: skip
#: Cells (rows x trees) that are walked at once.
_AT_ONCE = 2_000_000
_DEEPEST = 10_000


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, its root first.

    Attributes
    ----------
    feature : ndarray (n,)
        Column that a node asks for; -1 of a leaf.
    threshold : ndarray (n,)
        A row goes left where its value is at most this.
    left, right : ndarray (n,)
        Nodes that follow, by number.
    value : ndarray (n,)
        What a leaf adds.
    output : int
        To which output.
    """

    feature: NDArray[Any]
    threshold: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]
    value: NDArray[Any]
    output: int


class Forest:
    """A sum of trees that grows.

    Parameters
    ----------
    learner : str
        Who grows it; see `growing.GROWERS`.
    columns, outputs : int
        Of the inputs, and what is told of each row.
    seed : int
        Of what the learner draws.

    Attributes
    ----------
    start : ndarray (outputs,)
        What is told without trees.
    rounds : int
        Boosting rounds that were grown.
    """

    def __init__(self, learner: str, columns: int, outputs: int, seed: int = 0) -> None:
        self.learner, self.columns, self.outputs, self.seed = learner, columns, outputs, seed
        self._arrays = {name: np.empty(0, dtype) for name, dtype in _ARRAYS.items()}
        self.start = np.zeros(outputs)
        self.rounds = 0

    def __repr__(self) -> str:
        return f"<Forest: {len(self)} trees of {self.learner}>"

    def __len__(self) -> int:
        return len(self._arrays["root"])

    @property
    def start(self) -> NDArray[np.float64]:
        """See above."""
        return self._arrays["start"]

    @start.setter
    def start(self, values: NDArray[Any]) -> None:
        self._arrays["start"] = np.asarray(values, np.float64)

    def grow(self, trees: Sequence[Tree]) -> None:
        """Add the trees of one round."""
        old, at = self._arrays, len(self._arrays["feature"])
        found: dict[str, list[NDArray[Any]]] = {name: [old[name]] for name in _ARRAYS}
        for tree in trees:
            found["root"].append(np.array([at]))
            found["output"].append(np.array([tree.output]))
            for name in ("feature", "threshold", "value"):
                found[name].append(getattr(tree, name))
            for name in ("left", "right"):
                found[name].append(getattr(tree, name) + at)
            at += len(tree.feature)
        self._arrays = {
            name: np.concatenate(parts).astype(_ARRAYS[name]) for name, parts in found.items()
        }
        self.rounds += 1

    def told(self, x: NDArray[Any], first: int = 0) -> NDArray[np.float64]:
        """What the trees from number `first` on add to rows (N, columns): (N, outputs)."""
        a = self._arrays
        roots, output = a["root"][first:], a["output"][first:]
        found = np.zeros((len(x), self.outputs))
        rows = max(1, _AT_ONCE // max(1, len(roots)))
        for at in range(0, len(x) if len(roots) else 0, rows):
            part = np.asarray(x[at : at + rows], np.float64)
            node = np.broadcast_to(roots, (len(part), len(roots))).copy()
            each = np.arange(len(part))[:, None]
            for _ in range(_DEEPEST):
                feature = a["feature"][node]
                inner = feature >= 0
                if not inner.any():
                    break
                left = part[each, feature.clip(0)] <= a["threshold"][node]
                node = np.where(inner, np.where(left, a["left"][node], a["right"][node]), node)
            values = a["value"][node]  # (rows, trees)
            for k in range(self.outputs):
                found[at : at + rows, k] = values[:, output == k].sum(1)
        return found

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Rows (N, columns) -> (N, outputs): logits of classes, or values."""
        found: NDArray[np.float32] = (self.start + self.told(x)).astype(np.float32)
        return found

    # --- as arrays -----------------------------------------------------------------------------

    def weights(self) -> dict[str, NDArray[Any]]:
        """All that it is, by name."""
        return {**self._arrays, "rounds": np.array([self.rounds], np.int64)}

    def put_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take what `weights` gave.

        Raises
        ------
        ValueError
            If they are no trees for these columns and outputs.
        """
        try:
            found = {name: np.array(weights[name], dtype) for name, dtype in _ARRAYS.items()}
            (rounds,) = (int(n) for n in weights["rounds"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"the weights are no trees: {error!r}") from None
        nodes, trees = len(found["feature"]), len(found["root"])
        number = np.arange(nodes)
        inner = found["feature"] >= 0
        sound = (
            all(values.ndim == 1 for values in found.values())
            and all(len(found[n]) == nodes for n in ("threshold", "left", "right", "value"))
            and len(found["output"]) == trees
            and found["start"].shape == (self.outputs,)
            and all(_within(found[n], nodes) for n in ("root", "left", "right"))
            and _within(found["output"], self.outputs)
            and bool((found["feature"] < self.columns).all())
            # Nodes that follow stand behind, so that no walk goes in a circle.
            and bool((found["left"][inner] > number[inner]).all())
            and bool((found["right"][inner] > number[inner]).all())
        )
        if not sound:
            raise ValueError("the weights are no trees for these columns and outputs")
        self._arrays, self.rounds = found, rounds


def _within(numbers: NDArray[Any], count: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < count)
