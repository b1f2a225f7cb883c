"""What all payloads of events share, and the words that their fields have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

RunState = Literal["idle", "training", "paused", "stopped", "finished", "failed"]
Split = Literal["train", "val"]
StrokeKind = Literal["look", "ignore"]
#: Where strokes hold.
Scope = Literal["sample", "class", "everywhere"]
#: For what an explanation is made.
Purpose = Literal["periodic", "candidate", "person"]
#: What a button beside an advice does: show its sample, take its intervention back, show where the
#: model looks, train on after a stop, leave its sample out of the training.
Doing = Literal["open", "undo", "look", "continue", "leave_out"]
#: What a person says of a label; "undo" takes the earlier verdicts back.
Verdict = Literal["right", "wrong", "leave out", "undo"]
#: What a person says of a finding.
Answer = Literal["wrong reason", "right reason", "skip"]
LARGEST = 2**53  # count that a browser's numbers hold exactly
#: Marks a field of a record that a browser shows without it: older kernels did not send it there.
OPTIONAL: Any = Field(json_schema_extra={"optional": True})


def is_finite(value: Any) -> bool:
    """Whether no float in `value`, a payload or a part of one, is NaN or infinite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, BaseModel):
        return all(is_finite(one) for _, one in value)
    if isinstance(value, Mapping):
        return all(is_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite(one) for one in value)
    return not is_dataclass(value) or all(
        is_finite(getattr(value, one.name)) for one in dataclass_fields(value)
    )


def finite(value: float | None) -> float | None:
    """The value, or None in place of NaN and infinity."""
    return value if is_finite(value) else None


class Record(BaseModel):
    """Fields that are readable as attributes or, like a mapping, by key."""

    model_config = ConfigDict(frozen=True)

    def __getitem__(self, key: str) -> Any:
        try:
            return getattr(self, key)
        except AttributeError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self.keys()

    def get(self, key: str, default: Any = None) -> Any:
        """Value of `key`, or `default` where the event has no such field."""
        return getattr(self, key, default) if key in self else default

    def keys(self) -> list[str]:
        """Names of the fields of this event."""
        return [*type(self).model_fields, *(self.__pydantic_extra__ or {})]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Pairs of field name and value."""
        return ((key, self[key]) for key in self.keys())


class Payload(Record):
    """Fields of one event; those that this version does not know are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Table(Payload):
    """A payload whose `columns` hold one entry for each of the same rows.

    Those of `optional` do so too, or are empty.
    """

    columns: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        lengths = {name: len(getattr(self, name)) for name in self.columns}
        lengths |= {name: len(column) for name in self.optional if (column := getattr(self, name))}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"lists of different lengths: {lengths}")
        return self
