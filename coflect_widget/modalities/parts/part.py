"""One part of a sample: its kind, and where it lies in the row that holds all parts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import array_api_compat as compat
import numpy as np

from coflect_widget.modalities.base import Modality, Region


@dataclass(frozen=True, slots=True)
class Part:
    """One input of a model with several.

    Attributes
    ----------
    name : str
        What the model's arguments, or the data's names, call it.
    modality : Modality
        Its kind.
    shape : tuple of int
        Of one sample's, as its kind takes it.
    given : tuple of int
        As the model takes it; the same numbers in the same order.
    start : int
        Where its numbers begin in the row (T,) of a sample.
    first : int
        Where its units begin in the sample's extent (U,).
    """

    name: str
    modality: Modality
    shape: tuple[int, ...]
    given: tuple[int, ...]
    start: int
    first: int

    @property
    def stop(self) -> int:
        """Where its numbers end."""
        return self.start + math.prod(self.shape)

    @property
    def extent(self) -> tuple[int, ...]:
        """Lengths of the axes of a mask of it."""
        return self.modality.extent(np.broadcast_to(np.float32(0), self.shape))

    @property
    def last(self) -> int:
        """Where its units end."""
        return self.first + math.prod(self.extent)

    def of(self, rows: Any, shape: tuple[int, ...] | None = None) -> Any:
        """The part (..., *shape) of rows (..., T); whole numbers as int64.

        Rows are of numpy or a framework.
        """
        cut = rows[..., self.start : self.stop]
        values = cut.reshape((*cut.shape[:-1], *(self.shape if shape is None else shape)))
        if not self.modality.whole:
            return values
        xp = compat.array_namespace(values)
        return xp.astype(values, xp.int64)

    def units(self, values: Any) -> Any:
        """Its map or mask (..., E) of those of samples (..., U)."""
        cut = values[..., self.first : self.last]
        return cut.reshape((*cut.shape[:-1], *self.extent))


@dataclass(frozen=True, slots=True)
class PartRegion:
    """What is marked on one part.

    Attributes
    ----------
    part : str
    inner : Region
        What is marked, as the part's own kind has it.
    """

    part: str
    inner: Region

    def to_json(self) -> dict[str, Any]:
        """That of the part's kind, and the part's name beside it."""
        return {**self.inner.to_json(), "part": self.part}


@dataclass(frozen=True, slots=True)
class UnreadRegion:
    """The JSON form of a region whose kind is not known, as a ledger has it."""

    text: str

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> UnreadRegion:
        """Keep what is there."""
        return cls(json.dumps(form, sort_keys=True))

    def to_json(self) -> dict[str, Any]:
        """As it came."""
        found: dict[str, Any] = json.loads(self.text)
        return found
