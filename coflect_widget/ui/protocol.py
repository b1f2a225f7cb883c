"""The messages between kernel and browser. ``js/make_protocol.py`` writes the TypeScript from them:
``js/src/protocol.ts`` (types) and ``js/src/decode.ts`` (checks of what arrives);
``tests/protocol/*.json`` are examples that both sides are tested against.

Records that stand in the run's events too are those of `coflect_widget.events`.

Kernel to browser: custom messages on the dashboard's model.

``{"kind": "update", "seq": n, "full": bool, ...sections}``
    At most 20 a second. Each section is present only when it changed; a section replaces the
    one before, except ``metrics``, which appends. ``seq`` grows by one; on a gap, or at first,
    the browser sends ``hello`` and gets a message with ``full: true`` and every section that
    exists. Binary parts are numbered: a field ending in ``_buffer`` is an index into the
    message's buffers, or null. The trait ``_snapshot`` holds ``{"update": <full update>,
    "buffers": [bytes, ...]}`` so that a saved notebook shows the last state without a kernel.
``{"kind": "reply", "id": str, "ok": bool, "text": str, "step": int | null}``
    The answer to the browser's message with that id, sent after what it did is on disk.
``{"kind": "lost", "text": str}``
    From a notebook that shows a training of another process: that one is gone, and why. A later
    update says that it is back.

Browser to kernel: custom messages on the inbox (`ui.inbox`), which never publishes. Each is one of
``events.AnyCommand`` plus an ``id``, or about the screen (`Hello`, `Ack`, `Look`), with the
browser's own name as id. Without acknowledgement at most 24 updates are on their way, then one
every two seconds; to views that nobody sees nothing is sent.

What the browser tolerates of a newer kernel: messages, fields and words that it does not know. Of
an older one, or a saved notebook: the lack of a field that can be null (it becomes null), that has
a default (`older`), or that it does without (`OPTIONAL`). JSON has no NaN: a figure that may be
undefined can be null.

Text is text: neither side ever treats a field as HTML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic refuses the one of typing on Python 3.11

from coflect_widget.events import (
    OPTIONAL,
    AnyCommand,
    Doing,
    Effect,
    GateStatus,
    KnobValue,
    LayerState,
    RunState,
    StrokeRecord,
)
from coflect_widget.ui.fields import FROM_CLASSES, Cells, Mask, Png, binary, older
from coflect_widget.ui.screen_messages import ScreenMessage

ShownState = Literal[RunState, "interrupted"]  # a record that ends while it trains was interrupted
MarkerKind = Literal["intervention", "window_open", "window_shut", "finding"]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions


class Status(TypedDict):
    """The header. ``mode`` is "live" with a kernel, "replay" for a run opened from disk."""

    mode: Annotated[Literal["live", "replay"], older("live")]
    run_id: str
    others: Annotated[list[str], older([])]  # runs beside this one, to be drawn behind it
    state: ShownState
    step: int
    epoch: int  # epochs completed
    total_steps: int | None  # null: nobody knows, as in a loop over a loader without a length
    total_epochs: int | None
    steps_per_second: float | None
    seconds_left: float | None
    learning_rate: float | None
    device: str
    classes: Annotated[list[str], older([])]
    num_train: int
    #: tool's own cost: processor seconds of overlays a minute, overlays made and skipped
    overlays_made: int
    overlays_skipped: int
    overlay_seconds: float
    rest_seconds: Annotated[float, older(0)]  # that training rested, for maps and for telemetry
    cost_percent: float | None  # of the training thread: what went to the tool; null: not known
    focus: float  # strength of new strokes, 0 to 1
    guidance: Annotated[bool, older(True)]  # whether this training can take strokes
    inputs: Annotated[str, older("image")]  # the kind of input, a `Modality.name`
    #: of the forecast: "native 0.1.0" or "numpy"; "" where that is not known
    kernels: Annotated[str, older("")]
    error: str | None  # last line of the exception, where state is "failed"
    trace: str | None  # the whole of it
    remedy: str | None  # what to do next
    steps_left: int | None  # that "continue" would train; null: there is nothing to continue


class SeriesPoints(TypedDict):
    """Points of one metric: buffer of float64 pairs (step, value); NaN where undefined."""

    name: str  # "train/loss", "val/accuracy", ...
    points_buffer: Annotated[int, binary("pairs")]


class Behind(TypedDict):
    """Another run, whose lines are drawn faintly behind this one's."""

    run: str  # "" for none
    metrics: list[SeriesPoints]


class Marker(TypedDict):
    """A moment worth a line in the charts."""

    step: int
    kind: MarkerKind
    text: str
    id: str | None  # of the intervention, or of the finding that began there


