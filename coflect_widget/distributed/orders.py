"""What the leader of a group tells the others at a step boundary, as JSON; no pickle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from coflect_widget.events import InterventionRecord, Judged, Undone


class _Part(BaseModel):
    # A validation loss may be NaN, and a schedule of another process shall see the same.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Drawn(_Part):
    """An intervention comes into force: strokes, knobs, or a change of the data."""

    kind: Literal["intervention"] = "intervention"
    record: InterventionRecord


class TakenBack(_Part):
    """An intervention goes out of force."""

    kind: Literal["undo"] = "undo"
    record: Undone


class Verdict(_Part):
    """A sample's label was judged."""

    kind: Literal["judged"] = "judged"
    record: Judged


Act = Annotated[Drawn | TakenBack | Verdict, Field(discriminator="kind")]


class Order(_Part):
    """One message of the leader.

    Attributes
    ----------
    number : int
        Acts so far, with those of this order.
    step : int
        At which it holds; that of the process that hears it, or the two are not together.
    then : {"hold", "go", "end"}
        Stay at this boundary and hear on; train on; end the training.
    held : bool
        Whether a person holds the training.
    stepwise : bool
        Whether the next boundary is one at which all stay and hear.
    acts : tuple of Act
        To be done now, in this order.
    validation : dict of str to float, or None
        Figures of the epoch that has ended.
    """

    number: int
    step: int
    then: Literal["hold", "go", "end"]
    held: bool = False
    stepwise: bool = False
    acts: tuple[Act, ...] = ()
    validation: dict[str, float] | None = None

    def to_bytes(self) -> bytes:
        """As it travels."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> Order:
        """The order that `to_bytes` gave.

        Raises
        ------
        pydantic.ValidationError
            If it is none.
        """
        return cls.model_validate_json(message)


def act_of(record: object) -> Act | None:
    """What a person did, where the other processes have to do it too."""
    match record:
        case InterventionRecord():
            return Drawn(record=record)
        case Undone():
            return TakenBack(record=record)
        case Judged():
            return Verdict(record=record)
    return None
