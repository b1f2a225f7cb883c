"""What a batch sampler gave, remembered until somebody asks; for a loader that reads ahead too."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


class Recorder:
    """A batch sampler that remembers what it gave."""

    def __init__(self, sampler: Any, places: NDArray[np.int64]) -> None:
        self._sampler = sampler
        self._places = places
        self._passes: list[weakref.ref[_Pass]] = []  # the oldest first; a loader holds its own

    def __iter__(self) -> Iterator[list[int]]:
        started = _Pass(self._sampler)
        self._passes.append(weakref.ref(started))
        return started

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def next(self) -> NDArray[np.int64] | None:
        """Indices of the oldest batch not asked for yet, of the oldest pass under way."""
        while self._passes:
            under_way = self._passes[0]()
            if under_way is not None and under_way.given:
                return self._places[np.asarray(under_way.given.popleft(), dtype=np.int64)]
            if under_way is not None and not under_way.ended:
                return None
            del self._passes[0]
        return None


class _Pass:
    """One way through the sampler, as long as somebody goes it."""

    def __init__(self, sampler: Any) -> None:
        self._groups = iter(sampler)
        self.given: deque[list[int]] = deque()
        self.ended = False

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        try:
            group = next(self._groups)
        except StopIteration:
            self.ended = True
            raise
        self.given.append(list(group))
        return cast("list[int]", group)
