"""Payloads about the run itself: its beginning and end, figures, checkpoints, notices."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    field_serializer,
)

from coflect_widget.events.base import Doing, Payload, RunState, finite


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


class CommandReceived(Payload):
    """A person pressed pause, resume or stop, or changed a setting."""

    command: str
    author: str = ""


class CheckpointSaved(Payload):
    """A checkpoint is on disk: its folder, relative to the run folder."""

    path: str  #: in runs of before, the file of the weights
    reason: str = ""  #: "time", "epoch", "best", "said", "knob", "asked", "finished", ...
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


class Log(Payload):
    """A record of the standard library's ``logging`` under ``coflect``."""

    level: str  #: "debug", "info", "warning", "error", "critical", or a level of one's own
    logger: str  #: its name
    text: str  #: the message, and below it the traceback, where there is one
    left_out: int = 0  #: records just before it that were too many in one second


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
