"""Three parts of the data: to train on, to choose by, and to test once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.sheet import TEST, TRAIN, VALIDATION

#: Shares of validation and test part.
_VALIDATION, _TEST = 0.15, 0.15
#: A class with fewer rows is in the training part alone.
_LEAST = 6
#: Share of the rows whose classes may be in no other part so that equal rows stay together.
_RARE = 0.1
#: Fewer rows than this are too few to divide.
_ROWS = 30


@dataclass(frozen=True)
class Split:
    """Rows of each part (n,), sorted; no row is in two of them.

    Attributes
    ----------
    said : tuple of str
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    said: tuple[str, ...] = ()


def divide(
    targets: NDArray[Any],
    groups: NDArray[np.int64],
    part: NDArray[np.int64] | None = None,
    *,
    classes: bool,
    together: bool = True,
    seed: int = 0,
) -> Split:
    """Divide rows at random, or as the data say.

    Parameters
    ----------
    targets : ndarray (N,)
        Class numbers, whose shares are alike in all parts; or values.
    groups : ndarray (N,)
        Rows of one number are equal.
    part : ndarray (N,), optional
        What the data say; parts that they lack are taken from the training part.
    classes : bool
    together : bool
        Equal rows stay in one part, if there are enough different ones.
    seed : int
        Equal arguments give equal parts.

    Raises
    ------
    ValueError
        If there are fewer than 30 rows.
    """
    n = len(targets)
    if n < _ROWS:
        raise ValueError(f"{n} rows with a target are too few to learn from; give at least {_ROWS}")
    said: list[str] = []
    if part is not None and together:
        shared = np.isin(groups[part != TRAIN], groups[part == TRAIN])
        if shared.any():
            said.append(
                f"{int(shared.sum()):,} rows of the other parts are in the training part too: "
                "figures look better than they are."
            )
    alone = np.arange(n)
    found: list[NDArray[np.int64]] = []
    for units in (groups, alone) if together else (alone,):
        found = _parts(targets, units, part, seed, classes=classes)
        few = units is groups and part is None and classes and _lacks(targets, found)
        if all(map(len, found)) and not few:
            break
    else:
        raise ValueError("the rows cannot be divided: too few of them are of one class")
    if together and units is groups:
        if part is None and len(np.unique(groups)) < n:
            said.append("Rows that are equal stay in one part.")
    elif part is None:
        seen = np.isin(groups[found[2]], groups[found[0]])
        if seen.any():
            said.append(
                f"Few rows are different: {seen.mean():.0%} of those to test once equal a row to "
                "train on."
            )
    said.append(
        f"Divided into {len(found[0]):,} rows to train on, {len(found[1]):,} to choose by and "
        f"{len(found[2]):,} to test once."
    )
    return Split(found[0], found[1], found[2], tuple(said))


def _lacks(targets: NDArray[Any], parts: Sequence[NDArray[np.int64]]) -> bool:
    """Whether one of the parts is without classes that more than a tenth of the rows have."""
    count = np.bincount(np.unique(targets, return_inverse=True)[1])
    names = np.unique(targets)
    return any(count[~np.isin(names, targets[part])].sum() > _RARE * len(targets) for part in parts)


def _parts(
    targets: NDArray[Any],
    units: NDArray[np.int64],
    part: NDArray[np.int64] | None,
    seed: int,
    *,
    classes: bool,
) -> list[NDArray[np.int64]]:
    """Rows to train on, to choose by and to test once, whole units as far as they are drawn."""
    n = len(targets)
    where = np.full(n, TRAIN) if part is None else part.copy()
    rng = np.random.default_rng(seed)
    for which, share in ((VALIDATION, _VALIDATION), (TEST, _TEST)):
        if part is not None and (part == which).any():
            continue
        left = np.flatnonzero(where == TRAIN)
        chosen = _drawn(targets[left], units[left], share * (n if part is None else len(left)),
                        rng, classes=classes)  # fmt: skip
        where[left[chosen]] = which
    return [np.flatnonzero(where == which) for which in (TRAIN, VALIDATION, TEST)]


def _drawn(
    targets: NDArray[Any],
    units: NDArray[np.int64],
    count: float,
    rng: np.random.Generator,
    *,
    classes: bool,
) -> NDArray[np.bool_]:
    """About `count` of the rows and no more, whole units, of each class as many as its share.

    A unit too large for what is still wanted stays where it is.
    """
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    rows = np.bincount(unit)
    label = targets[first] if classes else np.zeros(len(first), np.int64)
    taken = np.zeros(len(first), np.bool_)
    for kind in np.unique(label):
        of_kind = rng.permutation(np.flatnonzero(label == kind))
        if len(of_kind) < _LEAST:
            continue
        wanted = max(1, round(count / len(targets) * int(rows[of_kind].sum())))
        for each in of_kind:
            if rows[each] <= wanted:
                taken[each] = True
                wanted -= rows[each]
            if not wanted:
                break
    found: NDArray[np.bool_] = taken[unit]
    return found
