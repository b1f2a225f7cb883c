"""The typed events of a run and the commands that a person sends back.

An event is an envelope (who, when, where in training) round a payload whose class
follows from ``type``. The same models are written to ``events.jsonl``, shown by the
dashboard and returned by ``session.events()``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
    field_serializer,
    model_validator,
)

SCHEMA_VERSION = 1

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


class RunStarted(Payload):
    """The run folder was made; what is needed to show the run without its data."""

    classes: list[str] | None = None
    num_train: int = 0
    num_val: int = 0
    backend: str = ""
    device: str = ""
    focus: float | None = None  #: strength of strokes before anybody changed it
    guidance: bool = True  #: whether this training can take strokes
    inputs: str = "image"  #: the kind of input, a `Modality.name`
    kernels: str = ""  #: "native 0.1.0" or "numpy", of the forecast; "" in runs of before


class TrainStarted(Payload):
    """A call of ``train`` began; `total_steps` is the step at which it will end."""

    total_steps: int  #: the present step where nobody knows
    steps_per_epoch: int
    batch_size: int
    begun: int = 0  #: steps that its first epoch has already
    own_loop: bool = False  #: whether it is a loop of the user's own, which no button continues


class StateChanged(Payload):
    """The run went into another state; `by` tells who or what asked for it."""

    state: RunState
    previous: RunState | None = None
    by: str = "session"


class Metrics(Payload):
    """Means of the named metrics since the event before; NaN and infinity become null."""

    values: dict[str, float | None]

    @field_serializer("values")
    def _nulls(self, values: dict[str, float | None]) -> dict[str, float | None]:
        return {name: finite(value) for name, value in values.items()}


class Forecast(Table):
    """The samples most likely to be wrong `horizon` epochs from now, riskiest first.

    They are those of two lists, at most `forecast.top` of each: right now and at risk, and wrong
    now. Runs of before have one list, whatever a sample was then.
    """

    columns = ("index", "risk", "target", "predicted", "reason")
    optional = ("target_value", "predicted_value", "error")

    index: list[int]
    risk: list[float]
    target: list[int]  #: -1 in regression ...
    predicted: list[int]  #: ... and 1 where the error was large when last seen, else 0
    reason: list[str]
    #: In regression one entry a sample, else empty, as in runs of before: what was wanted, what
    #: the model gave when it last saw the sample, and how far that is off.
    target_value: list[float | None] = []
    predicted_value: list[float | None] = []  #: both None for samples of several values
    error: list[float | None] = []  #: root of the mean square over a sample's values
    horizon: int
    named: bool = False  #: True where this ranking is kept to be scored at epoch + horizon
    onset: bool = False  #: True where it holds only samples that are right now
    doubtful: list[int] = []  #: indices of those whose label is suspected
    #: True where those at risk were ranked apart from those wrong now
    parted: bool = False
    wrong: int | None = None  #: of all samples, how many are wrong now; None in runs of before

    @property
    def wrong_now(self) -> list[bool]:
        """Of each sample: whether it was wrong when it was last seen."""
        return [
            predicted == 1 if target < 0 else predicted != target
            for target, predicted in zip(self.target, self.predicted, strict=True)
        ]


class Suspects(Table):
    """Samples whose label may be wrong, most doubtful first; written at each epoch's end."""

    columns = ("index", "doubt", "target", "suggested", "judged")

    count: int  #: of all of them; the lists hold the first few
    index: list[int]
    doubt: list[float]  #: a score in [0, 1], no probability
    target: list[int]  #: their label
    suggested: list[int]  #: the class that the model sees in them
    judged: list[str]  #: what a person said last, "" where nobody did
    #: share of wrong labels that held-out data speak for; above 0 the forecast leaves suspects out
    noise: float = 0.0


class Forgotten(Table):
    """Samples that were right once and are wrong now; written at each epoch's end."""

    columns = ("index", "target", "predicted", "times")

    count: int  #: of all of them; the lists hold the first few
    index: list[int]  #: those forgotten most often first
    target: list[int]  #: -1 in regression ...
    predicted: list[int]  #: ... and 1 where the error is large
    times: list[int]  #: how often each was forgotten


class Judged(Payload):
    """What a person said of a sample's label; training follows from the next step on."""

    index: int
    verdict: Verdict
    label: int | None = None  #: the label it is trained with from now on
    before: int | None = None  #: the one that it had until now
    author: str = ""


