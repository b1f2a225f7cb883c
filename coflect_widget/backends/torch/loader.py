"""Which samples a torch DataLoader gives, in the order in which it gives them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, Subset

from coflect_widget.backends.recorder import Recorder

NextIndices = Callable[[], NDArray[np.int64] | None]


def refuse_loader(data: Any, argument: str, also: str = "") -> None:
    """Raise TypeError where `data` is a DataLoader; `also` is what else to pass in its place."""
    if isinstance(data, DataLoader):
        raise TypeError(
            f"{argument} is a DataLoader; pass its data set, {argument}=loader.dataset,{also} "
            "because the tool must know each sample by its index"
        )


@contextlib.contextmanager
def follow(loader: Any, samples: int | None = None, data: Any = None) -> Iterator[NextIndices]:
    """Within the block a function that gives the indices of one batch after the other.

    The loader draws its order as ever, also in processes of its own, and also where it reads
    ahead; only a copy of what its sampler says is kept. Afterwards it is as it was. Where it is
    gone through a second time meanwhile, the first counts until it ends. For what is no
    DataLoader over a map-style data set the function gives None.

    `samples` is the size of the data set that the indices shall be of, and `data` that data set
    itself, if it is one. Of a `Subset` of it they are; for any other data set of another size
    the function gives None.
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
    places = _places(inner.dataset, samples, data)
    if places is None:
        yield lambda: None
        return
    recorder = Recorder(sampler, places)
    _put(inner, recorder)
    try:
        yield recorder.next
    finally:
        _put(inner, sampler)


def _places(dataset: Any, samples: int | None, data: Any) -> NDArray[np.int64] | None:
    """Where each sample of a loader's data set lies in the session's; None if nobody knows."""
    places = np.arange(len(dataset))
    found = places if samples in (None, len(dataset)) else None
    while not _same(dataset, data):
        if not isinstance(dataset, Subset):
            return found
        places, dataset = np.asarray(dataset.indices)[places], dataset.dataset
        if len(dataset) == samples:
            found = places
    return places


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Subset) and isinstance(other, Subset):
        return one.dataset is other.dataset and np.array_equal(one.indices, other.indices)
    return one is other


def _put(loader: Any, sampler: Any) -> None:
    """Give a loader another batch sampler."""
    # The class forbids it, because its processes would not notice; the next iterator does, and
    # the one that persistent workers keep is told.
    object.__setattr__(loader, "batch_sampler", sampler)
    if loader._iterator is not None:
        loader._iterator._index_sampler = sampler
