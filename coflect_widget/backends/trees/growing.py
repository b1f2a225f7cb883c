"""Who grows trees: one boosting round at a time, of scikit-learn or of XGBoost."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import MissingFrameworkError
from coflect_widget.backends.trees.forest import Tree

RATE = 0.1
#: Log-odds from which a class begins that no row of the training part has.
_ABSENT = -20.0


class Grower(Protocol):
    """A learner on rows (N, columns) and targets: classes (N,), or values (N, 1) for none.

    Attributes
    ----------
    words : str
        For sentences.
    start : ndarray (outputs,)
        What it begins from, known after the first round.
    """

    words: ClassVar[str]
    start: NDArray[np.float64]

    def __init__(self, x: NDArray[Any], targets: NDArray[Any], classes: int, seed: int) -> None: ...

    def round(self) -> list[Tree]:
        """Trees of the next round."""


class HistGradientBoosting:
    """`sklearn.ensemble.HistGradientBoostingClassifier` or ``Regressor``; see `Grower`."""

    words: ClassVar[str] = "HistGradientBoosting of scikit-learn"

    def __init__(self, x: NDArray[Any], targets: NDArray[Any], classes: int, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier as Classifier
        from sklearn.ensemble import HistGradientBoostingRegressor as Regressor

        self._x, self._targets = x, targets.reshape(len(x))
        # scikit-learn grows for the classes that have rows; of two, for the second alone.
        there = np.unique(self._targets).astype(np.int64) if classes else np.zeros(1, np.int64)
        if classes and len(there) < 2:
            raise ValueError(
                f"all rows of the training part are of class {there[0]}: trees have nothing to "
                "learn; add rows of another class"
            )
        self._grown = there[1:] if classes and len(there) == 2 else there
        self.start = np.full(classes or 1, _ABSENT)
        self.start[there] = 0.0
        self._model = (Classifier if classes else Regressor)(
            max_iter=0, learning_rate=RATE, early_stopping=False, warm_start=True,
            random_state=seed,
        )  # fmt: skip

    def round(self) -> list[Tree]:
        """See `Grower`."""
        model = self._model
        model.max_iter += 1
        model.fit(self._x, self._targets)
        self.start[self._grown] = np.asarray(model._baseline_prediction).reshape(-1)
        found = []
        for k, predictor in enumerate(model._predictors[-1]):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            found.append(
                Tree(
                    np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)),
                    nodes["num_threshold"],
                    np.where(leaf, 0, nodes["left"].astype(np.int64)),
                    np.where(leaf, 0, nodes["right"].astype(np.int64)),
                    nodes["value"],
                    int(self._grown[k]),
                )
            )
        return found


class XGBoost:
    """A booster of ``xgboost``; see `Grower`."""

    words: ClassVar[str] = "XGBoost"

    def __init__(self, x: NDArray[Any], targets: NDArray[Any], classes: int, seed: int) -> None:
        try:
            import xgboost
        except ImportError as error:
            raise MissingFrameworkError(
                f"model='xgboost' needs the package 'xgboost', which cannot be imported ({error}); "
                "run: pip install 'coflect-widget[xgboost]'"
            ) from None
        self._classes = classes
        self._data = xgboost.DMatrix(x, label=targets.reshape(len(x)))
        what: dict[str, Any] = {"objective": "reg:squarederror", "base_score": 0.0}
        if classes == 2:
            what = {"objective": "binary:logistic", "base_score": 0.5}
        elif classes:
            what = {"objective": "multi:softprob", "num_class": classes, "base_score": 0.5}
        self.start = np.zeros(classes or 1)
        self._booster = xgboost.Booster(
            {**what, "eta": RATE, "tree_method": "hist", "seed": seed, "verbosity": 0},
            [self._data],
        )
        self._rounds = 0

    def round(self) -> list[Tree]:
        """See `Grower`."""
        self._booster.update(self._data, self._rounds)
        self._rounds += 1
        newest = self._booster[self._rounds - 1 : self._rounds].save_raw("json")
        model = json.loads(bytes(newest))["learner"]["gradient_booster"]["model"]
        first = 1 if self._classes == 2 else 0
        return [
            _of_xgboost(tree, first + int(group))
            for tree, group in zip(model["trees"], model["tree_info"], strict=True)
        ]


def _of_xgboost(tree: Any, output: int) -> Tree:
    left = np.array(tree["left_children"], np.int64)
    right = np.array(tree["right_children"], np.int64)
    leaf = left < 0
    said = np.array(tree["split_conditions"], np.float32)
    # A row goes left below the condition, in float32: at most the number before it.
    below = np.nextafter(said, np.float32(-np.inf)).astype(np.float64)
    return Tree(
        np.where(leaf, -1, np.array(tree["split_indices"], np.int64)),
        np.where(leaf, 0.0, below),
        np.where(leaf, 0, left),
        np.where(leaf, 0, right),
        np.where(leaf, said, 0).astype(np.float64),
        output,
    )


#: By the name that a person gives.
GROWERS: dict[str, type[Grower]] = {
    "hist_gradient_boosting": HistGradientBoosting,
    "xgboost": XGBoost,
}
