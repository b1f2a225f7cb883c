"""Items of several lengths, such as texts: each is filled up to that of the longest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from coflect_widget.backends.source import OtherShapeError, Source
from coflect_widget.modalities.base import Modality


class Filled:
    """Items (x, y, ...) of `items`, with x (..., L) of one length.

    Parameters
    ----------
    items : sequence of tuple
    modality : Modality
        Says what fills an input up.
    length : int
    """

    def __init__(self, items: Any, modality: Modality, length: int) -> None:
        self.items = items
        self._modality = modality
        self._length = length

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        x, *rest = self.items[index]
        return (self._modality.filled(np.asarray(x), self._length), *rest)


class OfLengths(Source):
    """Samples of a data set whose inputs may have several lengths.

    Attributes
    ----------
    filled_to : int or None
        Length that all inputs were brought to.
    said : str
        What to say of that.
    input_shape : tuple of int
        Of one input; () until it is known.
    """

    input_shape: tuple[int, ...] = ()

    def __init__(self, argument: str) -> None:
        super().__init__(argument)
        self._modality: Modality | None = None
        self._first: tuple[Any, Any] | None = None  # shape of the first item, and its target
        self.filled_to: int | None = None
        self.said = ""

    def look(self) -> None:
        """See `source.Source`; where inputs have several lengths, they are filled up first."""
        try:
            super().look()
        except OtherShapeError:
            if not self._fill_up():
                raise
            self._first, self._probed = None, []
            super().look()

    def _fill_up(self) -> bool:
        """Bring inputs of several lengths to that of the longest; whether they are such."""
        items, known = self.dataset, self._modality
        if known is None:
            return False
        with self.kept_random_state():
            shapes = [tuple(items[index][0].shape) for index in range(self.length)]
        some = known.filled(np.zeros(shapes[0], np.int64), 0)
        if some is None or len({shape[:-1] for shape in shapes}) > 1:
            return False
        lengths = [shape[-1] for shape in shapes]
        self.fill_up_to(max(lengths))
        self.said = (
            f"{known.nouns.capitalize()} of {self.argument} have {min(lengths)} to {max(lengths)} "
            f"places, and were filled up to {max(lengths)} at their ends."
        )
        return True

    def fill_up_to(self, length: int) -> None:
        """Give all inputs this length, at least that of the longest one."""
        known = self._modality
        assert known is not None  # noqa: S101 - the first sample has told
        items = self.dataset.items if isinstance(self.dataset, Filled) else self.dataset
        self.dataset = Filled(items, known, length)
        self.filled_to = length
        self._read = {
            index: replace(sample, input=known.filled(sample.input, length))
            for index, sample in self._read.items()
        }
        if self.input_shape:
            self.input_shape = (*self.input_shape[:-1], length)

    def as_long(self, x: Any) -> Any:
        """A batch (B, ..., L) of another's loop, as long as this one's; other inputs as they are.

        Loops fill up each batch to its own longest input.
        """
        length, known = self.input_shape[-1], self._modality
        if known is None or not (known.whole or self.filled_to) or x.shape[-1] == length:
            return x
        return known.filled(x, length)[..., :length]


def even(sources: Sequence[Any]) -> list[str]:
    """Fill up the data of all to one length, where those of one were; what to say of that.

    `sources` are those of the training data and, perhaps, of the validation data.
    """
    said = [source.said for source in sources if source.said]
    if said:
        longest = max(source.input_shape[-1] for source in sources)
        for source in sources:
            if source.dataset is not None and source.input_shape[-1] < longest:
                source.fill_up_to(longest)
    return said
