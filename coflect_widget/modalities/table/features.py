"""What the columns of a table are: which of them belong to one feature, and what it is called."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Names that a message lists at most.
_LISTED = 8
_JOINTS = "_=:. -"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a table.

    Attributes
    ----------
    name : str
    columns : tuple of int
        Its columns: one, or one for each category.
    categories : tuple of str
        Names of its categories; () of a number.
    coded : bool
        Whether one column holds the category's number, rather than a column each 0 or 1.
    """

    name: str
    columns: tuple[int, ...]
    categories: tuple[str, ...] = ()
    coded: bool = False

    @property
    def one_hot(self) -> bool:
        """Whether each category has a column."""
        return bool(self.categories) and not self.coded


def make_features(
    columns: Sequence[str], groups: Mapping[str, Sequence[Any]], codes: Mapping[Any, Sequence[Any]]
) -> tuple[Feature, ...]:
    """Features in the order of their first columns.

    Parameters
    ----------
    columns : sequence of str
        Names of all columns.
    groups : mapping
        Name of a feature to its one-hot columns, by name or by number.
    codes : mapping
        Name or number of a column to the names of its categories: category k is written as k.

    Raises
    ------
    ValueError
        If a name is there twice, or a column is unknown or belongs to two features.
    """
    if twice := _twice(columns):
        raise ValueError(f"columns= names {twice!r} twice; give each column a name of its own")
    owner: dict[int, str] = {}
    found: list[Feature] = []
    for name, given in groups.items():
        if isinstance(given, str) or not isinstance(given, Sequence) or not given:
            raise ValueError(
                f"groups[{name!r}]={given!r}: expected its one-hot columns, for example "
                f'groups={{"region": ["region_north", "region_south"]}}'
            )
        places = tuple(_place(column, columns, f"groups[{name!r}]") for column in given)
        for place in places:
            if place in owner:
                raise ValueError(
                    f"groups= gives column {columns[place]!r} to {owner[place]!r} and to {name!r}; "
                    "a column belongs to one feature"
                )
            owner[place] = name
        categories = tuple(_without(columns[place], str(name)) for place in places)
        found.append(Feature(str(name), places, categories))
    for column, named in codes.items():
        place = _place(column, columns, "codes")
        if isinstance(named, str) or not len(named):
            raise ValueError(
                f"codes[{column!r}]={named!r}: expected the names of its categories in the "
                'order of their numbers, for example codes={"education": ["school", "college"]}'
            )
        if place in owner:
            raise ValueError(f"column {columns[place]!r} is in groups= and in codes=; leave one")
        owner[place] = columns[place]
        found.append(Feature(columns[place], (place,), tuple(map(str, named)), coded=True))
    found += [Feature(name, (k,)) for k, name in enumerate(columns) if k not in owner]
    if twice := _twice([feature.name for feature in found]):
        raise ValueError(f"two features would be called {twice!r}; give one another name")
    return tuple(sorted(found, key=lambda feature: min(feature.columns)))


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first few of many."""
    names = list(names)
    shown = ", ".join(map(repr, names[:_LISTED]))
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def nearest(name: str, names: Iterable[str]) -> str:
    """What to say of a name that is not among `names`."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {listed(known)}"


def _place(column: Any, columns: Sequence[str], argument: str) -> int:
    if isinstance(column, int) and not isinstance(column, bool):
        if 0 <= column < len(columns):
            return column
        raise ValueError(f"{argument}: column {column} of 0 to {len(columns) - 1}")
    if str(column) in columns:
        return list(columns).index(str(column))
    raise ValueError(f"{argument}: there is no column {column!r}; {nearest(str(column), columns)}")


def _without(column: str, name: str) -> str:
    """The category in a column's name, such as "north" in "region_north"."""
    rest = column.removeprefix(name)
    if rest == column or not rest or rest[0] not in _JOINTS:
        return column
    return rest.lstrip(_JOINTS) or column


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
