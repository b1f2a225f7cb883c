"""Columns that give the target away: each is tried alone, by a small tree on rows it has not seen.

A column that was written after the outcome, or is the outcome under another name, makes figures
that no later row will keep. Whether one is that or simply a good measurement a person knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, numbers, times, words_of
from coflect_widget.projects.quickstart.sheet import Sheet

#: Skill of a column alone, from 0 (chance) to 1, from which it gives the target away.
TOO_GOOD = 0.97
#: Rows that are looked at: fewer where there are many columns, so many cells in all.
_ROWS, _CELLS, _LEAST = 4000, 400_000, 500
_FEW, _LEAVES, _PARTS = 30, 32, 3
_CATEGORIES = 100


@dataclass(frozen=True, slots=True)
class Leak:
    """A column, and how well it alone tells the target: 0 is chance, 1 always."""

    name: str
    skill: float


def leaks(
    sheet: Sheet, columns: Sequence[Column], target: NDArray[Any], *, classes: bool
) -> list[Leak]:
    """Columns that tell the target nearly always.

    Parameters
    ----------
    sheet, columns
        Where to look; other columns than numbers, categories and times are passed over.
    target : ndarray (N,)
        Class numbers with -1, or values with NaN, where there is none.
    classes : bool
        Whether they are class numbers: skill is balanced accuracy above chance, else R squared.
    """
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.flatnonzero(target >= 0 if classes else ~np.isnan(target))
    rng = np.random.default_rng(0)
    rows = rng.permutation(rows)[: max(_LEAST, min(_ROWS, _CELLS // max(1, len(columns))))]
    wanted = target[rows]
    if classes:
        kinds, counts = np.unique(wanted, return_counts=True)
        rows = rows[np.isin(wanted, kinds[counts >= _PARTS])]
        wanted = target[rows]
    if len(rows) < _FEW or len(np.unique(wanted)) < 2:
        return []
    folds = (StratifiedKFold if classes else KFold)(_PARTS, shuffle=True, random_state=0)
    tree = (DecisionTreeClassifier if classes else DecisionTreeRegressor)(
        max_leaf_nodes=_LEAVES, random_state=0
    )
    if classes:
        tree.set_params(class_weight="balanced")
    found = []
    for column in columns:
        values = _values(column, sheet.cells[column.name][rows])
        if values is None:
            continue
        told = cross_val_predict(tree, values, wanted, cv=folds)
        skill = _balanced(wanted, told) if classes else _explained(wanted, told)
        if skill >= TOO_GOOD:
            found.append(Leak(column.name, round(float(skill), 3)))
    return found


def _values(column: Column, cells: NDArray[Any]) -> NDArray[np.float64] | None:
    """Numbers (n, columns) for a tree, which takes NaN."""
    if column.kind == "number":
        return numbers(cells)[:, None]
    if column.kind == "time":
        moments = times(cells)
        values = moments.astype(np.float64)
        values[np.isnat(moments)] = np.nan
        return values[:, None]
    if column.kind != "category" or column.distinct > _CATEGORIES:
        return None
    words = np.array(words_of(cells))
    one_hot: NDArray[np.float64] = (words[:, None] == np.unique(words)[None]).astype(np.float64)
    return one_hot


def _balanced(wanted: NDArray[Any], told: NDArray[Any]) -> float:
    kinds = np.unique(wanted)
    recall = np.mean([(told[wanted == kind] == kind).mean() for kind in kinds])
    chance = 1 / len(kinds)
    return float((recall - chance) / (1 - chance))


def _explained(wanted: NDArray[Any], told: NDArray[Any]) -> float:
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    return 1 - float(((wanted - told) ** 2).sum()) / spread if spread else 0.0
