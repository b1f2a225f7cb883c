"""Commands: what a person, or the session's methods, ask of a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
)

from coflect_widget.events.base import LARGEST, Answer, Scope, StrokeKind, Verdict


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
    target: int | None = Field(default=None, ge=0)  #: class or label; left out, the model's choice
    #: with a class for each place: a place, in fractions, x before y; its region is explained
    at: list[Annotated[float, Field(ge=0, le=1)]] | None = Field(default=None, max_length=2)


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


class LabelRequest(Command):
    """Say the class of a request that was kept; without one it is removed from the disk."""

    kind: Literal["label_request"] = "label_request"
    request: str = Field(pattern="^[0-9a-f]{32}$")
    label: int | None = Field(default=None, ge=0)


class AnswerFinding(Command):
    """Say whether a finding is a good reason; "wrong reason" ignores it wherever it was found."""

    kind: Literal["answer"] = "answer"
    finding: str = Field(min_length=1, max_length=64)
    answer: Answer


class Prove(Command):
    """Train with an intervention, without it and with a random one instead, from before it."""

    kind: Literal["prove"] = "prove"
    intervention: str = Field(min_length=1, max_length=64)


class EndProof(Command):
    """End the proof that is under way; nothing is said of the intervention then."""

    kind: Literal["end_proof"] = "end_proof"


class Keep(Command):
    """Go on from the end of one branch of the newest proof of an intervention."""

    kind: Literal["keep"] = "keep"
    intervention: str = Field(min_length=1, max_length=64)
    branch: Literal["treated", "untreated", "placebo"]


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
    | LabelRequest
    | AnswerFinding
    | Prove
    | EndProof
    | Keep
    | OpenWindow
    | Dismiss
    | SavePage
    | CloseOthers,
    Field(discriminator="kind"),
]
COMMAND: TypeAdapter[Any] = TypeAdapter(AnyCommand)
