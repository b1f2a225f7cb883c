"""Payloads about samples: forecasts, verdicts on labels, reviews, maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from coflect_widget.events.base import Payload, Purpose, Record, Table, Verdict


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


class Requests(Payload):
    """Requests to a trained network that were kept, and wait for a person to say their class.

    What they hold is not in the record: it can be removed.
    """

    waiting: int  #: of all of them; the lists hold the first few, the least sure first
    labelled: int
    id: list[str]
    told: list[int | None]  #: the class that the network said
    confidence: list[float | None]  #: its probability then


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
    explained: int | None = None  #: class, label or output that the map is of
    labels: list[int] = []  #: with several labels a sample those that are there


class OverlayFailed(Payload):
    """An explanation was asked for and could not be given."""

    index: int
    reason: str
    purpose: Purpose = "periodic"