class GateStatus(Record):
    """One condition of the review window and how far it is."""

    name: str
    passed: bool
    value: float | None = None
    needed: float
    progress: float = Field(ge=0, le=1)
    sentence: str


class Window(Payload):
    """The review window's gates; written when one of them changes and at each epoch's end."""

    open: bool
    gates: list[GateStatus]
    by_hand: bool = False  #: True where a person opened it; it shuts with the next intervention


class ForecastScored(Payload):
    """How a ranking named earlier came out: `hits` of `named` were wrong at `epoch_due`."""

    epoch_named: int
    epoch_due: int
    named: int
    hits: int
    chance: float  #: hits to be expected from as many samples drawn at random
    window_open: bool = False  #: whether the review window was open when it was named
    #: how it is known who was wrong: from the weights of that epoch's end, or from the sample's
    #: last sighting in training; an evaluated score replaces the one from training
    truth: Literal["evaluated", "training"] = "training"
    sentence: str = ""  #: the score in words


@dataclass(frozen=True, slots=True)
class Quality:
    """Verdict of the checks on one map.

    Attributes
    ----------
    reliable : bool
        False where a check failed: the map may not be read as what the model looks at.
    reason : str
        One sentence that says why it is not reliable; empty where it is.
    drop : float or None
        Fall of the explained class's probability when the strongest 10 % of the map are removed
        from the input; None where it was not tried.
    random_drop : float or None
        The same for as many pixels elsewhere, the mean over several places.
    deletion : float or None
        `drop` beyond `random_drop`, measured in log-odds of the class, so that it counts
        on a confident model too.
    random_weights : float or None
        Agreement, in [0, 1], with the map of the same model with random weights; None where one
        of the two is flat.
    """

    #: What a newer version says of a map is left out: a dataclass has no room for it.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    reliable: bool
    reason: str = ""
    drop: float | None = None
    random_drop: float | None = None
    deletion: float | None = None
    random_weights: float | None = None

    def distrusted(self, reason: str) -> Quality:
        """The same figures, but not reliable for a reason that outweighs them."""
        return replace(self, reliable=False, reason=reason)


class Overlay(Table):
    """An explanation was computed; the maps and the picture are files of the run."""

    columns = ("top_classes", "top_probs")

    index: int
    target: int | None
    predicted: int
    top_classes: list[int]
    top_probs: list[float]
    agreement: float | None
    focus_bbox: tuple[float, ...] | None  #: corners in fractions, of a picture x0, y0, x1, y1
    model_step: int
    method: str
    quality: Quality | None = None
    purpose: Purpose = "periodic"
    seconds: float = 0.0  #: processor time of the worker
    samples_used: int = 0  #: noisy copies that SmoothGrad took
    #: share of each input; they sum to 1. null where one of them cannot be measured
    modality_focus: dict[str, float] | None = {}
    modality_reason: str = ""  #: why not
    maps: str = ""  #: npz file, relative to the run folder
    picture: str = ""  #: png file, relative to the run folder


class OverlayFailed(Payload):
    """An explanation was asked for and could not be given."""

    index: int
    reason: str
    purpose: Purpose = "periodic"


class StrokeRecord(Record):
    """One region of interest: what kind, where (JSON form of the ROI), and on which sample."""

    kind: StrokeKind
    roi: dict[str, Any]
    sample: int | None = None  #: None means everywhere, or all of class `label`
    label: int | None = None
    spreads: bool = True  #: whether like places of other samples may be swapped too


class Found(Record):
    """Samples in which an ignored artefact was found, and where; a person confirmed them."""

    of: str  #: the intervention whose stroke it is
    index: list[int]
    box: list[tuple[float, ...]]  #: corners in fractions, of a picture x0, y0, x1, y1


class KnobTurn(Record):
    """One knob that a person turned, beside what its optimizer's groups had.

    `value` is what was given: one number for all groups, or one for each, null where a group keeps
    its own; empty where a `factor` or `layers` were given.
    """

    name: str  #: "lr", another value of the optimizer's groups, "freeze", "unfreeze", "batch_size"
    value: list[float | None] = []
    factor: float | None = None
    layers: list[str] = []
    before: list[float] = []  #: of each group
    after: list[float] = []
    at: list[float] = []  #: what each group would have had then without any knob


class DataChange(Record):
    """What a person did to the training data; a sample's index never changes."""

    kind: Literal["add", "drop", "relabel"]
    index: list[int]
    label: list[int] = []  #: of "relabel", one for each index
    file: str = ""  #: of "add", npz of inputs and targets, relative to the run folder


