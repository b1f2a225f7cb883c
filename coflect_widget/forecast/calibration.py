"""From scores, which put samples in order, to probabilities that come true.

Three things are missing in a score that was learned from what could be foreseen `horizon` epochs
ago: training is calmer now than it was then, so that the same history tells more; fewer samples
will be wrong; and of a sample that is wrong at this very moment more is known than its history
says. The first is measured (how well does the history of one epoch ago tell who is wrong now?),
the second is the run's own trend carried on, and for the third one number is enough, the same
for all trainings that were watched: how much of a sample's future its history does not know but
its present does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coflect_widget.forecast.logistic import fit, fit_line, log_odds, logistic
from coflect_widget.forecast.prior import OWN, SWING, TREND

Floats = NDArray[np.float32]

#: Intercept, weight of the log-odds and weight of the class's swing in "wrong under this
#: snapshot", before a probe was made, and how firmly they are held (in samples' worth).
_SNAPSHOT = np.array([0.0, 1.0, -2.0])
_SNAPSHOT_FIRMNESS = np.array([1.0, 50.0, 20.0])
#: Where a normal variable is looked at to take a mean over it, and the weights.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


class Calibration:
    """What a score means at present.

    Parameters
    ----------
    horizon : int
        Epochs between a forecast and what it is about.
    trend : float
        Log-odds of being wrong are taken to move as far in `horizon` epochs as they did in the
        last half of it, times this.
    own : float
        What a sample has of its own that its history does not tell: the standard deviation, in
        log-odds, of what it has in common under this snapshot and under the one to come.
    swing : float
        How much of the variance that classes had under the snapshots so far is left under the
        one to come; nobody knows which way it goes.

    Attributes
    ----------
    now, then : (float, float)
        Shift and stretch that make a score the log-odds of being wrong in training now, and
        under the snapshot `horizon` epochs from now.
    snapshot : (3,) float64
        What makes the former, and the swing of a sample's class, the log-odds of being wrong
        under the present snapshot.
    """

    def __init__(
        self, horizon: int, *, trend: float = TREND, own: float = OWN, swing: float = SWING
    ) -> None:
        self.horizon = horizon
        self.trend = trend
        self.own = own
        self.swing = swing
        self.now = self.then = (0.0, 1.0)
        self.snapshot = _SNAPSHOT
        self._rates: dict[int, float] = {}  # by epoch: log-odds of being wrong, over all samples
        self._swings: dict[int, float] = {}  # by epoch: mean square of what classes were given
        self._epoch = 0
        self._share = 0.5  # of all samples, expected to be wrong
        self._after = np.empty(0, np.float32)
        self._blur = 1.0  # by how much the swing to come flattens

    def epoch_ended(
        self,
        epoch: int,
        before: Floats,
        wrong: NDArray[np.bool_],
        after: Floats,
        errors: tuple[int, int],
    ) -> None:
        """Look at how scores fared in the epoch that has ended.

        Parameters
        ----------
        epoch : int
            Completed epochs; the same or an earlier one again replaces.
        before, wrong : (K,)
            Scores of some samples at the end of the epoch before, and who of them is wrong now;
            empty after the first epoch.
        after : (M,) float32
            Scores of some samples now.
        errors : (int, int)
            How many of all samples are wrong now, and how many were seen.
        """
        self._rates = {e: r for e, r in self._rates.items() if e < epoch}
        share = errors[0] / max(1, errors[1])
        self._rates[epoch] = log_odds(share)
        self._swings = {e: v for e, v in self._swings.items() if epoch - self.horizon < e < epoch}
        self.snapshot = _SNAPSHOT
        self._epoch, self._after = epoch, after
        if not len(before):
            return
        self.now = fit_line(before, wrong, (0.0, 1.0), (1.0, 10.0))
        chance = 1 / max(1.0, errors[1] * share * (1 - share))
        self._share = float(logistic(np.array([self._expected(epoch, chance)]))[0])
        self._look_ahead()

    def _look_ahead(self) -> None:
        coming = self.swing * np.mean(list(self._swings.values()) or [0.0]) * self.snapshot[2] ** 2
        self._blur = float(np.sqrt(1 + np.pi / 8 * coming))
        stretch = max(self.now[1], 0.05) / self._blur  # the order shall stay
        self.then = (_shift_to(self._after * np.float32(stretch), self._share), stretch)

    def _expected(self, epoch: int, chance: float) -> float:
        """Log-odds of being wrong, over all samples, `horizon` epochs after this one.

        The first epoch's errors are those of a model that knew nothing yet: no trend starts there.
        `chance` is the variance that few samples give the log-odds.
        """
        first = max(epoch - max(1, self.horizon // 2), min(2, epoch - 1))
        since = min((e for e in self._rates if first <= e < epoch), default=None)
        if since is None:
            return self._rates[epoch]
        moved = self._rates[epoch] - self._rates[since]
        moved *= moved**2 / (moved**2 + chance)
        return self._rates[epoch] + self.trend * moved / (epoch - since) * self.horizon / 2

    def probed(self, scores: Floats, swing: Floats, wrong: NDArray[np.bool_]) -> None:
        """Take in who of this epoch's probed samples is wrong under its snapshot.

        `scores`, (K,), are those from before the probe, and `swing`, (K,), is what the snapshot
        gives to each one's class.
        """
        x = np.stack([np.ones(len(scores)), self._now(scores), swing], axis=1)
        self.snapshot = fit(x, wrong, _SNAPSHOT, _SNAPSHOT_FIRMNESS)
        self._swings[self._epoch] = float(np.square(swing).mean())
        if len(self._rates) > 1:
            self._look_ahead()

    def probability(self, scores: Floats) -> Floats:
        """Of being wrong `horizon` epochs from now, (K,) in [0, 1]."""
        return logistic(self._then(scores))

    def given(self, scores: Floats, swing: Floats, *, right: bool | NDArray[np.bool_]) -> Floats:
        """The same, (K,), of samples that are known to be right, or wrong, under this snapshot.

        Both moments have a normal variable in common, which is averaged over.
        """
        shift, stretch, of_swing = self.snapshot
        now = shift + stretch * self._now(scores) + of_swing * swing
        then = self._then(scores)
        here = self.own * _NODES[:, None]  # (nodes, 1)
        there = here / self._blur
        # A mean over the variable flattens; that is made up for (MacKay's approximation).
        now = now * np.sqrt(1 + np.pi / 8 * self.own**2)
        then = then * np.sqrt(1 + np.pi / 8 * (self.own / self._blur) ** 2)
        is_so = logistic(np.where(right, -1, 1) * (now + here)) * _WEIGHTS[:, None]
        both = (is_so * logistic(then + there)).sum(axis=0)
        chance: Floats = (both / np.maximum(is_so.sum(axis=0), 1e-30)).astype(np.float32)
        return chance

    def _now(self, scores: Floats) -> Floats:
        return np.float32(self.now[0]) + np.float32(self.now[1]) * scores

    def _then(self, scores: Floats) -> Floats:
        return np.float32(self.then[0]) + np.float32(self.then[1]) * scores


def _shift_to(scores: Floats, share: float) -> float:
    """What is to be added to log-odds (K,) so that their mean probability is `share`."""
    low, high, shift = -30.0, 30.0, 0.0
    for _ in range(60):  # Newton's method, halving where it would leave what is possible
        chance = logistic(scores + np.float32(shift))
        beyond = float(chance.mean()) - share
        low, high = (low, shift) if beyond > 0 else (shift, high)
        steep = float((chance * (1 - chance)).mean())
        moved = shift - beyond / max(steep, 1e-12)
        if not low < moved < high:
            moved = (low + high) / 2
        if abs(moved - shift) < 1e-6:
            break
        shift = moved
    return shift
