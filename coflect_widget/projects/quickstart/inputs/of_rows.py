"""What kinds of data have in common of which each row is a sample, as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.goals.values import Values
from coflect_widget.projects.quickstart.sheet import Sheet


class OfRows(ABC):
    """The part of `Inputs` that says how rows become samples: they are samples."""

    offered: ClassVar[bool] = True
    goals: ClassVar[tuple[str, ...]] = (Classes.name, Values.name)
    marks: Mapping[str, str] = MappingProxyType({})

    @classmethod
    @abstractmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]: ...

    @classmethod
    def unusable(cls, sheet: Sheet, columns: Sequence[Column]) -> tuple[list[int], str]:
        del sheet, columns
        return [], ""

    def samples(self, sheet: Sheet, columns: Sequence[Column], target: str) -> Sheet:
        del columns, target
        return sheet

    @classmethod
    def told_by(cls, columns: Sequence[Column]) -> list[Column]:
        return cls.uses(columns)

    def asked(self, sheet: Sheet) -> Sheet:
        return sheet

    def weight(self, row: Mapping[str, Any]) -> int:
        del row
        return 0

    def judged(self, sheet: Sheet) -> Sheet:
        return sheet

    def following(self, sheet: Sheet, count: int) -> list[str]:
        del sheet, count
        return []