class InterventionRecord(Payload):
    """What a person told the training, and what was understood."""

    id: str
    author: str = ""
    sample: int | None = None
    strokes: list[StrokeRecord] = []
    instruction: str | None = None
    understood: str = ""
    strength: float | None = None  #: of the strokes, after this intervention
    stroke_strength: float | None = None  #: given with the strokes; None follows the focus
    focus_change: float | None = None  #: added to the strength of all guidance
    focus_set: float | None = None  #: the strength that all guidance was set to
    focus: float | None = None  #: strength of new strokes, after this intervention
    clears: bool = False  #: ends the guidance given before it
    scope: Scope | None = None  #: as said; None: as drawn
    found: Found | None = None  #: the same artefact in other samples
    loss: str = ""  #: the loss terms it became
    knobs: list[KnobTurn] = []
    data: DataChange | None = None

    @property
    def guides(self) -> bool:
        """Whether it is about the loss: strokes, their strength, or an end to them."""
        return not self.knobs and self.data is None


class KnobValue(Record):
    """One value of the optimizer, in each of its groups."""

    name: str
    values: list[float]
    scheduled: bool = False  #: whether a schedule moves it


class LayerState(Record):
    """A layer with weights, and how much of it is held."""

    name: str
    weights: int
    frozen: float  #: share of its weights, 0 to 1


class KnobsInForce(Payload):
    """What a person may turn, as it is now; written at the start and after each change."""

    values: list[KnobValue] = []
    layers: list[LayerState] = []  #: the outer ones
    batch_size: int = 0
    next_batch_size: int = 0  #: from the next epoch on
    num_train: int = 0
    why_not: str = ""  #: why nothing can be turned, if so


class Spike(Payload):
    """A step's loss far above the usual, and the samples that carry it.

    A loss that is NaN or infinite is null, as in `value`.
    """

    loss: float | None  #: of the step's batch
    usual: tuple[float, float]  #: where nearly all losses of the steps before lie
    index: list[int] = []  #: largest loss first; empty where no few samples carry it
    value: list[float | None] = []  #: each one's own loss in that step
    text: str = ""


class Undone(Payload):
    """An intervention was taken out; later ones stay."""

    id: str
    author: str = ""
    understood: str = ""
    focus: float | None = None  #: strength of new strokes afterwards


class Lapsed(Payload):
    """Strokes of an intervention went out of force by themselves: their loss term failed.

    All of that kind that came with it; the rest of the intervention stays, and so does the
    training.
    """

    id: str
    kind: StrokeKind
    sample: int | None = None
    term: str = ""  #: the loss term that failed
    why: str = ""  #: end of a sentence: "raised ...", "is nan"


class Hits(Table):
    """Other samples that show what was ignored, best first; written while a search goes on."""

    columns = ("index", "box", "score")

    intervention: str
    count: int  #: samples that look the same
    searched: int  #: samples looked at so far
    total: int
    done: bool = False
    index: list[int] = []  #: the best of them
    box: list[tuple[float, ...]] = []  #: where it is, corners in fractions
    score: list[float] = []  #: 1 for the same pixels, 0 for what any other place looks like
    error: str = ""  #: why the search ended early


class Measure(Record):
    """One figure before and after an intervention; `low` to `high` is where the change lies.

    Of "energy inside" it is the change less what it was at other places of the same shape.
    """

    name: str
    before: float
    after: float
    change: Annotated[float, OPTIONAL]
    low: float  #: of a 95 % interval
    high: float


class Effect(Payload):
    """What an intervention did, measured some steps after it."""

    intervention: Annotated[str, OPTIONAL]
    #: "no verdict" where the figures cannot tell what it did, as after a knob that was turned
    verdict: Literal["helped", "looks there more", "no measurable effect", "harmed", "no verdict"]
    text: str  #: the verdict in a sentence, with its figures
    from_step: Annotated[int, OPTIONAL]
    to_step: Annotated[int, OPTIONAL]
    explainer: str = ""  #: how the energy was measured; never what was trained on
    measures: list[Measure] = []


class CommandReceived(Payload):
    """A person pressed pause, resume or stop, or changed a setting."""

    command: str
    author: str = ""


