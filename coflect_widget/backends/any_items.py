"""Items of any form by index, of which the screen shows what can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Sample
from coflect_widget.backends.items import is_map_style, name_index
from coflect_widget.backends.source import Source
from coflect_widget.modalities import LISTED, Modality, drawable, kind_of_items
from coflect_widget.records.pictures import NoDataError

TASK = "task='own_loss'"


class ItemSource(Source):
    """Items of any form by index; for the screen it takes from them what can be drawn.

    Parameters
    ----------
    data : map-style data set, list or array (N, ...)
    argument : str
        Name used in error messages.
    ids : int
        How many the model looks up, 0 for none.
    modality : Modality or None
        What a person said that inputs are.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to be read by index.
    """

    #: code that makes items of columns
    of_columns = "list(zip(*columns))"

    def __init__(self, data: Any, argument: str, ids: int, modality: Modality | None) -> None:
        super().__init__(argument)
        self.given = self.dataset = self._checked(data)
        self.length = len(data)
        self._ids = ids
        self.look()
        arrays = self._read
        self.modality = kind_of_items(list(arrays.values()), ids, modality)
        self._read = {index: self._sample(array, index) for index, array in arrays.items()}

    def sample(self, index: int) -> Sample:
        """What can be drawn of one item, else its number; it has no label."""
        found: Sample = self.item(index)
        return found

    def of_dataset(self, index: int) -> Sample:
        """See `source.Source`."""
        return self._sample(self._drawable(index), index)

    def probe(self, index: int) -> tuple[Any, None, int]:
        """See `source.Source`; what is given is what can be drawn, and no sample yet."""
        array = self._drawable(index)
        kept = None if array is None else array.copy()
        return kept, None, 0 if kept is None else int(kept.nbytes)

    def picture(self, item: Sample) -> NDArray[np.float32]:
        """See `source.Source`."""
        return item.input.copy()

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """See `source.Source`."""
        raise ValueError(
            f"{TASK} takes no samples while it trains; add them to the data and make a new Session"
        )

    def _drawable(self, index: int) -> NDArray[Any] | None:
        try:
            item = self.dataset[index]
        except Exception as error:
            name_index(error, self.argument, index)
            raise
        return drawable(item)

    def _sample(self, array: NDArray[Any] | None, index: int) -> Sample:
        if self.modality is LISTED:
            return Sample(np.array([index], np.float32), 0)
        kind = kind_of_items([array], self._ids, self.modality)
        if array is None or kind.name != self.modality.name:
            raise NoDataError(
                f"{self.argument}[{index}] has nothing that could be drawn as a "
                f"{self.modality.noun}; the sample is listed by its number"
            )
        return Sample(array, 0)

    def _checked(self, data: Any) -> Any:
        """Raise unless items can be read by their places."""
        if isinstance(data, Mapping | tuple):
            raise TypeError(
                f"{self.argument} is a {type(data).__name__} of columns; under {TASK} pass what "
                f"gives one item for each index, for example {self.of_columns} or a list"
            )
        if not is_map_style(data):
            raise TypeError(
                f"{self.argument}={type(data).__name__} is no map-style data set (__len__ and "
                "__getitem__); an iterable one has no indices by which samples could be known"
            )
        return data
