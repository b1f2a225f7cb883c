"""What a browser says of its screen, beside the commands; a part of `ui.protocol`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from coflect_widget.events import LARGEST, Command


class _ScreenMessage(BaseModel):
    """Base of what a browser says of its screen; it changes nothing of the run."""

    model_config = Command.model_config


class Hello(_ScreenMessage):
    """A page shows the dashboard, or lost an update; it gets everything."""

    kind: Literal["hello"] = "hello"
    page: str = Field(default="", max_length=64)  #: Notebook 7 names its pages


class Ack(_ScreenMessage):
    """Update `seq` was shown.

    Sent at each sixteenth update, or after eight seconds; every five seconds if nothing comes; when
    `seen` changes; and when a person's hand comes back to the view, which `attended` tells for ten
    seconds.
    """

    kind: Literal["ack"] = "ack"
    seq: int = Field(ge=0, le=LARGEST)
    seen: bool
    attended: bool


class Look(_ScreenMessage):
    """Bring one recorded explanation onto the shelf; with null, show the sample."""

    kind: Literal["look"] = "look"
    index: int = Field(ge=0, le=LARGEST)
    step: int | None = Field(ge=0, le=LARGEST)


class Compare(_ScreenMessage):
    """Draw another run behind the charts, by its name; "" for none."""

    kind: Literal["compare"] = "compare"
    run: str = Field(max_length=255)


ScreenMessage = Annotated[Hello | Ack | Look | Compare, Field(discriminator="kind")]