class CheckpointSaved(Payload):
    """A checkpoint is on disk: its folder, relative to the run folder."""

    path: str  #: in runs of before, the file of the weights
    reason: str = ""  #: "time", "epoch", "best", "asked", "finished", "stopped" or "failed"
    name: str = ""  #: that a person gave it
    metric: str = ""  #: of the validation by which it is the best so far; "" where it is not
    direction: str = ""  #: "higher" or "lower" is better
    value: float | None = None
    megabytes: float = 0.0
    copy_seconds: float = 0.0  #: of the training thread
    lacks: list[str] = []  #: what could not be kept


class Resumed(Payload):
    """The run goes on from a checkpoint: metrics of later steps hold no longer.

    Interventions and verdicts of later steps hold, from those steps on.
    """

    checkpoint: str = ""  #: its folder, relative to the run folder; "" where the run had none
    seq: int = 0  #: the checkpoint has taken in the events before this one
    validated: int = 0  #: newest step whose validation counts
    lacks: list[str] = []  #: what the checkpoint does not have
    inexact: list[str] = []  #: why the rest may differ from a run that was not interrupted


class Cost(Payload):
    """What the parts around the training used so far; written every ten seconds or epoch."""

    percent: float | None = None  #: the next two, in % of what training alone took
    tool_seconds: float = 0.0  #: of the training thread: telemetry, snapshots, commands, rests
    guidance_seconds: float = 0.0  #: that guided steps took longer than the others around them
    training_seconds: float = 0.0  #: of the training thread, guidance included, pauses not
    overlays_made: int = 0
    overlays_skipped: int = 0
    overlays_failed: int = 0
    overlays_non_finite: int = 0  #: of the failed: NaN or infinite, nothing to show
    overlay_seconds: float = 0.0  #: processor seconds in the workers, probes included
    probed: int = 0  #: samples whose present outputs the forecast had looked at
    probe_seconds: float = 0.0  #: that part of the seconds that it took
    person_seconds: float = 0.0  #: that part of them for which a person waited
    rest_seconds: float = 0.0  #: that training rested, for maps and for telemetry
    rests: int = 0  #: how often it did
    telemetry_dropped: int = 0


class Notice(Payload):
    """Something a person should know; `level` orders how loudly."""

    level: Literal["info", "warning", "error"]
    text: str
    #: what a button beside it does: end the other sessions of the kernel
    offer: Literal["", "close_others"] = ""
    #: Of an alarm its kind, as "collapse" or "parted": it holds until a notice of the same kind
    #: says `over`, or another one of that kind takes its place.
    alarm: str = ""
    over: bool = False
    intervention: str | None = None  #: what it came after, and may be undone
    about: str = ""  #: of an alarm: what its figures are, as "validation accuracy" or "loss"
    #: Of an alarm: "before" and "after" of a collapse, or "training" and "validation".
    figures: dict[str, float] = {}


class NonFinite(Payload):
    """A loss was NaN or infinite; training holds, where somebody can let it go on."""

    samples: list[int] = []  #: those that it most likely comes from, the most suspect first
    in_data: bool = False  #: whether what was read of them is at fault: it will happen again
    sentence: str = ""  #: names them and says what is wrong
    may_leave_out: bool = False  #: whether a judgement can leave single samples out


class Advice(Payload):
    """What a person may want to do next; it holds until the next event of this type.

    An empty `key` says that the one before no longer holds, and nothing took its place.
    """

    key: str  #: names the cause; one that was dismissed does not come back
    text: str  #: one sentence, with its figures
    button: str | None = None  #: words on a button, and ...
    does: Doing | None = None  #: ... what it does
    sample: int | None = None  #: that it is about
    intervention: str | None = None  #: that it is about


class Failure(Payload):
    """Training ended with an exception."""

    error: str
    traceback: str
    remedy: str = ""  #: what to do next, in a sentence; "" in runs of before


class Unknown(Payload):
    """Payload of a type that this version does not know; its fields are kept as they are."""


