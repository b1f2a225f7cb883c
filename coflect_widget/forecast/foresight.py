"""How likely each sample is to be wrong some epochs from now, and whether its label is.

A logistic model over a few features of the sample's history, all of them free of units. It
starts from weights that were fitted on other trainings (`forecast.prior`) and goes on learning
from this run alone what it could not know then: the features of `horizon` epochs ago, and who is
wrong today. Nothing is ever learned from the future. A sample is scored when training has seen
it, not when somebody asks, so that a ranking is no more than a search for the largest numbers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.forecast.calibration import Calibration
from coflect_widget.forecast.logistic import fit, fit_line
from coflect_widget.forecast.prior import FAILURE, OWN, SWING, TREND
from coflect_widget.telemetry.store import JUDGED, SUSPECT, History, SampleStore

#: Names of `features`, in their order.
FEATURES = ("one", "fast", "slow", "mean", "trend", "probe")
#: Samples whose features are kept for `horizon` epochs, to learn from.
PANEL = 4096
#: How firmly the weights are held to where they started, in samples' worth of evidence for each
#: unit; the first is the intercept's.
FIRMNESS = np.array([1.0, 200.0, 200.0, 200.0, 200.0, 200.0])
#: Share of a probe's word that is left after each sighting since.
FADING = 0.6
_FADES = np.power(FADING, np.arange(21)).astype(np.float32)
#: Doubt above which a label is suspected.
SUSPICION = 0.75
#: Sightings below which no label is doubted.
_SIGHTINGS = 3
#: Rows scored at once where all are, how many before the first rest, and seconds of a rest.
_BLOCK, _QUICK, _REST = 16_384, 65_536, 0.001

Floats = NDArray[np.float32]
#: Indices (K,), or as many samples that follow one another.
Rows = NDArray[np.int64] | slice


class _Seen(NamedTuple):
    """What the model looks at of samples."""

    history: History
    probe: Floats | np.float32  # (K,), what is left of a probe's word

    @classmethod
    def of(cls, store: SampleStore, rows: Rows, history: History | None = None) -> _Seen:
        history = history or store.history(rows)
        probed_at = store.probed_at[rows]
        probe: Floats | np.float32 = np.float32(0)
        if probed_at.any():
            age = np.clip(history.times_seen.astype(np.int64) - probed_at, 0, len(_FADES) - 1)
            probe = np.where(probed_at > 0, store.probed[rows] * _FADES[age], probe)
        return cls(history, probe)

    def columns(self, scale: float | np.float32 | Floats) -> tuple[Floats | np.float32, ...]:
        """`FEATURES`, (K,) each, but for the first: numbers without a unit.

        Margins are squashed (arcsinh) after a division by `scale`, their typical size in this run.
        """
        fast, slow, mean, _ = self.history
        unit = np.float32(2) / np.asarray(scale, np.float32)
        squashed: Floats = np.arcsinh(fast * unit)
        return (
            squashed,
            np.arcsinh(slow * unit) - squashed,
            np.arcsinh(mean * unit) - squashed,
            np.tanh((fast - slow) * (unit / 2)),
            self.probe,
        )

    def doubt(self, scale: float | np.float32 | Floats) -> Floats:
        """How far on the wrong side samples were all the time, in sizes of a usual margin.

        The mean over all sightings (AUM) and the slow average, half each. A network learns what
        the other labels have in common before it learns one that contradicts them by heart: where
        it is as sure of another class as it usually is of the right one, the label deserves a look.
        """
        _, slow, mean, times = self.history
        both: Floats = mean + slow
        both *= np.float32(-0.5) / np.asarray(scale, np.float32)
        both[times < _SIGHTINGS] = -np.inf
        return both


def features(store: SampleStore, rows: Rows, scale: float | np.float32 | Floats) -> Floats:
    """What foretells a failure, (K, 6) float32; rows that were never seen give nonsense."""
    seen = _Seen.of(store, rows)
    found = np.ones((len(seen.history.times_seen), len(FEATURES)), np.float32)
    for place, column in enumerate(seen.columns(scale), 1):
        found[:, place] = column
    return found


class _Past(NamedTuple):
    """What was known at an epoch's end of the samples of the panel that were seen by then."""

    epoch: int
    rows: NDArray[np.int64]
    times_seen: NDArray[np.uint32]
    features: Floats


