"""Tables of pandas: which features a DataFrame has, and its cells as numbers.

pandas is never imported: whoever gives a DataFrame has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.table.features import Feature, listed, make_features, nearest

Cells = NDArray[np.float32]

#: A column of words with more of them than this is an identity or a text rather than a category.
MOST_CATEGORIES = 200


def is_frame(inputs: Any) -> bool:
    """Whether all inputs are a DataFrame."""
    return all(hasattr(inputs, name) for name in ("iloc", "columns", "dtypes", "to_numpy"))


def features_of(
    frame: Any, argument: str, codes: Mapping[Any, Sequence[Any]]
) -> tuple[tuple[str, ...], tuple[Feature, ...]]:
    """Names of the columns that a DataFrame becomes, and its features.

    A column of numbers stays one; one of truth values becomes a code, 0 or 1; one of words, or
    of the type "category", becomes a one-hot column for each category, in the order that pandas
    has or else sorted, unless `codes` lists its categories.

    Raises
    ------
    ValueError
        If a column can be none of this, or two have one name.
    """
    names = [str(name) for name in frame.columns]
    columns: list[str] = []
    groups: dict[str, list[str]] = {}
    coded = {str(name): list(map(str, categories)) for name, categories in codes.items()}
    for name in coded:
        if name not in names:
            raise ValueError(f"codes: {argument} has no column {name!r}; {nearest(name, names)}")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(
                f"{argument} has two columns that are called {name!r}; give each a name of its own"
            )
        column = frame.iloc[:, place]
        kind = _kind(column, name, argument)
        if kind == "truth":
            coded.setdefault(name, ["False", "True"])
        if kind != "words" or name in coded:
            columns.append(name)
            continue
        categories = _categories(column)
        if len(categories) > MOST_CATEGORIES:
            raise ValueError(
                f"{argument} has {len(categories)} different words in column {name!r}, too many "
                f"for categories; leave it out, frame.drop(columns={name!r}), or give it fewer"
            )
        groups[name] = [f"{name}={category}" for category in categories]
        columns += groups[name]
    return tuple(columns), make_features(columns, groups, coded)


def cells(frame: Any, argument: str, columns: Sequence[str], features: Sequence[Feature]) -> Cells:
    """Rows (N, F) float32 of a DataFrame, in the order of `columns`.

    Raises
    ------
    ValueError
        If a column is missing or one too many, a cell is empty, or a category is not known.
    """
    names = [str(name) for name in frame.columns]
    rows = np.empty((len(frame), len(columns)), np.float32)
    used: set[str] = set()
    for feature in features:
        places = list(feature.columns)
        if feature.name in names:
            used.add(feature.name)
            column = frame.iloc[:, names.index(feature.name)]
            if feature.categories and _kind(column, feature.name, argument) != "numbers":
                numbers = _numbered(column, feature, argument)
                one_hot = np.eye(len(feature.categories), dtype=np.float32)
                rows[:, places] = one_hot[numbers] if feature.one_hot else numbers[:, None]
                continue
            if not feature.one_hot:
                rows[:, places[0]] = _numbers(column, feature.name, argument)
                continue
        for place in places:
            if columns[place] not in names:
                raise ValueError(
                    f"{argument} has no column {feature.name!r}, which the model was given; it has "
                    f"{listed(names)}"
                )
            used.add(columns[place])
            column = frame.iloc[:, names.index(columns[place])]
            rows[:, place] = _numbers(column, columns[place], argument)
    if more := [name for name in names if name not in used]:
        raise ValueError(
            f"{argument} has columns that the model was not given so far, {listed(more)}; leave "
            f"them out, frame.drop(columns={more[:8]!r})"
        )
    return rows


def _kind(column: Any, name: str, argument: str) -> str:
    """Whether a column holds "numbers", "truth" values or "words"."""
    dtype = column.dtype
    kind = getattr(dtype, "kind", "O")
    if hasattr(dtype, "categories"):
        return "words"
    if kind == "b":
        return "truth"
    if kind in "iuf":
        return "numbers"
    if kind in "mM":
        raise ValueError(
            f"{argument} has times in column {name!r}; make a number of them, for example "
            f"(frame[{name!r}] - frame[{name!r}].min()) / pandas.Timedelta(days=1)"
        )
    if kind == "c":
        raise ValueError(f"{argument} has complex numbers in column {name!r}; give real ones")
    return "words"


def _categories(column: Any) -> list[str]:
    known = getattr(column.dtype, "categories", None)
    if known is not None:
        return [str(category) for category in known]
    return sorted({str(word) for word in column[column.notna()].unique()})


def _numbers(column: Any, name: str, argument: str) -> Cells:
    try:
        values: Cells = column.to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError):
        row = next(k for k, word in enumerate(column) if not _is_number(word))
        raise ValueError(
            f"{argument} has {column.iloc[row]!r} in row {row}, column {name!r}, which is to hold "
            f"numbers; convert it, for example pandas.to_numeric(frame[{name!r}])"
        ) from None
    return values


def _is_number(word: Any) -> bool:
    try:
        float(word)
    except (TypeError, ValueError):
        return False
    return True


def _numbered(column: Any, feature: Feature, argument: str) -> NDArray[np.int64]:
    """The number of each cell's category."""
    empty = column.isna().to_numpy()
    if empty.any():
        raise ValueError(
            f"{argument} has {int(empty.sum())} empty cells in column {feature.name!r}, the first "
            f"in row {int(np.argmax(empty))}; fill them, for example "
            f'frame[{feature.name!r}].astype(object).fillna("missing")'
        )
    numbers = {category: k for k, category in enumerate(feature.categories)}
    words = [str(word) for word in column]
    for row, word in enumerate(words):
        if word not in numbers:
            raise ValueError(
                f"{argument} has the category {word!r} in row {row}, column {feature.name!r}, "
                f"which is not among those that the model was given, "
                f"{listed(feature.categories)}; leave these rows out, or name all categories: "
                f"pandas.Categorical(frame[{feature.name!r}], categories=[...]) in both"
            )
    return np.array([numbers[word] for word in words], np.int64)
