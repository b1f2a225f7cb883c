"""What an epoch's end does with the forecast: learn, score what is due, and ask for probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.forecast import memory
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.label_noise import HeldOut
from coflect_widget.forecast.scoreboard import Scoreboard
from coflect_widget.session.telling import Telling

#: Steps between two snapshots, at least, that are taken at an epoch's end for a score.
SNAPSHOT_STEPS = 20

#: Asks for the present outputs of samples; with (step, count) the first `count` of that step's.
Probe = Callable[[Sequence[int], tuple[int, int] | None], None]


class Scoring:
    """Acts on the forecaster's thread, except where a method says otherwise.

    Parameters
    ----------
    forecaster, scoreboard, snapshots, tell
        What it acts on.
    probes : int
        Samples whose outputs are asked for at an epoch's end, at most; 0 for none.
    num_train : int

    Attributes
    ----------
    scores : list of ForecastScored
        How rankings came out, one for each epoch that named one.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        scoreboard: Scoreboard,
        snapshots: Snapshots,
        tell: Telling,
        *,
        probes: int,
        num_train: int,
    ) -> None:
        self.scores: list[events.ForecastScored] = []
        self._forecaster = forecaster
        self._board = scoreboard
        self._snapshots = snapshots
        self._tell = tell
        self._most = min(probes, max(64, num_train // 8)) if probes else 0
        self._noise_said = False
        self._ended = -1  # step of the newest epoch's end that had probes

    def kept(self) -> dict[str, Any]:
        """For a checkpoint: how rankings came out so far, and what is named."""
        return {
            "scores": [score.model_dump() for score in self.scores],
            "noise_said": self._noise_said,
            "ended": self._ended,
            "board": memory.keep_scores(self._board),
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave."""
        self.scores[:] = [events.ForecastScored.model_validate(one) for one in kept["scores"]]
        self._noise_said, self._ended = kept["noise_said"], kept["ended"]
        memory.restore_scores(self._board, kept["board"])

    def keep_weights(self, step: int, epoch: int) -> None:
        """Have a snapshot of an epoch's end taken where a score needs it; at that boundary."""
        snapshots = self._snapshots
        if not self._most or not self._board.due(epoch):
            return
        if snapshots.kept is None or step - snapshots.kept >= SNAPSHOT_STEPS:
            snapshots.kept, snapshots.wanted = step, True

    def epoch_ended(self, step: int, epoch: int, held_out: HeldOut | None) -> None:
        """Learn from who is wrong now, and score the rankings that are due."""
        queue = self._forecaster.queue
        queue.epoch_ended(epoch, held_out)
        self._say_noise(queue.noise.rate)
        for score in self._board.epoch_ended(epoch, self._forecaster.store, step):
            self._publish(score, step, epoch)

    def ask(self, step: int, probe: Probe) -> None:
        """Have probed what the forecast is least sure of, and what is to be scored."""
        if not self._most:
            return
        scored, due = self._board.to_evaluate(), self._forecaster.queue.due()
        wanted = np.concatenate([scored, due[~np.isin(due, scored)]])
        self._ended = step
        chosen = self._forecaster.foresight.shortlist(self._most)
        rows = [*wanted.tolist(), *chosen[~np.isin(chosen, wanted)].tolist()]
        probe(rows, (step, len(wanted)) if len(wanted) else None)

    def probed(self, rows: NDArray[np.int64], logits: NDArray[np.float32], step: int) -> None:
        """Take in what a snapshot says; on the scheduler's thread."""
        self._forecaster.mark(partial(self._take, rows, logits, step))

    def _take(self, rows: NDArray[np.int64], logits: NDArray[np.float32], step: int) -> None:
        store = self._forecaster.store
        self._forecaster.foresight.probed(rows, logits)
        if not store.task.labelled:
            return
        right = logits.argmax(axis=1) == store.target[rows]
        if step == self._ended:
            self._forecaster.queue.evaluated(rows, right)
        for score in self._board.evaluated(rows, right, step):
            self._publish(score, step, score.epoch_due)

    def _publish(self, score: events.ForecastScored, step: int, epoch: int) -> None:
        self.scores[:] = [s for s in self.scores if s.epoch_named != score.epoch_named]
        self.scores.append(score)
        self._tell.at(step, epoch, score)

    def _say_noise(self, rate: float) -> None:
        """Say it once in a session that suspects are left out of the queue, and why."""
        if rate == 0 or self._noise_said:
            return
        self._noise_said = True
        self._tell.warn(
            f"About {rate:.0%} of the training labels seem wrong: training contradicts many surely "
            "and all the time, and held-out data do not. Samples with a suspected label are in "
            "the list of suspects alone, and not in the queue; judge them there."
        )