class ReviewWindow(TypedDict):
    """The review window; ``score`` is a sentence about past forecasts, or null."""

    open: bool
    gates: list[GateStatus]
    score: str | None
    by_hand: Annotated[bool, older(False)]  # a person opened it


class Candidate(TypedDict):
    """One candidate; the thumbnail is a PNG."""

    index: int
    risk: float  # 0 to 1
    target: int  # below 0 in regression
    predicted: int
    reason: str
    #: in regression, in the units of the targets; null with classes, or where not known
    target_value: float | None
    predicted_value: float | None
    error: float | None
    wrong_now: Annotated[
        bool, FROM_CLASSES
    ]  # when it was last seen; else it is right now, and at risk
    doubtful: Annotated[bool, older(False)]  # its label is suspected
    thumbnail_buffer: Png
    map_buffer: Png  # the same with its newest map; null where none was made, or it was sent before


class Queue(TypedDict):
    """The forecast queue, riskiest first: two lists, told apart by `wrong_now`."""

    due: int  # the epoch that the forecast is about, as epochs completed by then
    onset: Annotated[bool, older(False)]  # holds only samples that are still right
    parted: Annotated[
        bool, older(False)
    ]  # those at risk were ranked apart; in runs of before there was one list of any
    wrong: int | None  # of all samples, how many are wrong now
    items: list[Candidate]


class TopClass(TypedDict):
    """One of the three most probable classes."""

    index: int
    probability: float


class Share(TypedDict):
    """One of several inputs, and what share of the answer it has, 0 to 1."""

    name: str
    share: float


class Explanation(TypedDict):
    """Maps of one sample: the picture as RGB bytes (H, W, 3), each map as bytes (h, w), 0 to 255.

    The browser colours, scales and thresholds. Where ``failed`` is set the rest is null.
    ``content`` is what it draws in place of the picture (`Modality.content`), null where the
    picture is all.
    """

    index: int
    failed: str | None
    target: int | None
    predicted: int | None
    top: Annotated[list[TopClass], older([])]
    explained: Annotated[int | None, older(None)]  # class or label that the map is of
    labels: Annotated[list[int], older([])]  # of several labels a sample those that are there
    agreement: float | None  # 0 to 1; null: not defined
    quality: str | None  # "reliable" or "not reliable"; null: not checked
    quality_reason: str | None  # one sentence where it is not reliable
    bbox: Box | None
    model_step: int | None
    method: Annotated[str, older("")]  # the map shown first
    seconds: float | None
    purpose: Annotated[str, older("")]
    width: Annotated[int, older(0)]
    height: Annotated[int, older(0)]
    picture_buffer: Annotated[int | None, binary("bytes", size=["width", "height", 3])]
    map_width: Annotated[int, older(0)]
    map_height: Annotated[int, older(0)]
    livecam_buffer: Cells
    smoothgrad_buffer: Cells
    consensus_buffer: Cells
    #: with a class for each place: ground truth and prediction, 255 for no class, and 1 where it is
    #: explained
    truth_buffer: Mask
    said_buffer: Mask
    region_buffer: Mask
    content: dict[str, Any] | None
    shares: Annotated[list[Share], older([])]  # of several inputs; []: of one, or not defined


class Glance(TypedDict):
    """What lists draw of a sample in place of its thumbnail, and its newest map in bytes."""

    index: int
    content: dict[str, Any]
    cells_buffer: Annotated[int | None, binary("bytes")]  # unit by unit, the last axis first


class TimelineEntry(TypedDict):
    """One recorded explanation of a sample, without its maps."""

    step: int
    agreement: float | None
    quality: str | None


class Timeline(TypedDict):
    """The recorded explanations of the sample that is shown, oldest first."""

    index: int
    entries: list[TimelineEntry]


class Hit(TypedDict):
    """A sample that shows what was ignored in another one; the thumbnail is a PNG."""

    index: int
    score: float
    box: Annotated[Box, OPTIONAL]
    thumbnail_buffer: Png


class Hits(TypedDict):
    """The search for one artefact in other samples."""

    intervention: str
    count: int
    searched: int
    total: int
    done: bool
    error: str
    items: list[Hit]


class Lost(TypedDict):
    """A sample that was right once and is wrong now; the pictures are PNGs."""

    index: int
    target: int  # below 0 in regression
    predicted: int
    times: int  # how often it was forgotten
    thumbnail_buffer: Png
    map_buffer: Png


class Forgotten(TypedDict):
    """Samples that were right once and are wrong now, most often forgotten first."""

    count: int
    items: list[Lost]


class Suspect(TypedDict):
    """A sample whose label may be wrong; `judged` is empty until somebody said something."""

    index: int
    doubt: float
    target: int
    suggested: int
    judged: str
    thumbnail_buffer: Png
    map_buffer: Png


