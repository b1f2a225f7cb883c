"""What a person marks in a row: features, by name or by number, or as words of an instruction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget.modalities.table.features import Feature, nearest

_FORMS = 'names or numbers of features, for example {argument}="age" or {argument}=("age", "sex")'
#: Words that an instruction leaves out before a modality sees it, and the word before a number.
FILLERS = frozenset(("the", "a", "an", "on", "in", "please"))
OWN_FILLERS = frozenset(("feature", "features", "column", "columns"))


@dataclass(frozen=True, slots=True)
class Features:
    """Some features, by name, in the order of the table."""

    names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"features": list(self.names)}


def parse(
    value: Any, argument: str, features: Sequence[Feature], count: int | None = None
) -> Features:
    """One region.

    Parameters
    ----------
    value : str, int, sequence of them, boolean array or mapping
        ``{"features": [...]}`` is the JSON form.
    features : sequence of Feature
        Of the table; () where nobody knows them yet, and all names are taken.
    count : int, optional
        How many columns a boolean mask must have.

    Raises
    ------
    ValueError
        If it is empty or names a feature that there is not.
    """
    if isinstance(value, Features):
        value = value.names
    if isinstance(value, Mapping):
        if set(value) != {"features"}:
            raise ValueError(
                f'{argument}={dict(value)!r}: expected {{"features": [...]}} with '
                + _FORMS.format(argument=argument)
            )
        value = value["features"]
    if isinstance(value, np.ndarray):
        if value.dtype == np.bool_:
            return _of_mask(value, argument, features, count)
        value = value.tolist()
    given = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if not given:
        raise ValueError(f"{argument} names no feature; give {_FORMS.format(argument=argument)}")
    names = {_name(each, argument, features) for each in given}
    if not features:
        return Features(tuple(sorted(names)))
    return Features(tuple(feature.name for feature in features if feature.name in names))


def _name(value: Any, argument: str, features: Sequence[Feature]) -> str:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number and not isinstance(value, str):
        raise ValueError(f"{argument}={value!r}: expected {_FORMS.format(argument=argument)}")
    if not features:
        return str(value)
    if not number:
        for feature in features:
            if feature.name == value:
                return feature.name
        if not re.fullmatch(r"\d+", value):
            known = [feature.name for feature in features]
            raise ValueError(
                f"{argument}={value!r}: there is no such feature; {nearest(value, known)}"
            )
    if not 0 <= int(value) < len(features):
        raise ValueError(
            f"{argument}={value!r}: features have the numbers 0 to {len(features) - 1}"
        )
    return features[int(value)].name


def _of_mask(mask: Any, argument: str, features: Sequence[Feature], count: int | None) -> Features:
    if count is not None and mask.shape != (count,):
        raise ValueError(
            f"{argument} is a mask of shape {mask.shape}; expected ({count},), one for each column"
        )
    if not mask.any():
        raise ValueError(f"{argument} is a mask that marks nothing; mark one column at least")
    if not features:
        return Features(tuple(str(k) for k in np.flatnonzero(mask)))
    return Features(tuple(f.name for f in features if mask[list(f.columns)].any()))


# --- words of an instruction ------------------------------------------------------------------


def key(words: str) -> str:
    """Words as they are compared: small letters, no marks between them, nothing left out twice."""
    split = re.split(r"[\s_\-]+", words.casefold().strip(" .!?,;:\"'"))
    return " ".join(word for word in split if word not in FILLERS | OWN_FILLERS)


def read(
    words: str, features: Sequence[Feature], columns: Sequence[str]
) -> tuple[str, Features] | str:
    """Features joined by "and", "&" or commas; a string alone says why they are none.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns; each stands for its feature too.
    """
    known: dict[str, str] = {}
    for feature in features:
        for place in feature.columns:
            if place < len(columns):
                known.setdefault(key(columns[place]), feature.name)
    known.update({key(feature.name): feature.name for feature in features})
    known.pop("", None)
    whole = key(words)
    parts = [whole] if whole in known else re.split(r"\s*(?:,|&|\band\b)\s*", words)
    names: list[str] = []
    for part in map(key, parts):
        if part in known:
            names.append(known[part])
        elif re.fullmatch(r"\d+", part) and (not features or int(part) < len(features)):
            names.append(features[int(part)].name if features else part)
        elif part:
            return f"there is no feature {part!r}; {nearest(part, known).removesuffix('?')}"
    if not names:
        return "it names no feature"
    return spelled(names), parse(tuple(names), "instruction", features)


def spelled(names: Sequence[str]) -> str:
    """Names as they are said and can be typed again: "age, sex and region"."""
    shown = [f"feature {name}" if name.isdigit() else name for name in dict.fromkeys(names)]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
