"""How a training stands, folded from its events: what the coach's rules look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from coflect_widget import events
from coflect_widget.events import Event, RunState
from coflect_widget.studies.controls import Questions

#: Names of the gates of the review window that say nothing of how good the model is.
_OTHER_GATES = frozenset({"warm-up", "plateau", "error", "overlap", "cooldown"})


@dataclass
class Told:
    """One intervention, and what became of it."""

    record: events.InterventionRecord
    step: int
    epoch: int
    in_force: bool = True
    effect: events.Effect | None = None
    measured: int = 0  #: epoch at which the effect was


@dataclass
class Alarm:
    """An alarm that holds."""

    notice: events.Notice
    step: int


@dataclass
class Situation:
    """The newest of everything. `take` is called with the events of one run, in their order.

    Attributes
    ----------
    total : int or None
        Step at which the newest training ends; None where it cannot be continued by a button.
    trained, validated : dict of str to float
        Newest mean over an epoch (of the one under way: so far), and newest validation.
    losses : list of float
        Mean training loss of each epoch, the last of them under way.
    looked_at : int or None
        Sample of the newest map.
    learning_rate, first_rate : float or None
        The newest, and the one of the run's beginning.
    above_guessing : bool or None
        Whether the newest validation is better than guessing by what the gate asks for.
    opened : int
        Epoch at which the review window last opened.
    seen_to : set of int
        Samples whose label a person has judged.
    questions : Questions
        Those without an answer.
    """

    state: RunState = "idle"
    step: int = 0
    epoch: int = 0
    total: int | None = None
    classes: list[str] = field(default_factory=list)
    failure: events.Failure | None = None
    non_finite: events.NonFinite | None = None
    non_finite_at: int = 0
    seen_to: set[int] = field(default_factory=set)
    told: dict[str, Told] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    forecast: events.Forecast | None = None
    forecast_epoch: int = 0
    suspects: events.Suspects | None = None
    above_guessing: bool | None = None
    window_open: bool = False
    opened: int = 0
    trained: dict[str, float] = field(default_factory=dict)
    validated: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    looked_at: int | None = None
    learning_rate: float | None = None
    first_rate: float | None = None
    dismissed: set[str] = field(default_factory=set)
    questions: Questions = field(default_factory=Questions)
    _windows: list[dict[str, float]] = field(default_factory=list)  # of the epoch under way
    _of: int = 0  # that epoch

    def take(self, event: Event) -> None:
        """Take in one event."""
        self.step = max(self.step, event.step)
        self.epoch = max(self.epoch, event.epoch)
        match event.data:
            case events.RunStarted() as data:
                self.classes = data.classes or []
            case events.TrainStarted() as data:
                self.total = None if data.own_loop else data.total_steps
                self.failure = None
            case events.StateChanged() as data:
                self.state = data.state
            case events.Failure() as data:
                self.failure = data
            case events.NonFinite() as data:
                self.non_finite, self.non_finite_at = data, event.step
            case events.Judged() as data:
                self._judged(data)
            case events.Metrics() as data if event.split == "val":
                self.validated |= {k: v for k, v in data.values.items() if v is not None}
            case events.Metrics() as data:
                self._trained(event.epoch, data)
            case events.Overlay() as data:
                self.looked_at = data.index
            case events.Forecast() as data:
                self.forecast, self.forecast_epoch = data, event.epoch
            case events.Suspects() as data:
                self.suspects = data
            case events.Window() as data:
                self._window(event.epoch, data)
            case events.Notice() as data if data.alarm:
                self._alarm(event.step, data)
            case events.Finding() | events.Control() | events.Answered() as data:
                self.questions.take(data)
            case events.CommandReceived() as data if data.command.startswith(DISMISS):
                self.dismissed.add(data.command.removeprefix(DISMISS))
            case _:
                self._guided(event)

    def _judged(self, data: events.Judged) -> None:
        if data.verdict == "undo":
            self.seen_to.discard(data.index)
        else:
            self.seen_to.add(data.index)

    def _trained(self, epoch: int, data: events.Metrics) -> None:
        values = {name: v for name, v in data.values.items() if v is not None and math.isfinite(v)}
        self.learning_rate = values.get("learning_rate", self.learning_rate)
        self.first_rate = self.learning_rate if self.first_rate is None else self.first_rate
        if "loss" not in values:
            return
        if epoch != self._of or not self.losses:
            self._windows, self._of = [], epoch
            self.losses.append(values["loss"])
        self._windows.append(values)
        for name in ("loss", "accuracy"):
            known = [window[name] for window in self._windows if name in window]
            if known:
                self.trained[name] = sum(known) / len(known)
        self.losses[-1] = self.trained["loss"]

    def _window(self, epoch: int, data: events.Window) -> None:
        if data.open and not self.window_open:
            self.opened = epoch
        self.window_open = data.open
        quality = next((gate for gate in data.gates if gate.name not in _OTHER_GATES), None)
        self.above_guessing = None if quality is None or quality.value is None else quality.passed

    def _alarm(self, step: int, data: events.Notice) -> None:
        if data.over:
            self.alarms.pop(data.alarm, None)
        else:
            self.alarms[data.alarm] = Alarm(data, step)

    def _guided(self, event: Event) -> None:
        data = event.data
        match data:
            case events.InterventionRecord():
                if data.clears:
                    for one in self.told.values():
                        one.in_force = False
                self.told[data.id] = Told(data, event.step, event.epoch)
            case events.Undone() | events.Lapsed() if data.id in self.told:
                self.told[data.id].in_force = False
            case events.Effect() if data.intervention in self.told:
                one = self.told[data.intervention]
                one.effect, one.measured = data, event.epoch

    # --- what the rules ask ----------------------------------------------------------------

    @property
    def in_force(self) -> list[Told]:
        """Interventions that hold, oldest first."""
        return [one for one in self.told.values() if one.in_force]

    @property
    def whole_epochs(self) -> list[float]:
        """Mean training loss of each epoch that is complete."""
        return self.losses if self._of < self.epoch else self.losses[:-1]

    @property
    def left(self) -> int:
        """Steps that a button could continue."""
        if self.state not in ("stopped", "failed") or self.total is None:
            return 0
        return max(0, self.total - self.step)

    def name_of(self, label: int) -> str:
        """A class's name, in quotes."""
        return repr(self.classes[label]) if 0 <= label < len(self.classes) else f"class {label}"

    def listed(self, *, wrong: bool) -> list[tuple[int, float]]:
        """Samples in the queue with their risk, riskiest first: wrong now, or right and at risk."""
        found = self.forecast
        if found is None:
            return []
        rows = zip(found.index, found.risk, found.wrong_now, strict=True)
        return [(index, risk) for index, risk, now in rows if now == wrong]


#: Begins the record of an advice that a person put away; its key follows.
DISMISS = "dismiss: "
