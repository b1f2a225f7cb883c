"""How often the forecast was right: rankings are kept when named and scored when due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.events import ForecastScored
from coflect_widget.forecast.store import SampleStore


@dataclass(frozen=True, slots=True)
class _Named:
    epoch: int
    indices: NDArray[np.int64]
    window_open: bool


class Scoreboard:
    """Keeps the ranking named at the end of each epoch and scores it `horizon` epochs later.

    A sample counts as wrong when its last sighting in training was wrong.

    Parameters
    ----------
    horizon : int
        Epochs between naming and scoring, at least 1.

    Attributes
    ----------
    scored : list of ForecastScored
        Every score so far, oldest first.
    """

    def __init__(self, horizon: int) -> None:
        if horizon < 1:
            raise ValueError(f"horizon = {horizon}; expected at least 1 epoch")
        self.horizon = horizon
        self.scored: list[ForecastScored] = []
        self._waiting: list[_Named] = []

    def name(self, epoch: int, indices: ArrayLike, window_open: bool = False) -> None:  # noqa: FBT001, FBT002 - reads as a sentence
        """Keep the samples named at the end of `epoch`; an empty ranking is nothing to score.

        Naming the same epoch again replaces what was named first.
        """
        rows = np.unique(np.asarray(indices, dtype=np.int64))
        self._waiting = [named for named in self._waiting if named.epoch != epoch]
        if len(rows):
            self._waiting.append(_Named(epoch, rows, bool(window_open)))

    def epoch_ended(self, epoch: int, store: SampleStore) -> list[ForecastScored]:
        """Score what is due at the end of `epoch`, oldest first.

        Chance is what as many samples drawn at random among all seen would score on average.
        """
        due = [named for named in self._waiting if named.epoch + self.horizon <= epoch]
        if not due:
            return []
        self._waiting = [named for named in self._waiting if named.epoch + self.horizon > epoch]
        seen = store.seen
        wrong = seen & ~store.correct
        prevalence = float(np.count_nonzero(wrong)) / max(1, int(np.count_nonzero(seen)))
        scores = [
            ForecastScored(
                epoch_named=named.epoch,
                epoch_due=epoch,
                named=len(named.indices),
                hits=int(np.count_nonzero(wrong[named.indices])),
                chance=prevalence * len(named.indices),
                window_open=named.window_open,
            )
            for named in sorted(due, key=lambda named: named.epoch)
        ]
        self.scored.extend(scores)
        return scores


def sentence(score: ForecastScored) -> str:
    """A score in words, as the dashboard and the scripts show it."""
    verb = "was" if score.hits == 1 else "were"
    return (
        f"of the {score.named} named at epoch {score.epoch_named}, {score.hits} {verb} wrong "
        f"at epoch {score.epoch_due}; chance would be {score.chance:.1f}"
    )
