"""What a page says of a search: pruned, pinned or enqueued by hand; checked before it is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_ID = 64  # characters of a message's id
Plain = str | int | float | bool | None


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=MAX_ID)


class Look(_Message):
    """A page shows the search, and says so now and then."""

    kind: Literal["look"]


class Prune(_Message):
    """End a trial."""

    kind: Literal["prune"]
    number: int


class Pin(_Message):
    """Let a trial train to its end."""

    kind: Literal["pin"]
    number: int


class Enqueue(_Message):
    """Try these values next, by dotted names."""

    kind: Literal["enqueue"]
    values: dict[str, Plain] = Field(max_length=100)


SAID: TypeAdapter[Look | Prune | Pin | Enqueue] = TypeAdapter(
    Annotated[Look | Prune | Pin | Enqueue, Field(discriminator="kind")]
)
