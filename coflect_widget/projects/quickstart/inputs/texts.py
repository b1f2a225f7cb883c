"""Texts: cut into words, which are numbered by how often the training part has them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart import requested
from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.inputs.of_rows import OfRows
from coflect_widget.projects.quickstart.sheet import Sheet

PADDING, UNKNOWN = "[PAD]", "[UNK]"
#: Words that are known; each is at least so often in the training part.
_MOST, _LEAST = 20_000, 2
#: A text is cut where this share of the training part's texts has ended, and here at the latest.
_ENDED, _LONGEST, _SHORTEST = 98, 256, 8
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[!?]")


class Texts(OfRows):
    """Sentences; see `Inputs`."""

    name: ClassVar[str] = "text"
    words: ClassVar[str] = "texts"
    by_column: ClassVar[bool] = False
    steps: ClassVar[int] = 700

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.vocabulary: list[str] = []
        self.length = 0
        self.said: list[str] = []

    @property
    def sources(self) -> list[str]:
        return self.columns

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        names = [column.name for column in cls.uses(columns)]
        return f"sentences in {' and '.join(map(repr, names))}" if names else ""

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        return [column for column in columns if column.kind == "text"]

    @classmethod
    def unusable(cls, sheet: Sheet, columns: Sequence[Column]) -> tuple[list[int], str]:
        parts = [sheet.cells[column.name] for column in cls.uses(columns)]
        empty = [k for k, row in enumerate(zip(*parts, strict=True)) if not any(row)]
        return empty, "rows hold no text"

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        self.columns = [column.name for column in self.uses(columns)]
        texts = [cut(text) for text in self._texts(sheet)]
        counts = Counter(word for text in texts for word in text)
        known = [word for word, n in counts.most_common(_MOST) if n >= _LEAST]
        self.vocabulary = [PADDING, UNKNOWN, *known]
        lengths = [len(text) for text in texts]
        ended = int(np.percentile(lengths, _ENDED))
        self.length = int(np.clip(ended, _SHORTEST, _LONGEST))
        longer = sum(n > self.length for n in lengths)
        self.said = [f"{len(known):,} words are known, those that stand there twice or more."]
        if longer:
            self.said.append(f"Texts are read up to word {self.length}; {longer:,} go on.")

    def _texts(self, sheet: Sheet) -> list[str]:
        parts = [sheet.cells[name] for name in self.columns]
        return [" ".join(cell or "" for cell in row) for row in zip(*parts, strict=True)]

    def transform(self, sheet: Sheet) -> NDArray[np.int64]:
        number = {word: k for k, word in enumerate(self.vocabulary)}
        found = np.zeros((len(sheet), self.length), np.int64)
        for row, text in enumerate(self._texts(sheet)):
            ids = [number.get(word, 1) for word in cut(text)[: self.length]] or [1]
            found[row, : len(ids)] = ids
        return found

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        cells = {name: np.array([requested.text(row, name)], object) for name in self.columns}
        return Sheet("a request", cells)

    def wanted(self) -> dict[str, str]:
        return dict.fromkeys(self.columns, "a text")

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        del x
        return {"net": "text", "words": len(self.vocabulary), "outputs": outputs}

    def arguments(self) -> dict[str, Any]:
        return {"tokenizer": self.vocabulary}

    def plain(self, sheet: Sheet) -> Callable[[Sheet], Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(sublinear_tf=True, min_df=_LEAST).fit(self._texts(sheet))
        return lambda other: words.transform(self._texts(other))

    def state(self) -> dict[str, Any]:
        return {"columns": self.columns, "vocabulary": self.vocabulary, "length": self.length}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Texts:
        texts = cls()
        texts.columns = [str(name) for name in state["columns"]]
        texts.vocabulary = [str(word) for word in state["vocabulary"]]
        texts.length = int(state["length"])
        if not texts.columns or not 1 <= texts.length <= _LONGEST or len(texts.vocabulary) < 2:
            raise ValueError("texts without a column, a length or words")
        return texts


def cut(text: str) -> list[str]:
    """Words in small letters, and marks that say how they are meant."""
    return _WORD.findall(text.lower())