class Foresight:
    """Keeps `store.score` and `store.doubt` up to date. For one thread, the store's.

    Parameters
    ----------
    store : SampleStore
    horizon : int
        Epochs between a forecast and what it is about.
    failure : (F,) float64
        Weights to start from.
    trend, own, swing : float
        As in `Calibration`.
    seed : int
        Of the choice of samples to learn from and of those probed at random.
    """

    def __init__(
        self,
        store: SampleStore,
        horizon: int,
        *,
        failure: Sequence[float] = FAILURE,
        trend: float = TREND,
        own: float = OWN,
        swing: float = SWING,
        seed: int = 0,
    ) -> None:
        self.store = store
        self.horizon = horizon
        self.start = np.array(failure, np.float64)
        self.weights = self.start
        self.calibration = Calibration(horizon, trend=trend, own=own, swing=swing)
        self._rng = np.random.default_rng([seed, 4])
        rows = self._rng.choice(store.num_samples, min(PANEL, store.num_samples), replace=False)
        self.panel: NDArray[np.int64] = np.sort(rows).astype(np.int64)
        self._past: deque[_Past] = deque(maxlen=horizon + 1)
        self._offset = np.zeros(store.task.groups)  # of this round's probes, by group
        self._offset_count = np.zeros(store.task.groups)
        #: of this round's probes: scores from before, labels, and who is wrong
        self._round: list[tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]] = []

    # --- scores -------------------------------------------------------------------------------

    def update(
        self,
        rows: NDArray[np.int64],
        scale: Floats | None = None,
        history: History | None = None,
    ) -> None:
        """Score samples (K,) whose history has changed.

        `scale`, (K,), is the store's after the batch that each was in, so that a score does not
        depend on how many batches were taken in at once; the present one if left out. `history`
        is what `store.history(rows)` would give, where it is at hand.
        """
        self._score(rows, np.float32(self.store.scale) if scale is None else scale, history)

    def update_all(self) -> None:
        """Score every sample that was seen, in parts with rests between."""
        total = self.store.num_samples
        for first in range(0, total, _BLOCK):
            if first >= _QUICK:
                time.sleep(_REST)
            self._score(slice(first, min(first + _BLOCK, total)), np.float32(self.store.scale))

    def _score(
        self, rows: Rows, scale: Floats | np.float32, history: History | None = None
    ) -> None:
        store = self.store
        seen = _Seen.of(store, rows, history)
        known = seen.history.times_seen > 0
        if not known.all():
            if isinstance(rows, slice):
                rows = np.arange(rows.start, rows.stop)
            self._score(rows[known], scale[known] if isinstance(scale, np.ndarray) else scale)
            return
        first, *weights = self.weights.astype(np.float32)
        score = np.full(len(known), first)
        for weight, column in zip(weights, seen.columns(scale), strict=True):
            score += weight * column
        store.score[rows] = score
        if store.task.labelled:
            doubt = seen.doubt(scale)
            store.doubt[rows] = np.clip(doubt, -1000, 1000).astype(np.float16)
            before = store.flags[rows]
            open_to_doubt = before & JUDGED == 0
            flags = before & ~np.uint8(SUSPECT)
            flags |= ((doubt > SUSPICION) & open_to_doubt) * np.uint8(SUSPECT)
            if not np.array_equal(flags, before):
                store.flags[rows] = flags

    def probability(
        self, rows: NDArray[np.int64], *, right: bool | NDArray[np.bool_] | None = None
    ) -> Floats:
        """Of being wrong `horizon` epochs from now, (K,) in [0, 1].

        `right` tells that all of them, or which, are known to be right now, the others wrong.
        """
        scores = self.store.score[rows]
        if right is None:
            return self.calibration.probability(scores)
        return self.calibration.given(scores, self._swing(self.store.target[rows]), right=right)

    def _swing(self, labels: NDArray[np.integer]) -> Floats:
        """What the newest probed snapshot gives to groups (K,), beside what it gives to all."""
        swing = (self._offset - self._offset.mean()).astype(np.float32)
        # Of samples never seen no label is known; of one group alone the swing is 0.
        of_label: Floats = swing[np.clip(labels, 0, len(swing) - 1)]
        return of_label

    # --- learning -----------------------------------------------------------------------------

    def epoch_ended(self, epoch: int) -> None:
        """Learn from who is wrong now what was to be seen `horizon` epochs ago; score anew.

        `epoch` counts completed epochs; calling it again for the same one replaces.
        """
        store = self.store
        self._past = deque((old for old in self._past if old[0] < epoch), self._past.maxlen)
        for past in self._past:
            if past.epoch == epoch - self.horizon:
                self._learn(past.features, ~store.correct[past.rows])
        rows = self.panel[store.times_seen[self.panel] > 0]
        self._past.append(
            _Past(epoch, rows, store.times_seen[rows], features(store, rows, store.scale))
        )
        self._calibrate(epoch)
        self.update_all()

    def _calibrate(self, epoch: int) -> None:
        """Look at how well the weights tell, from one epoch ago, who is wrong now."""
        store = self.store
        weights = self.weights.astype(np.float32)
        now = self._past[-1]
        before, wrong = np.empty(0, np.float32), np.empty(0, np.bool_)
        for past in self._past:
            if past.epoch == epoch - 1:
                again = store.times_seen[past.rows] > past.times_seen
                before = past.features[again] @ weights
                wrong = ~store.correct[past.rows[again]]
        seen = store.seen
        errors = (int(np.count_nonzero(seen & ~store.correct)), int(np.count_nonzero(seen)))
        self.calibration.epoch_ended(epoch, before, wrong, now.features @ weights, errors)

    def _learn(self, x: Floats, y: NDArray[np.bool_]) -> None:
        """Learn from panel features (K, F) of then and who is wrong now."""
        # First how far the whole is to be moved and stretched, which a run can tell for sure;
        # then each weight by itself, firmly held.
        known = x[:, 1:] @ self.start[1:]
        moved, stretched = fit_line(known, y, (self.start[0], 1.0), (1.0, 50.0))
        start = np.concatenate([[moved], stretched * self.start[1:]])
        self.weights = fit(x, y, start, FIRMNESS)

    # --- probes -------------------------------------------------------------------------------

    def shortlist(self, count: int) -> NDArray[np.int64]:
        """Samples whose probe would tell most: those at risk, and those most open.

        A quarter, which comes first, is drawn at random: what a snapshot gives to all samples
        of a class must be known before one of them can be said to differ. Half are the
        likeliest to fail of those that are right now, since training's own sightings tell
        little of them; the rest those whose outcome is most open.
        """
        store = self.store
        count = min(count, store.num_samples)
        some = self._rng.choice(store.num_samples, count // 4, replace=False)
        taken = np.zeros(store.num_samples, np.bool_)
        taken[some] = True
        at_risk = _largest(np.where(store.correct & ~taken, store.score, -np.inf), count // 2)
        taken[at_risk] = True
        # The score is minus infinity where a sample was never seen, and so is what is open.
        openness = np.where(taken, -np.inf, -np.abs(store.score))
        both = np.concatenate([some, at_risk, _largest(openness, count - len(some) - len(at_risk))])
        self._offset[:] = 0
        self._offset_count[:] = 0
        self._round = []
        rows: NDArray[np.int64] = both[store.times_seen[both] > 0]
        return rows

    def probed(self, rows: NDArray[np.int64], logits: Floats) -> None:
        """Take in what a snapshot says of samples: their outputs (K, ...) in eval mode.

        A snapshot's outputs for a whole class rise and fall from one step to the next; that says
        nothing about a sample, so each is compared with the others of its group.
        """
        store = self.store
        finite = np.isfinite(logits).all(axis=1) & (store.times_seen[rows] > 0)
        rows, logits = rows[finite], logits[finite]
        if not len(rows) or not store.task.labelled:
            return
        labels = store.target[rows].astype(np.int64)
        found = store.task.summarise(logits, labels)
        unit = np.float32(2 / store.scale)
        surprise = np.arcsinh(found.margin * unit) - np.arcsinh(store.margin_fast[rows] * unit)
        self._recentre(surprise, labels)
        surprise -= self._offset[labels].astype(np.float32)
        self._round.append((store.score[rows], labels, ~found.right))
        scores, of, wrong = (np.concatenate(part) for part in zip(*self._round, strict=True))
        self.calibration.probed(scores, self._swing(of), wrong)
        seen = store.times_seen[rows]
        fresh = (store.probed_at[rows] > 0) & (seen - store.probed_at[rows] <= 2)
        old = np.where(fresh, store.probed[rows], surprise)
        store.probed[rows] = (old + surprise) / 2
        store.probed_at[rows] = np.minimum(seen, np.iinfo(np.uint16).max)
        self.update(rows)

    def _recentre(self, surprise: Floats, labels: NDArray[np.int64]) -> None:
        """Running mean of each group over this round; one that has few leans on all."""
        groups = len(self._offset)
        overall = float(surprise.mean())
        new = np.bincount(labels, minlength=groups)
        total = np.bincount(labels, surprise, groups)
        count = self._offset_count
        known = np.where(count > 0, self._offset, overall)
        weight = np.maximum(count, 4)
        self._offset = (known * weight + total) / (weight + new)
        self._offset_count = np.minimum(count + new, 400)


def _largest(values: Floats, count: int) -> NDArray[np.int64]:
    """Places of the `count` largest values (N,) that are finite, largest first."""
    if count < 1:
        return np.empty(0, np.int64)
    places = np.argpartition(values, -count)[-count:]
    places = places[np.argsort(-values[places], kind="stable")]
    finite: NDArray[np.int64] = places[np.isfinite(values[places])]
    return finite
