"""Payloads about what a person told the training, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from coflect_widget.events.base import OPTIONAL, Answer, Payload, Record, Scope, StrokeKind, Table


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


class Refit(Record):
    """The last layer was fitted again on held-out samples, by how badly it did on them."""

    layer: str
    rows: int  #: samples that it was fitted on
    file: str  #: npz of its weights before and after and of those samples, relative to the run
    finding: str = ""  #: what it is to cure


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
    refit: Refit | None = None
    kept: int | None = None  #: as of `Undone`

    @property
    def guides(self) -> bool:
        """Whether it is about the loss: strokes, their strength, or an end to them."""
        return not self.knobs and self.data is None and self.refit is None


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
    #: with a branch that was kept: the run was gone back behind the event of this number
    kept: int | None = None


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


#: A branch of a proof.
Branch = Literal["treated", "untreated", "placebo"]


class ProofBranch(Record):
    """One branch of a proof: what it came to, one figure for each seed."""

    name: Branch
    quality: list[float | None] = []  #: on validation, as the task measures it
    loss: list[float | None] = []
    pull: list[float | None] = []  #: of what is ignored, beyond the same shape elsewhere


class Beyond(Record):
    """How far one branch is beyond another one, seed by seed; `low` to `high` is 95 %."""

    branch: Literal["treated", "placebo"]
    than: Literal["untreated", "placebo"]
    name: Literal["quality", "pull"]
    change: float
    low: float
    high: float


class Proof(Payload):
    """What an intervention does, by trainings with it, without it and with a random one instead.

    Each seed's branches begin at the same step, with the same weights, and see the same batches.
    """

    intervention: str
    verdict: Literal["helped", "no difference", "harmed", "no verdict"]
    text: str  #: the verdict in a sentence, with its figures
    from_step: int
    steps: int  #: of each branch
    seeds: int
    cost: int = 0  #: steps that were trained for it
    seconds: float = 0.0
    quality: str = ""  #: what the task calls its quality, such as "accuracy"
    branches: list[ProofBranch] = []
    beyond: list[Beyond] = []
    keeps: list[Branch] = []  #: branches whose end is on disk, until the next proof

    def __str__(self) -> str:
        return self.text


class Proving(Payload):
    """How far a proof is; the last one says `over`."""

    intervention: str
    done: int  #: steps
    total: int
    text: str = ""
    over: bool = False


class Kept(Payload):
    """The training is that of a proof's branch from now on, at the step at which it ended."""

    intervention: str
    branch: Branch
    from_step: int  #: where the branches began
    back: str  #: name of the checkpoint of what the training was before
    author: str = ""
    text: str = ""  #: what has become of the training, in a sentence or two


class PullThen(Record):
    """The pull of a finding at one step of the run, measured later in the weights of then."""

    step: int
    epoch: int
    pull: float
    low: float  #: of a 95 % interval
    high: float


class Finding(Payload):
    """One small region that decides by itself, in a share of the samples that were looked at.

    The same event again, with the same `id`, has newer figures.
    """

    id: str  #: "f1", "f2", ...
    index: list[int]  #: samples it was seen in, the strongest first
    regions: list[dict[str, Any]]  #: where, in each of them: JSON form of a region
    looked: int  #: samples that were looked at, all confidently right
    share: float  #: of them, those that have it
    pull: float  #: share of other samples that it turns, beyond the same region elsewhere
    interval: tuple[float, float]  #: 95 %, of the pull
    held_out: bool  #: whether those others are validation data
    classes: list[int]  #: labels of the samples it was seen in
    #: epoch after which it first had half of its pull and kept it; that at which it was found where
    #: `began` is null
    since: int
    began: tuple[int, int] | None = None  #: 95 % interval of `since`, in epochs
    history: list[PullThen] = []  #: its pull over the run
    count: int  #: training samples in which it was found again, or nearly so
    text: str  #: the question, with its figures
    asked: bool = True  #: whether a person is to answer it
    blind: bool = False  #: asked without its figures, as a control is
    answer: Literal["", "wrong reason", "right reason", "skip"] = ""
    intervention: str = ""  #: that ignores it, after "wrong reason"


class Control(Payload):
    """A random place that a person is asked about as if it were a finding.

    Its `id` is of the same row as those of findings: nobody can tell it by that.
    """

    id: str
    index: list[int]  #: samples that are shown
    regions: list[dict[str, Any]]  #: where, in each of them
    classes: list[int]
    worth: float  #: as much as of a finding, for the order of the questions


class Answered(Payload):
    """What a person said of a finding or a control.

    "wrong reason" of a finding comes after its intervention.
    """

    finding: str
    answer: Answer
    author: str = ""
    intervention: str = ""