PAYLOADS: dict[str, type[Payload]] = {
    "run_started": RunStarted,
    "train_started": TrainStarted,
    "state": StateChanged,
    "metrics": Metrics,
    "forecast": Forecast,
    "suspects": Suspects,
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
    "command": CommandReceived,
    "checkpoint": CheckpointSaved,
    "resumed": Resumed,
    "cost": Cost,
    "notice": Notice,
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


# --- commands: what a person (or the session's methods) asks of a run ---------------------


class Command(BaseModel):
    """Base of everything that is sent to a run. Unknown fields are refused."""

    # Strict: true is not sample 1, and "7" is not 7.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Pause(Command):
    """Hold training at the next step boundary."""

    kind: Literal["pause"] = "pause"


class Resume(Command):
    """Go on after a pause."""

    kind: Literal["resume"] = "resume"


class Advance(Command):
    """Train some steps, or to the end of the epoch, then hold."""

    kind: Literal["advance"] = "advance"
    unit: Literal["step", "epoch"] = "step"
    steps: int = Field(default=1, ge=1, le=LARGEST)  #: how many, where the unit is a step


class Stop(Command):
    """End training at the next step boundary and write a checkpoint."""

    kind: Literal["stop"] = "stop"


#: A region as a browser sends it: corners of a box on a picture, or an object that names its form.
RoiForm = Annotated[
    Any,  # checked by Modality.region
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "number"}},
                {"type": "object", "additionalProperties": True},
            ]
        }
    ),
]


class Continue(Command):
    """Train on after a stop or a failure: what was left, or so many epochs."""

    kind: Literal["continue"] = "continue"
    epochs: int | None = Field(default=None, ge=1, le=1_000_000)


class StrokeInput(Command):
    """A region that a person marked; coordinates are fractions of the sample's sides."""

    kind: StrokeKind
    roi: RoiForm


class Feedback(Command):
    """Strokes on a sample (or everywhere), an instruction, a strength; any of them."""

    kind: Literal["feedback"] = "feedback"
    sample: int | None = None
    strokes: list[StrokeInput] = Field(default=[], max_length=64)
    instruction: str | None = Field(default=None, max_length=500)
    strength: float | None = Field(default=None, ge=0, le=1)
    scope: Scope | None = None


class Similar(Command):
    """Look for what was ignored in other samples."""

    kind: Literal["similar"] = "similar"
    intervention: str = Field(max_length=64)


class Confirm(Command):
    """Ignore it there too: in the given samples, or in all that look the same."""

    kind: Literal["confirm"] = "confirm"
    intervention: str = Field(max_length=64)
    index: list[int] | None = Field(default=None, max_length=1_000_000)


class Undo(Command):
    """Take one intervention out again."""

    kind: Literal["undo"] = "undo"
    intervention: str = Field(max_length=64)


class Explain(Command):
    """Compute the maps of one sample, before anything else."""

    kind: Literal["explain"] = "explain"
    index: int = Field(ge=0)


class SetQueue(Command):
    """Show all likely failures in the queue, or only those of samples that are right now."""

    kind: Literal["set_queue"] = "set_queue"
    onset: bool


class Judge(Command):
    """Say that a suspected label is right, or wrong, or that the sample is to be left out."""

    kind: Literal["judge"] = "judge"
    index: int = Field(ge=0)
    verdict: Verdict
    label: int | None = Field(default=None, ge=0)  #: with "wrong"; None takes the suggested class


class KnobInput(Command):
    """One knob: a value, or one for each group; or a factor; or layers by name."""

    name: str = Field(max_length=64)
    value: list[float | None] = Field(default=[], max_length=1024)
    factor: float | None = None
    layers: list[str] = Field(default=[], max_length=1024)


class SetKnobs(Command):
    """Turn knobs, all of them or none."""

    kind: Literal["set_knobs"] = "set_knobs"
    knobs: list[KnobInput] = Field(min_length=1, max_length=32)


class LeaveOut(Command):
    """Leave samples out of the training, as one intervention."""

    kind: Literal["leave_out"] = "leave_out"
    index: list[int] = Field(min_length=1, max_length=100_000)


class OpenWindow(Command):
    """Open the review window by hand."""

    kind: Literal["open_window"] = "open_window"


class Dismiss(Command):
    """Put an advice away; it does not come back for the same cause."""

    kind: Literal["dismiss"] = "dismiss"
    key: str = Field(min_length=1, max_length=200)


class SavePage(Command):
    """Write what the dashboard shows as one page into the run folder."""

    kind: Literal["save_page"] = "save_page"


class CloseOthers(Command):
    """End every other session of the kernel."""

    kind: Literal["close_others"] = "close_others"


AnyCommand = Annotated[
    Pause
    | Resume
    | Advance
    | Stop
    | Continue
    | Feedback
    | Similar
    | Confirm
    | Undo
    | Explain
    | SetQueue
    | Judge
    | SetKnobs
    | LeaveOut
    | OpenWindow
    | Dismiss
    | SavePage
    | CloseOthers,
    Field(discriminator="kind"),
]
COMMAND: TypeAdapter[Any] = TypeAdapter(AnyCommand)
