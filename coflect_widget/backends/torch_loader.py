"""Which samples a torch DataLoader gives, in the order in which it gives them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, Subset

NextIndices = Callable[[], NDArray[np.int64] | None]


@contextlib.contextmanager
def follow(loader: Any, samples: int | None = None) -> Iterator[NextIndices]:
    """Within the block a function that gives the indices of one batch after the other.

    The loader draws its order as ever, also in processes of its own, and also where it reads
    ahead; only a copy of what its sampler says is kept. Afterwards it is as it was. For what
    is no DataLoader over a map-style data set the function gives None.

    `samples` is the size of the data set that the indices shall be of. Of a `Subset` of it they
    are; for any other data set of another size the function gives None.
    """
    inner = getattr(loader, "base_dataloader", loader)  # the wrapper of accelerate
    sampler = getattr(inner, "batch_sampler", None)
    if (
        not isinstance(inner, DataLoader)
        or isinstance(inner.dataset, IterableDataset)
        or sampler is None
    ):
        yield lambda: None
        return
    dataset: Any = inner.dataset
    places = np.arange(len(dataset))
    if samples is not None:
        while isinstance(dataset, Subset) and len(dataset) != samples:
            places = np.asarray(dataset.indices)[places]
            dataset = dataset.dataset
        if len(dataset) != samples:
            yield lambda: None
            return
    recorder = _Recorder(sampler, places)
    # The class forbids to change it, because its processes would not notice; the next iterator
    # does.
    object.__setattr__(inner, "batch_sampler", recorder)
    try:
        yield recorder.next
    finally:
        object.__setattr__(inner, "batch_sampler", sampler)


class _Recorder:
    """A batch sampler that remembers what it gave."""

    def __init__(self, sampler: Any, places: NDArray[np.int64]) -> None:
        self._sampler = sampler
        self._places = places
        self._given: deque[list[int]] = deque()

    def __iter__(self) -> Iterator[list[int]]:
        self._given.clear()
        for group in self._sampler:
            self._given.append(list(group))
            yield group

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def next(self) -> NDArray[np.int64] | None:
        """Indices of the oldest batch not asked for yet."""
        if not self._given:
            return None
        return self._places[np.asarray(self._given.popleft(), dtype=np.int64)]
