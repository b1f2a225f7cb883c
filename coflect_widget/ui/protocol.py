"""The messages between kernel and browser. ``js/src/protocol.ts`` says the same in TypeScript;
``tests/protocol/*.json`` are examples that both sides are tested against.

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

Browser to kernel: custom messages on the controls model, which never publishes. Each is one of
``events.AnyCommand`` plus an ``id``, or about the screen, with the browser's own name as id:
``{"kind": "hello", "id"}``; ``{"kind": "ack", "id", "seq", "seen", "attended"}`` after updates were
shown (each sixteenth, or after eight seconds; every five seconds if nothing comes; when `seen`
changes; and when a person's hand comes back to the view, which `attended` tells for ten seconds);
and ``{"kind": "look", "id", "index", "step"}``, which brings one recorded explanation onto the
shelf. Without acknowledgement at most 24 updates are on their way, then one every two seconds; to
views that nobody sees nothing is sent.

Text is text: neither side ever treats a field as HTML.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic refuses the one of typing on Python 3.11


class Status(TypedDict):
    """The header. ``mode`` is "live" with a kernel, "replay" for a run opened from disk."""

    mode: Literal["live", "replay"]
    run_id: str
    state: str  # events.RunState
    step: int
    epoch: int  # epochs completed
    total_steps: int | None  # null: nobody knows, as in a loop over a loader without a length
    total_epochs: int | None
    steps_per_second: float | None
    seconds_left: float | None
    learning_rate: float | None
    device: str
    classes: list[str]
    num_train: int
    #: tool's own cost: processor seconds of overlays a minute, overlays made and skipped
    overlays_made: int
    overlays_skipped: int
    overlay_seconds: float
    rest_seconds: float  # that training rested, for maps and for telemetry
    cost_percent: float | None  # of the training thread: what went to the tool; null: not known
    focus: float  # strength of new strokes, 0 to 1
    guidance: bool  # whether this training can take strokes
    kernels: str  # of the forecast: "native 0.1.0" or "numpy"; "" where that is not known
    error: str | None  # last line of the exception, where state is "failed"


class Series(TypedDict):
    """Points of one metric: buffer of float64 pairs (step, value); NaN where undefined."""

    name: str  # "train/loss", "val/accuracy", ...
    points_buffer: int


class Marker(TypedDict):
    """A moment worth a line in the charts."""

    step: int
    kind: Literal["intervention", "window_open", "window_shut"]
    text: str
    id: str | None  # of the intervention


class Gate(TypedDict):
    """One gate of the review window."""

    name: str
    passed: bool
    value: float | None
    needed: float
    progress: float  # 0 to 1
    sentence: str


class WindowSection(TypedDict):
    """The review window; ``score`` is a sentence about past forecasts, or null."""

    open: bool
    gates: list[Gate]
    score: str | None
    by_hand: bool  # a person opened it


class QueueItem(TypedDict):
    """One candidate; the thumbnail is a PNG."""

    index: int
    risk: float  # 0 to 1
    target: int
    predicted: int
    reason: str
    #: in regression, in the units of the targets; null with classes, or where not known
    target_value: float | None
    predicted_value: float | None
    error: float | None
    wrong_now: bool  # when it was last seen; else it is right now, and at risk
    doubtful: bool  # its label is suspected
    thumbnail_buffer: int | None


class Queue(TypedDict):
    """The forecast queue, riskiest first: two lists, told apart by `wrong_now`."""

    due: int  # the epoch that the forecast is about, as epochs completed by then
    onset: bool  # holds only samples that are still right
    parted: bool  # those at risk were ranked apart; in runs of before there was one list of any
    items: list[QueueItem]


class TopClass(TypedDict):
    """One of the three most probable classes."""

    index: int
    probability: float


class ExplanationSection(TypedDict):
    """Maps of one sample: the picture as RGB bytes (H, W, 3), each map as bytes (h, w), 0 to 255.

    The browser colours, scales and thresholds. Where ``failed`` is set the rest is null.
    """

    index: int
    failed: str | None
    target: int | None
    predicted: int | None
    top: list[TopClass]
    agreement: float | None  # 0 to 1; null: not defined
    quality: str | None  # "reliable" or "not reliable"; null: not checked
    quality_reason: str | None  # one sentence where it is not reliable
    bbox: list[float] | None  # x0, y0, x1, y1 as fractions
    model_step: int | None
    method: str  # the map shown first
    seconds: float | None
    purpose: str
    width: int
    height: int
    picture_buffer: int | None
    map_width: int
    map_height: int
    livecam_buffer: int | None
    smoothgrad_buffer: int | None
    consensus_buffer: int | None


class TimelineEntry(TypedDict):
    """One recorded explanation of a sample, without its maps."""

    step: int
    agreement: float | None
    quality: str | None


class Timeline(TypedDict):
    """The recorded explanations of the sample that is shown, oldest first."""

    index: int
    entries: list[TimelineEntry]


class MeasureItem(TypedDict):
    """One figure before and after an intervention, with an interval of its change."""

    name: str
    before: float
    after: float
    low: float
    high: float


class EffectItem(TypedDict):
    """What an intervention did."""

    verdict: str
    text: str
    measures: list[MeasureItem]


class HitItem(TypedDict):
    """A sample that shows what was ignored in another one; the thumbnail is a PNG."""

    index: int
    score: float
    box: list[float]
    thumbnail_buffer: int | None


class HitsSection(TypedDict):
    """The search for one artefact in other samples."""

    intervention: str
    count: int
    searched: int
    total: int
    done: bool
    error: str
    items: list[HitItem]


class SuspectItem(TypedDict):
    """A sample whose label may be wrong; `judged` is empty until somebody said something."""

    index: int
    doubt: float
    target: int
    suggested: int
    judged: str
    thumbnail_buffer: int | None


class SuspectsSection(TypedDict):
    """The most doubtful labels, most doubtful first."""

    count: int
    items: list[SuspectItem]


class LedgerItem(TypedDict):
    """One intervention as the ledger shows it."""

    id: str
    step: int
    epoch: int
    text: str  # what was understood
    author: str
    sample: int | None
    strokes: list[dict[str, object]]  # {"kind", "roi", "sample"}
    strength: float | None
    undone: bool
    effect: EffectItem | None


class NoticeItem(TypedDict):
    """A line for the person, newest last; ``level`` is info, warning or error."""

    level: str
    text: str
    step: int
    offer: NotRequired[Literal["close_others"]]  # a button beside it sends that command


class AlarmItem(TypedDict):
    """Something that is wrong at present; it goes when it is over."""

    kind: str
    text: str
    step: int
    intervention: str | None  # to be undone


class Update(TypedDict):
    """What the kernel sends; see the module's text."""

    kind: Literal["update"]
    seq: int
    full: bool
    status: NotRequired[Status]
    metrics: NotRequired[list[Series]]  # appended; with full: replaces
    markers: NotRequired[list[Marker]]
    window: NotRequired[WindowSection]
    queue: NotRequired[Queue]
    explanation: NotRequired[ExplanationSection]
    timeline: NotRequired[Timeline]
    shelf: NotRequired[list[ExplanationSection]]  # added to those the browser has
    hits: NotRequired[HitsSection]
    suspects: NotRequired[SuspectsSection]
    ledger: NotRequired[list[LedgerItem]]
    alarms: NotRequired[list[AlarmItem]]
    notices: NotRequired[list[NoticeItem]]


class Reply(TypedDict):
    """The answer to one message of the browser."""

    kind: Literal["reply"]
    id: str
    ok: bool
    text: str
    step: int | None
