"""Which of some names a word is: 1.0 is 1, and true is True, where no name is written so."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal, InvalidOperation

_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")  # versions 1.1 and 1.10 are two


def places_of(words: Iterable[str], names: Sequence[str]) -> list[int]:
    """The number of the name that each word (N,) is; -1 where it is none."""
    loose = all(_is_number(name) for name in names)
    place: dict[Hashable, int] = {}
    for k, name in enumerate(names):
        place.setdefault(_key(name, loose=loose), k)
    exactly = {name: k for k, name in enumerate(names)}
    found: dict[str, int] = {}  # of a million words few are different
    for word in set(words := list(words)):
        at = exactly.get(word)
        found[word] = place.get(_key(word, loose=loose), -1) if at is None else at
    return [found[word] for word in words]


def different(words: Iterable[str]) -> list[str]:
    """The words that are not the same, each as it is written first in the alphabet, sorted.

    "01" is "1" where all are numbers; among other words it is a name of its own.
    """
    names = sorted(set(words))
    loose = all(_is_number(name) for name in names)
    first: dict[Hashable, str] = {}
    for name in names:
        first.setdefault(_key(name, loose=loose), name)
    return list(first.values())


def _key(word: str, *, loose: bool) -> Hashable:
    """What words that are the same have in common."""
    if loose or _PLAIN.fullmatch(word):
        number = _number(word)
        if number is not None:
            return number
    small = word.casefold()
    return small if small in ("true", "false") else word


def _number(word: str) -> Decimal | None:
    """Exactly: codes of 18 digits differ in the last."""
    try:
        value = Decimal(word)
    except InvalidOperation:
        return None
    return value if value.is_finite() and "_" not in word else None


def _is_number(word: str) -> bool:
    return _number(word) is not None
