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

    At first a sample counts as wrong when its last sighting in training was wrong. Where all
    that were named are evaluated afterwards, under the weights of that epoch's end, the score is
    given again, and says so.

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
        # Scored at the newest epoch, and what is known of those named by evaluation.
        self._open: list[tuple[_Named, ForecastScored, dict[int, bool]]] = []

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
        self._open = []  # of weights that are gone
        due = [named for named in self._waiting if named.epoch + self.horizon <= epoch]
        if not due:
            return []
        self._waiting = [named for named in self._waiting if named.epoch + self.horizon > epoch]
        seen = store.seen
        wrong = seen & ~store.correct
        prevalence = float(np.count_nonzero(wrong)) / max(1, int(np.count_nonzero(seen)))
        for named in sorted(due, key=lambda named: named.epoch):
            score = _said(
                ForecastScored(
                    epoch_named=named.epoch,
                    epoch_due=epoch,
                    named=len(named.indices),
                    hits=int(np.count_nonzero(wrong[named.indices])),
                    chance=prevalence * len(named.indices),
                    window_open=named.window_open,
                )
            )
            self._open.append((named, score, {}))
        scores = [score for _, score, _ in self._open]
        self.scored.extend(scores)
        return scores

    def to_evaluate(self) -> NDArray[np.int64]:
        """Samples whose evaluation would make the newest scores certain."""
        named = [entry.indices for entry, _, _ in self._open]
        return np.unique(np.concatenate(named)) if named else np.empty(0, np.int64)

    def evaluated(self, rows: NDArray[np.int64], right: NDArray[np.bool_]) -> list[ForecastScored]:
        """Take in which of `rows` (K,) the weights of the epoch's end have `right` (K,).

        Returns the newest scores of which all samples are evaluated now, each once.
        """
        better = []
        for entry in list(self._open):
            named, score, known = entry
            mine = np.isin(rows, named.indices)
            known.update(zip(rows[mine].tolist(), right[mine].tolist(), strict=True))
            if len(known) < len(named.indices):
                continue
            self._open.remove(entry)
            hits = sum(not is_right for is_right in known.values())
            new = _said(score.model_copy(update={"hits": hits, "truth": "evaluated"}))
            self.scored[self.scored.index(score)] = new
            better.append(new)
        return better


def _said(score: ForecastScored) -> ForecastScored:
    return score.model_copy(update={"sentence": sentence(score)})


def sentence(score: ForecastScored) -> str:
    """A score in words, as the dashboard and the scripts show it."""
    verb = "was" if score.hits == 1 else "were"
    how = ", as evaluated" if score.truth == "evaluated" else ""
    return (
        f"{score.hits} of the {score.named} named at epoch {score.epoch_named} {verb} wrong "
        f"at epoch {score.epoch_due}{how}; chance would be {score.chance:.1f}"
    )
