"""The target is one of a few classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, words_of
from coflect_widget.projects.quickstart.goals.base import no_clusters, spelled
from coflect_widget.projects.quickstart.same import different, places_of

#: Whole numbers with so few values may be names of classes, other numbers with so few.
_WHOLE, _BROKEN = 20, 10
_MOST = 1000
#: The most frequent class has so large a share from which it is said; a class so few rows.
_UNEQUAL, _FEW = 0.8, 10


class Classes:
    """Classes by name; see `Goal`."""

    name: ClassVar[str] = "classification"
    noun: ClassVar[str] = "a class"
    by_class: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True
    learner: ClassVar[str] = ""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.classes: list[str] = []

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @classmethod
    def suits(cls, column: Column) -> str:
        if column.kind == "category" and column.distinct <= _MOST:
            return f"it has {column.distinct} different words"
        if column.kind != "number":
            return ""
        if column.distinct <= (_WHOLE if column.whole else _BROKEN):
            return f"it has {column.distinct} different values"
        return ""

    @classmethod
    def refuses(cls, column: Column, rows: int) -> str:
        if column.kind not in ("category", "number"):
            return f"{column.name!r} holds no classes"
        if column.distinct > min(_MOST, rows // 2):
            return (
                f"{column.name!r} has {column.distinct} different values in {rows} rows, too many "
                "for classes"
            )
        return ""

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[np.int64]:
        words = words_of(values)
        return np.array(places_of(words, different(filter(None, words))), np.int64)

    @classmethod
    def about(cls, values: NDArray[Any]) -> list[str]:
        words = [word for word in words_of(values) if word]
        names = different(words)
        counts = Counter(names[k] for k in places_of(words, names))
        total = sum(counts.values())
        frequent = counts.most_common()
        said = [
            f"{len(counts)} classes: "
            + spelled([f"{word} {n:,} ({n / total:.0%})" for word, n in frequent])
            + "."
        ]
        if frequent[0][1] >= _UNEQUAL * total:
            said.append(
                f"Classes are unequal: always saying {frequent[0][0]!r} is right in "
                f"{frequent[0][1] / total:.0%} of the rows. Look at the balanced accuracy."
            )
        few = [word for word, n in frequent if n < _FEW]
        if few:
            said.append(f"Fewer than {_FEW} rows: {spelled(few)}. Little can be learned of them.")
        return said

    def choose(self, clusters: int) -> None:
        raise no_clusters(self.name)

    def fit(self, values: NDArray[Any]) -> None:
        self.classes = sorted(different(filter(None, words_of(values))), key=_in_order)

    def transform(self, values: NDArray[Any]) -> NDArray[np.int64]:
        return np.array(places_of(words_of(values), self.classes), np.int64)

    def evidence(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        one_hot: NDArray[np.float32] = np.eye(self.outputs, dtype=np.float32)[targets]
        found: NDArray[np.float32] = one_hot - one_hot.mean(0)
        return found

    def arguments(self) -> dict[str, Any]:
        return {"classes": self.classes}

    def beside(self, outputs: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        del x
        return outputs

    def settle(self, outputs: NDArray[Any]) -> None:
        pass

    def readable(self, outputs: NDArray[Any]) -> list[dict[str, Any]]:
        shares = softmax(outputs)
        return [
            {
                "class": self.classes[int(row.argmax())],
                "probabilities": dict(zip(self.classes, map(float, row), strict=True)),
            }
            for row in shares
        ]

    def figures(self, outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
        wanted, told = self.transform(values), outputs.argmax(1)
        recall = [float((told[wanted == k] == k).mean()) for k in np.unique(wanted[wanted >= 0])]
        shares = softmax(outputs)
        known = wanted >= 0
        likely = shares[known, wanted[known]].clip(1e-12)
        return {
            "accuracy": float((told == wanted).mean()),
            "balanced_accuracy": float(np.mean(recall)) if recall else 0.0,
            "log_loss": float(-np.log(likely).mean()) if known.any() else float("nan"),
        }

    def plain(self, model: Any, x: Any, y: Any, test: Any, values: Any) -> float:
        return float((model.fit(x, y).predict(test) == self.transform(values)).mean())

    def plain_estimators(self) -> Mapping[str, Any]:
        from sklearn.linear_model import LogisticRegression

        return {"logistic regression": LogisticRegression(max_iter=1000)}

    def guess(self, values: NDArray[Any]) -> float:
        return float(np.bincount(self.transform(values).clip(0)).max() / len(values))

    def state(self) -> dict[str, Any]:
        return {"classes": self.classes}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Classes:
        goal = cls()
        goal.classes = [str(name) for name in state["classes"]]
        if len(goal.classes) < 2:
            raise ValueError("fewer than 2 classes")
        return goal


def softmax(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities (n, classes) of logits."""
    moved = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
    powers = np.exp(moved)
    found: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return found


def _in_order(word: str) -> tuple[float, str]:
    """Numbers by their size, words by the alphabet."""
    try:
        return (float(word), word)
    except ValueError:
        return (float("inf"), word)