class Suspects(TypedDict):
    """The most doubtful labels, most doubtful first."""

    count: int
    items: list[Suspect]


class ProofShown(TypedDict):
    """A proof of an intervention; while it is under way it has no verdict."""

    verdict: Literal["", "helped", "no difference", "harmed", "no verdict"]
    text: str
    share: float  # of its steps that are done, 0 to 1
    keeps: Annotated[list[str], older([])]  # branches that the training can go on from
    kept: Annotated[str, older("")]  # the one that it goes on from
    to_step: int | None  # where they ended


class LedgerItem(TypedDict):
    """One intervention as the ledger shows it."""

    id: str
    step: int
    epoch: int
    text: str  # what was understood
    author: str
    sample: int | None
    strokes: list[StrokeRecord]
    strength: float | None
    undone: bool
    effect: Effect | None
    proof: ProofShown | None
    measured: Annotated[bool, older(True)]  # whether an effect may come; none of changed data
    thumbnail_buffer: Png  # of its sample
    before_buffer: Png  # the same with the map that the model had when it was told ...
    after_buffer: Png  # ... and with the newest one since


class Notice(TypedDict):
    """A line for the person, newest last; ``level`` is info, warning or error."""

    level: str
    text: str
    step: int
    offer: NotRequired[Literal["close_others"]]  # a button beside it sends that command


class AlarmSample(TypedDict):
    """A sample behind an alarm, and its own loss; null where that is not finite, or not known."""

    index: int
    value: float | None
    thumbnail_buffer: Png


class Alarm(TypedDict):
    """Something that is wrong at present; it goes when it is over."""

    kind: str
    text: str
    step: int
    intervention: str | None  # to be undone
    samples: Annotated[list[AlarmSample], older([])]  # to be left out, with one command


class Knobs(TypedDict):
    """What a person may turn of the training, as it is now."""

    values: list[KnobValue]
    layers: list[LayerState]
    batch_size: int
    next_batch_size: int  # from the next epoch on
    num_train: int
    why_not: str  # why nothing can be turned; else empty


class Advice(TypedDict):
    """What a person may want to do next; its button does `does`."""

    key: str  # to dismiss it
    text: str
    button: str | None
    does: Doing | None
    sample: int | None
    intervention: str | None


class QuestionSample(TypedDict):
    """A sample that a finding was seen in; ``content`` as of an explanation."""

    index: int
    region: dict[str, Any]  # where: JSON form of a region
    content: dict[str, Any] | None
    thumbnail_buffer: Png


class Question(TypedDict):
    """What a person is asked: whether one small place is a good reason for a class."""

    id: str  # of the finding, or of a random place among them
    text: str
    count: int | None  # training samples that have it; null: that is said after the answer
    pull: float | None  # share of other samples that it turns, -1 to 1; null: as above
    interval: list[float]  # 95 %, of the pull
    classes: list[int]
    controls: Annotated[str, older("")]  # how random places were answered so far, in a sentence
    samples: list[QuestionSample]  # the strongest first


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


class Update(TypedDict):
    """What the kernel sends; see the module's text."""

    kind: Literal["update"]
    seq: int
    full: bool
    status: NotRequired[Status]
    metrics: NotRequired[list[SeriesPoints]]  # appended; with full: replaces
    behind: NotRequired[Behind]
    markers: NotRequired[list[Marker]]
    window: NotRequired[ReviewWindow]
    queue: NotRequired[Queue]
    explanation: NotRequired[Explanation]
    timeline: NotRequired[Timeline]
    shelf: NotRequired[list[Explanation]]  # added to those the browser has
    hits: NotRequired[Hits]
    forgotten: NotRequired[Forgotten]
    suspects: NotRequired[Suspects]
    ledger: NotRequired[list[LedgerItem]]
    glances: NotRequired[list[Glance]]  # added to those the browser has
    knobs: NotRequired[Knobs]
    alarms: NotRequired[list[Alarm]]
    question: NotRequired[Question | None]  # null: nothing is asked now
    advice: NotRequired[Advice | None]  # null: there is none now
    notices: NotRequired[list[Notice]]
    requests: NotRequired[Requests]


class Reply(TypedDict):
    """The answer to one message of the browser."""

    kind: Literal["reply"]
    id: str
    ok: bool
    text: str
    step: int | None


class Gone(TypedDict):
    """What trains is in another process, and that one is not heard any more."""

    kind: Literal["lost"]
    text: str


FromKernel = Annotated[Update | Reply | Gone, Field(discriminator="kind")]
#: Checks what comes from a browser, without its id.
FROM_BROWSER: TypeAdapter[Any] = TypeAdapter(
    Annotated[AnyCommand | ScreenMessage, Field(discriminator="kind")]
)
