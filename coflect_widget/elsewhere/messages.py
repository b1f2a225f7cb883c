"""What a connected client says to a training; JSON that is checked before anything happens.

The training answers ``{"kind": "answer", "id", "ok", ...}``, and to a client that shows the
dashboard sends what a browser gets: ``{"kind": "screen", "content"}`` and ``{"kind": "kept",
"update"}``, with buffers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from coflect_widget.events import AnyCommand, Command

Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Message(BaseModel):
    model_config = Command.model_config


class Opening(_Message):
    """Who connects."""

    by: str = Field(min_length=1, max_length=64)
    version: int


class Order(_Message):
    """A command of a person, answered once it is done and on disk."""

    kind: Literal["order"] = "order"
    id: Name
    command: AnyCommand


class Read(_Message):
    """A value of the session."""

    kind: Literal["read"] = "read"
    id: Name
    what: Literal["now", "interventions", "candidates", "suspects", "page"]


class Records(_Message):
    """Recorded events, of one type or all."""

    kind: Literal["records"] = "records"
    id: Name
    type: str | None = Field(default=None, max_length=64)


class Maps(_Message):
    """Explain one sample, and send the maps."""

    kind: Literal["maps"] = "maps"
    id: Name
    index: int = Field(ge=0)


class Timeline(_Message):
    """The maps of one sample over the run."""

    kind: Literal["timeline"] = "timeline"
    id: Name
    index: int = Field(ge=0)


class Similar(_Message):
    """Look for what an intervention ignores in other samples, and send where it was found."""

    kind: Literal["similar"] = "similar"
    id: Name
    intervention: str = Field(max_length=64)


class Checkpoint(_Message):
    """Write a checkpoint."""

    kind: Literal["checkpoint"] = "checkpoint"
    id: Name
    name: str | None = Field(default=None, max_length=200)


class Page(_Message):
    """A message of a browser's page, as it came."""

    kind: Literal["page"] = "page"
    content: dict[str, Any]


class Show(_Message):
    """The client shows the dashboard from now on."""

    kind: Literal["show"] = "show"


class Beat(_Message):
    """The client is there."""

    kind: Literal["beat"] = "beat"


FROM_CLIENT: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        Order | Read | Records | Maps | Timeline | Similar | Checkpoint | Page | Show | Beat,
        Field(discriminator="kind"),
    ]
)
