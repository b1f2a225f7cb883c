"""Items of several lengths, such as texts: each is filled up to that of the longest one."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def even(sources: Any) -> list[str]:
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
