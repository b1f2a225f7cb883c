"""The envelope round payloads, and reading a line of a run's stream."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    field_serializer,
)

from coflect_widget.events.base import LARGEST, Payload, Split, is_finite
from coflect_widget.events.guidance import (
    Answered,
    Control,
    Effect,
    Finding,
    Hits,
    InterventionRecord,
    Kept,
    KnobsInForce,
    Lapsed,
    Proof,
    Proving,
    Spike,
    Undone,
)
from coflect_widget.events.run import (
    Advice,
    CheckpointSaved,
    CommandReceived,
    Cost,
    Failure,
    Log,
    Metrics,
    NonFinite,
    Notice,
    Resumed,
    RunStarted,
    StateChanged,
    TrainStarted,
    Unknown,
)
from coflect_widget.events.samples import (
    Forecast,
    ForecastScored,
    Forgotten,
    Judged,
    Overlay,
    OverlayFailed,
    Requests,
    Suspects,
    Window,
)

SCHEMA_VERSION = 1
PAYLOADS: dict[str, type[Payload]] = {
    "run_started": RunStarted,
    "train_started": TrainStarted,
    "state": StateChanged,
    "metrics": Metrics,
    "forecast": Forecast,
    "suspects": Suspects,
    "requests": Requests,
    "forgotten": Forgotten,
    "judged": Judged,
    "window": Window,
    "forecast_scored": ForecastScored,
    "overlay": Overlay,
    "overlay_failed": OverlayFailed,
    "intervention": InterventionRecord,
    "undo": Undone,
    "lapsed": Lapsed,
    "knobs": KnobsInForce,
    "spike": Spike,
    "hits": Hits,
    "effect": Effect,
    "finding": Finding,
    "control": Control,
    "answer": Answered,
    "proof": Proof,
    "proving": Proving,
    "kept": Kept,
    "command": CommandReceived,
    "checkpoint": CheckpointSaved,
    "resumed": Resumed,
    "cost": Cost,
    "notice": Notice,
    "log": Log,
    "non_finite": NonFinite,
    "advice": Advice,
    "failure": Failure,
}
#: Name of each payload class's type, the reverse of `PAYLOADS`.
TYPE_OF = {payload: name for name, payload in PAYLOADS.items()}
#: Events that a person caused or must not lose: synced to disk before anyone hears of them.
DURABLE = frozenset(
    {
        "run_started",
        "state",
        "intervention",
        "undo",
        "lapsed",
        "command",
        "checkpoint",
        "resumed",
        "failure",
        "judged",
        "answer",
        "proof",
        "kept",
    }
)


class Event(BaseModel):
    """One record of the run's stream.

    Attributes
    ----------
    seq : int
        Position in the stream, from 0, without gaps.
    ts : datetime
        Time of writing, UTC.
    type : str
        Key of `PAYLOADS`; it decides the class of `data`.
    step, epoch : int
        Optimizer steps done and epochs completed when it happened.
    split : {"train", "val"} or None
    data : Payload
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    seq: int = Field(ge=0, le=LARGEST)
    ts: datetime
    run_id: str
    type: str
    step: int = Field(ge=0, le=LARGEST)
    epoch: int = Field(ge=0, le=LARGEST)
    split: Split | None = None
    data: Payload

    def __getattr__(self, name: str) -> Any:
        """Fields of the payload may be read from the event itself: ``notice.text``."""
        data = self.__dict__.get("data")
        if not name.startswith("_") and data is not None and name in data:
            return data[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @field_serializer("data")
    def _whole_payload(self, data: Payload) -> dict[str, Any]:
        return data.model_dump(mode="json")


class UnknownEvent(Event):
    """A record of a type that this version does not know."""

    data: Unknown


def _typed(name: str, payload: type[Payload]) -> type[Event]:
    """The envelope round payloads of one type, so that a line of JSON is checked in one go."""
    kind: Any = Literal[name]
    fields: dict[str, Any] = {"type": (kind, ...), "data": (payload, ...)}
    return create_model(f"{payload.__name__}Event", __base__=Event, **fields)


_AnyEvent: Any = Union[tuple(_typed(name, payload) for name, payload in PAYLOADS.items())]  # noqa: UP007
_EVENTS: TypeAdapter[Any] = TypeAdapter(Annotated[_AnyEvent, Field(discriminator="type")])
#: Digits become "0" and "E" becomes "e": the shape of a line's numbers.
_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")


def read_event(line: bytes) -> Event | None:
    """One line of a stream, or None where it is no event; unknown types are kept as `Unknown`.

    Nobody writes NaN or infinity: a metric's is null, and elsewhere there is none.
    """
    try:
        event: Event = _EVENTS.validate_json(line)
    except ValidationError as error:
        if not any(one["type"] == "union_tag_invalid" for one in error.errors()):
            return None
        try:
            event = UnknownEvent.model_validate_json(line)
        except ValidationError:
            return None
    if isinstance(event.data, Metrics) or not _may_be_infinite(line) or is_finite(event.data):
        return event
    return None


def _may_be_infinite(line: bytes) -> bool:
    """Whether a line of JSON could hold NaN, or a number beyond 1e99; quick, for all others."""
    shape = line.translate(_SHAPE, b"+")
    return b"NaN" in line or b"Infinity" in line or b"e000" in shape or b"0" * 300 in shape
