"""Finds what a training cheats with: small regions that decide by themselves, beside the training.

After an epoch the weights are copied; all else runs in a thread of its own and in the worker for
what nobody waits for. Some confidently right samples are looked at. Of each, the region that holds
most of its map is pasted into other samples, and so is the same shape at other places. A region
that turns most of them is one that decides. Whether it should, only a person can say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coflect_widget.backends.base import Sample
from coflect_widget.events import Answered, Event, Finding, StrokeRecord, Undone
from coflect_widget.modalities.base import Array, Corners, Modality
from coflect_widget.studies.began import Course, Kept, Past
from coflect_widget.studies.controls import ControlQuestions, Tally
from coflect_widget.studies.grouping import groups, interval
from coflect_widget.studies.looking import (
    READ,
    SEARCHED,
    TEMPLATES,
    Carrier,
    Looking,
    Places,
    by_turns,
)
from coflect_widget.studies.pulls import Snapshot
from coflect_widget.studies.recorded_findings import sentence
from coflect_widget.workers.idle_worker import IdleWorker

#: Fewer tell nothing.
FEWEST_LOOKED = 12
#: Samples that receive a region; how many of them each one is first pasted into, and at how many
#: other places the same shape is.
RECEIVERS, FIRST_EACH, FIRST_PLACES = 120, 12, 2
#: The same for a group, of so many donors.
DONORS, EACH, PLACES = 16, 30, 4
#: Pull from which one region decides, and what the interval of its group's must be above.
PULL, SURELY = 0.4, 0.3
#: Share of the samples looked at that must have it, and how many at least.
SHARE, FEWEST = 0.15, 4
#: Seconds that a person waits at most while all samples are searched for what is to be ignored.
PATIENCE = 120.0
#: A round begins at an epoch's end if the last ended before as many times its own length.
PAUSE = 2.0


@dataclass(slots=True)
class _Known:
    """A finding and where it is in the training data."""

    finding: Finding
    places: Places | None  # None until it was looked for
    pulls: dict[int, Any] = field(default_factory=dict)  # of each donor, by step


class Finder:
    """Looks for what decides by itself, one round after the other.

    Parameters
    ----------
    worker : IdleWorker
    snapshot : callable () -> callable () -> Snapshot
        Copies the present weights, between two steps; what it gives is called on a thread.
    read_train, read_val : callable (index) -> Sample
    num_train, num_val : int
        Of validation data 0 where they are not to be read.
    modality : Modality
    classes : sequence of str
    tell : callable (payload)
        Records a finding; called on this object's thread.
    problem : callable (text)
    nbytes : int
        Of one copy of the weights.
    by_itself : bool
        Whether it looks after epochs, and not only where it is asked to.
    asks : bool
        Whether a person is asked about what it then finds; about the rest one is.
    why_not : str
        Why it looks at nothing; "" where it can.
    controls : float
        For so many findings, a share of those that it has a person asked about, a random place is
        asked about too; as many are asked about without their figures.

    Attributes
    ----------
    controls : ControlQuestions
    past : Past
    missed : str
        Why the last look told nothing; "" after one that did.
    able : bool
        Whether it looks at all.
    failed : bool
        Whether the last look ended with an error.
    """

    def __init__(
        self,
        worker: IdleWorker,
        snapshot: Callable[[], Callable[[], Snapshot]],
        read_train: Callable[[int], Sample],
        read_val: Callable[[int], Sample],
        num_train: int,
        num_val: int,
        modality: Modality,
        classes: Sequence[str],
        seed: int,
        tell: Callable[[Any], Any],
        problem: Callable[[str], Any],
        *,
        nbytes: int,
        by_itself: bool,
        asks: bool,
        why_not: str,
        controls: float = 0.0,
    ) -> None:
        self._looking = Looking(worker, modality, read_train, num_train, seed)
        self._course = Course(snapshot, nbytes)
        self._read_others = read_val if num_val else read_train
        self._num_train = num_train
        self._others = num_val or num_train
        self._held_out = bool(num_val)
        self.past = Past(self._course, self._looking, modality, self._receivers, seed)
        self._modality = modality
        self._classes = list(classes)
        self._seed = seed
        self._tell = tell
        self._problem = problem
        self._by_itself = by_itself
        self._asks = asks
        self.missed = why_not
        self.able = not why_not
        self.failed = False
        share = controls if by_itself and asks else 0.0
        self.controls = ControlQuestions(share, self._looking, modality, seed)
        self._known: dict[str, _Known] = {}
        self._next: tuple[Kept, bool] | None = None
        self._changed = threading.Condition()
        self._busy = self._closed = self._copies = False
        self._rest_until = 0.0
        self._rounds = 0
        self._thread = threading.Thread(target=self._serve, name="coflect-findings", daemon=True)

    # --- at a step boundary, on the training thread or while nothing trains --------------------

    def ended(self, step: int, epoch: int, *, looks: bool = True, last: bool = False) -> None:
        """An epoch has ended, or with `last` the training: it is looked at if that is wanted."""
        if self._by_itself and looks:
            self.look(step, epoch, last=last, asks=self._asks)
        if self.able and self._course.copies(step) and self._copied(step, epoch) is not None:
            self._wake()

    def go_back(self, step: int) -> None:
        """The run goes on from this step; while nothing trains."""
        self._course.go_back(step)
        with self._changed:
            for known in self._known.values():
                known.pulls = {then: pull for then, pull in known.pulls.items() if then <= step}
                history = [one for one in known.finding.history if one.step <= step]
                known.finding = known.finding.model_copy(update={"history": history})

    def _copied(self, step: int, epoch: int) -> Kept | None:
        try:
            return self._course.add(step, epoch)
        except Exception as error:  # noqa: BLE001 - looking ends no training
            self.able, self.missed = False, str(error)
            self._problem(f"Shortcuts are not looked for: {error}")
            return None

    def look(self, step: int, epoch: int, *, last: bool = False, asks: bool = True) -> None:
        """Look at the model as it is now, unless that goes on; a `last` look is never left out.

        With `asks` a person is asked about what is found.
        """
        with self._changed:
            free = not self._busy and self._next is None
            if not self.able or self._closed:
                return
            if not last and not (free and time.monotonic() >= self._rest_until):
                return
        now = self._copied(step, epoch)
        if now is None:
            return
        with self._changed:
            self._next = now, asks or (self._next is not None and self._next[1])
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._copies = True
            if self._thread.ident is None and not self._closed:
                self._thread.start()
            self._changed.notify_all()

    # --- any thread --------------------------------------------------------------------------

    @property
    def found(self) -> list[Finding]:
        """All findings, oldest first."""
        with self._changed:
            return [known.finding for known in self._known.values()]

    @property
    def rounds(self) -> int:
        """Rounds that came to their end."""
        return self._rounds

    def wait(self, timeout: float) -> bool:
        """Until nothing is looked at; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not (self._busy or self._next), timeout
            )

    def close(self) -> None:
        """Look no more."""
        with self._changed:
            self._closed, self._next = True, None
            self._looking.close()
            self._changed.notify_all()

    def adopt(self, findings: Sequence[Finding], tally: Tally) -> None:
        """Findings and control questions of the run that is gone on with."""
        with self._changed:
            self.controls.tally = tally
            for finding in findings:
                self._known[finding.id] = _Known(finding, None)

    def named(self, finding: str) -> Finding:
        """The finding of this id.

        Raises
        ------
        ValueError
            If there is none.
        """
        return self._held(finding).finding

    def answered(self, data: Answered) -> Finding:
        """A person has answered; what is asked again, and what is not, follows."""
        known = self._held(data.finding)
        with self._changed:
            known.finding = known.finding.model_copy(
                update={"answer": data.answer, "intervention": data.intervention}
            )
            return known.finding

    def event(self, event: Event) -> None:
        """Something was recorded: where what ignores a finding was undone, it is open again."""
        if not isinstance(event.data, Undone):
            return
        with self._changed:
            known = next(
                (k for k in self._known.values() if k.finding.intervention == event.data.id), None
            )
            if known is None:
                return
            known.finding = known.finding.model_copy(update={"answer": "", "intervention": ""})
        self._tell(known.finding)

    def strokes(self, finding: str) -> tuple[list[StrokeRecord], dict[int, Corners]]:
        """What has to be ignored for "wrong reason": strokes, and where else it was found.

        Raises
        ------
        ValueError
            If there is no such finding.
        """
        known = self._held(finding)
        carriers, found = self._looking.carriers(known.finding), known.places
        if found is None or not (found.everywhere or found.reached >= self._num_train):
            found = self._looking.search(carriers, self._num_train, PATIENCE, found)
            known.places = found
        if found.everywhere:
            whole = [region.to_json() for region in found.everywhere]
            return [StrokeRecord(kind="ignore", roi=roi) for roi in whole], {}
        drawn: dict[bytes, StrokeRecord] = {}  # the first of each pattern
        for one in carriers:
            pattern = self._modality.pattern(one.region, one.x)
            stroke = StrokeRecord(
                kind="ignore", roi=one.region.to_json(), sample=one.index,
                spreads=pattern is not None,
            )  # fmt: skip
            drawn.setdefault(b"" if pattern is None else repr(pattern).encode(), stroke)
        strokes = list(drawn.values())
        return strokes, {} if strokes[0].spreads else found.boxes

    def _held(self, finding: str) -> _Known:
        with self._changed:
            if finding not in self._known:
                names = ", ".join(self._known) or "none yet"
                raise ValueError(f"there is no finding {finding!r}; findings are: {names}")
            return self._known[finding]

    # --- on this object's thread ---------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or self._copies)
                if self._closed:
                    return
                wanted, self._next, self._copies = self._next, None, False
                self._busy = wanted is not None
            started = time.monotonic()
            try:
                self._course.finish()
                if wanted is None:
                    continue
                now, asks = wanted
                self._round(now.made(), now.epoch, asks=asks)
                for known in list(self._known.values()):
                    self._look_back(known, now)
                self._rounds += 1
            except BaseException as error:  # noqa: BLE001 - the next round may do better
                self.missed, self.failed = repr(error), True
                if not self._closed:
                    self._problem(f"Shortcuts were not looked for: {error!r}")
            ended = time.monotonic()
            self._rest_until = ended + PAUSE * (ended - started)

    def _round(self, snapshot: Snapshot, epoch: int, *, asks: bool) -> None:
        rng = np.random.default_rng([self._seed, self._rounds])
        looked = self._looking.sure(snapshot, rng)
        self.failed, self.missed = False, ""
        if len(looked) < FEWEST_LOOKED:
            self.missed = f"of {READ} samples the model is surely right on {len(looked)} only"
            return
        receivers = self._looking.bare(snapshot, self._receivers(rng))
        # By some it is found where a region decides, and by others how far.
        finding, judging = receivers[::2], receivers[1::2]
        if len(receivers) < 2 * FIRST_EACH:  # too few to be divided
            finding = judging = receivers
        places = self._modality.moves(self._modality.extent(looked[0].x), PLACES, rng)
        strong = self._looking.strong(
            snapshot, looked, finding, FIRST_EACH, places[:FIRST_PLACES], PULL
        )
        enough = max(FEWEST, SHARE * len(looked))
        if len(strong) < enough:
            return
        strong = self._looking.placed(snapshot, strong, finding, FIRST_EACH)
        same = self._looking.alike(strong, strong, receivers)
        same |= same.T | np.eye(len(same), dtype=np.bool_)
        for members in groups(same, [one.label for one in strong]):
            if len(members) < enough or self._closed:
                break
            group = by_turns([strong[k] for k in members])
            again = self._looking.pulls(snapshot, group[:DONORS], judging, EACH, places)
            again = again[~np.isnan(again)]
            low, high = interval(again, self._seed) if len(again) else (0.0, 0.0)
            if low > SURELY:
                pull = round(float(again.mean()), 3)
                self._report(group, len(looked), pull, (low, high), receivers, epoch, asks=asks)
        if self.controls.wanted:
            name = self._new_name()
            control = self.controls.made(name, snapshot, looked, receivers, places, rng)
            if control is not None:
                self._tell(control)

    def _new_name(self) -> str:
        """Findings and controls are numbered in one row."""
        return f"f{len(self._known) + len(self.controls.tally.asked) + 1}"

    def _receivers(self, rng: np.random.Generator) -> Array:
        """Samples that receive a region (n, ...)."""
        chosen = rng.permutation(self._others)[:RECEIVERS]
        return np.stack([self._read_others(int(k)).input for k in chosen])

    def _report(
        self,
        group: Sequence[Carrier],
        looked: int,
        pull: float,
        span: tuple[float, float],
        others: Array,
        epoch: int,
        *,
        asks: bool,
    ) -> None:
        known = next(
            (each for each in self._known.values() if self._is(each.finding, group, others)), None
        )
        if known is not None and known.finding.answer:
            return  # told already
        if known is None:
            places = self._looking.search(group, SEARCHED)
            count = self._num_train if places.everywhere else len(places.boxes)
            classes = sorted({one.label for one in group})
            new = Finding(
                id=self._new_name(),
                index=[one.index for one in group],
                regions=[one.region.to_json() for one in group],
                looked=looked,
                share=0.0,
                pull=0.0,
                interval=(0.0, 0.0),
                held_out=self._held_out,
                classes=classes,
                since=epoch,
                count=count,
                text="",
                asked=asks,
                blind=asks and self.controls.blind(),
            )
            known = _Known(new, places)
        searched = min(self._num_train, SEARCHED)
        newer = known.finding.model_copy(
            update={
                "looked": looked,
                "share": round(len(group) / looked, 3),
                "pull": pull,
                "interval": span,
                "asked": known.finding.asked or asks,
                "text": sentence(self._modality, self._classes, pull, known.finding, searched),
            }
        )
        with self._changed:
            if known.finding.answer or self._closed:
                return  # meanwhile
            known.finding = newer
            self._known[newer.id] = known
        self._tell(newer)

    def _look_back(self, known: _Known, now: Kept) -> None:
        """Measure its pull in the weights that are kept, where it was not yet, and tell."""
        measured = self.past.measured(known.finding, known.pulls, now)
        if measured is None or self._closed:
            return
        with self._changed:
            known.finding = known.finding.model_copy(update=measured)
        self._tell(known.finding)

    def _is(self, finding: Finding, group: Sequence[Carrier], others: Array) -> bool:
        """Whether a group of regions is a finding of before: at least half of them look like it."""
        before = self._looking.carriers(finding)[:TEMPLATES]
        same = self._looking.alike(before, group, others)
        return bool(same.any(0).mean() >= 0.5)
