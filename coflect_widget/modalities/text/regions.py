"""What can be marked on a text: places side by side, or a word wherever it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

_FORMS = (
    'give places (start, stop), counted from 0 and without stop, or a word, for example "great"'
)
_SPAN = re.compile(r"words? (\d{1,6})(?: ?(?:-|\u2013|to) ?(\d{1,6}))?")
_QUOTES = " \"'\u201c\u201d\u2018\u2019`"
#: Letters of a word that a person may mark.
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Span:
    """The places `start` to `stop` - 1."""

    start: int
    stop: int

    def to_json(self) -> dict[str, Any]:
        """As {"words": [start, stop]}."""
        return {"words": [self.start, self.stop]}

    def __str__(self) -> str:
        last = self.stop - 1
        return f"word {last}" if last == self.start else f"words {self.start}-{last}"


@dataclass(frozen=True, slots=True)
class Word:
    """A word in small letters, wherever it stands and however it is written."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """As {"word": text}."""
        return {"word": self.text}

    def __str__(self) -> str:
        return f'"{self.text}"'


def parse_region(value: Any, argument: str, length: int | None = None) -> Span | Word:
    """One region, from what a person gives or from its JSON form.

    Parameters
    ----------
    value : (int, int), str, Span, Word or mapping
    argument : str
    length : int, optional
        Places of a text; a span must lie within them.

    Raises
    ------
    ValueError
    """
    if isinstance(value, str):
        return _word(value, argument)
    if isinstance(value, Word):
        return value
    if isinstance(value, Span):
        return _span(value.start, value.stop, value, argument, length)
    if isinstance(value, dict):
        if set(value) == {"word"} and isinstance(value["word"], str):
            return _word(value["word"], argument)
        if set(value) == {"words"}:
            return parse_region(_pair(value["words"], value, argument), argument, length)
        if set(value) == {"box"} and length is not None:
            low, high = _pair(value["box"], value, argument)
            return _span(round(low * length), round(high * length), value, argument, length)
        if set(value) == {"box"}:
            raise ValueError(f"{argument}={value!r} needs a text of known length; {_FORMS}")
    start, stop = _pair(value, value, argument)
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in (start, stop)):
        raise ValueError(f"{argument}={value!r} must be two whole numbers; {_FORMS}")
    return _span(int(start), int(stop), value, argument, length)


def _pair(value: Any, given: Any, argument: str) -> tuple[Any, Any]:
    try:
        start, stop = value
    except (TypeError, ValueError):
        raise ValueError(f"{argument}={given!r} marks no words; {_FORMS}") from None
    return start, stop


def _span(start: int, stop: int, value: Any, argument: str, length: int | None) -> Span:
    if not 0 <= start < stop:
        raise ValueError(f"{argument}={value!r} must have 0 <= start < stop; {_FORMS}")
    if length is not None and stop > length:
        raise ValueError(
            f"{argument}={value!r} reaches past the text, whose places are 0 to {length - 1}"
        )
    return Span(start, stop)


def _word(text: str, argument: str) -> Word:
    word = text.strip(_QUOTES)
    if not word or len(word) > _LONGEST or len(word.split()) > 1:
        raise ValueError(
            f"{argument}={text!r} must be one word of at most {_LONGEST} letters; for several "
            "words give a list of them, or places (start, stop)"
        )
    return Word(word.casefold())


def read_regions(words: str, *, bare: bool) -> tuple[str, tuple[Span | Word, ...]] | str:
    """Regions joined by "and", as they stand in an instruction, and their words in one spelling.

    "words 3-7" are five of them, from the fourth of the text on: they are counted from 0.
    """
    if bare:
        return "there is no such instruction"
    found: list[Span | Word] = []
    for part in words.split(" and "):
        if match := _SPAN.fullmatch(part.strip()):
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                return f"words {first}-{last} go backwards"
            region: Span | Word = Span(first, last + 1)
        else:
            try:
                region = _word(part, "word")
            except ValueError:
                return f'{part!r} is no word and no places; write "great", or words 3-7'
        if region not in found:
            found.append(region)
    return " and ".join(map(str, found)), tuple(found)
