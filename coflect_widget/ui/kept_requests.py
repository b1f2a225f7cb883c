"""The part of the protocol about requests that a service kept; see `ui.protocol`."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic refuses the one of typing on Python 3.11

from coflect_widget.ui.fields import Png


class KeptRequest(TypedDict):
    """A request to a served network; ``content`` as of an explanation."""

    id: str
    told: int | None  # the class that the network said
    confidence: float | None  # its probability then, 0 to 1
    content: dict[str, Any] | None
    thumbnail_buffer: Png


class Requests(TypedDict):
    """Requests that wait for a person to say their class, the least sure first."""

    waiting: int  # of all of them
    labelled: int
    items: list[KeptRequest]  # the first few
