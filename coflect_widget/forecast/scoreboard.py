"""How often the forecast was right: rankings are kept when named and scored when due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.events import ForecastScored
from coflect_widget.telemetry.store import SampleStore

#: Samples drawn to tell what chance is among those evaluated, and how few of them say nothing.
DRAWN, FEWEST = 64, 30


@dataclass(frozen=True, slots=True)
class _Named:
    epoch: int
    indices: NDArray[np.int64]
    window_open: bool
    right: NDArray[np.bool_] | None  # (N,) those it was named among; None: all


@dataclass(frozen=True, slots=True)
class _Open:
    named: _Named
    score: ForecastScored
    drawn: NDArray[np.int64]  # from all that it was named among
    wrong: dict[int, bool]  # by sample, as far as they are evaluated


class Scoreboard:
    """Keeps the ranking named at the end of each epoch and scores it `horizon` epochs later.

    At first a sample counts as wrong when its last sighting in training was wrong. Where all
    that were named are evaluated afterwards, under the weights of that epoch's end, and enough
    others to tell chance, the score is given again, and says so.

    Parameters
    ----------
    horizon : int
        Epochs between naming and scoring, at least 1.
    seed : int
        Of the samples that are drawn.

    Attributes
    ----------
    scored : list of ForecastScored
        Every score so far, oldest first.
    """

    def __init__(self, horizon: int, seed: int = 0) -> None:
        if horizon < 1:
            raise ValueError(f"horizon = {horizon}; expected at least 1 epoch")
        self.horizon = horizon
        self.scored: list[ForecastScored] = []
        self._waiting: list[_Named] = []
        self._step = 0  # of the weights by which the newest scores are evaluated
        self._open: list[_Open] = []  # scored at the newest epoch, to be evaluated
        self._rng = np.random.default_rng([seed, 6])

    def name(
        self,
        epoch: int,
        indices: ArrayLike,
        window_open: bool = False,  # noqa: FBT001, FBT002 - reads as a sentence
        right: NDArray[np.bool_] | None = None,
    ) -> None:
        """Keep the samples named at the end of `epoch`; an empty ranking is nothing to score.

        `right`, (N,), says that they were named among these alone. Naming the same epoch again
        replaces what was named first.
        """
        rows = np.unique(np.asarray(indices, dtype=np.int64))
        self._waiting = [named for named in self._waiting if named.epoch != epoch]
        if len(rows):
            self._waiting.append(
                _Named(epoch, rows, bool(window_open), None if right is None else right.copy())
            )

    def due(self, epoch: int) -> bool:
        """Whether the end of `epoch` has something to score; on any thread."""
        return any(named.epoch + self.horizon <= epoch for named in self._waiting)

    def epoch_ended(self, epoch: int, store: SampleStore, step: int = 0) -> list[ForecastScored]:
        """Score what is due at the end of `epoch`, after `step` steps, oldest first.

        Chance is what as many samples would score on average, drawn at random among all seen, or
        among those that were right when a ranking of such was named.
        """
        self._open, self._step = [], step  # of weights that are gone
        due = [named for named in self._waiting if named.epoch + self.horizon <= epoch]
        if not due:
            return []
        self._waiting = [named for named in self._waiting if named.epoch + self.horizon > epoch]
        seen = store.seen
        wrong = seen & ~store.correct
        scores = []
        for named in sorted(due, key=lambda named: named.epoch):
            among = np.flatnonzero(seen if named.right is None else seen & named.right)
            prevalence = float(wrong[among].mean()) if len(among) else 0.0
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
            scores.append(score)
            if len(among) >= FEWEST:  # hits and chance must be of one kind
                drawn = self._rng.choice(among, min(DRAWN, len(among)), replace=False)
                self._open.append(_Open(named, score, drawn, {}))
        self.scored.extend(scores)
        return scores

    def to_evaluate(self) -> NDArray[np.int64]:
        """Samples whose evaluation would make the newest scores certain."""
        wanted = [rows for entry in self._open for rows in (entry.named.indices, entry.drawn)]
        return np.unique(np.concatenate(wanted)) if wanted else np.empty(0, np.int64)

    def evaluated(
        self, rows: NDArray[np.int64], right: NDArray[np.bool_], step: int = 0
    ) -> list[ForecastScored]:
        """Take in which of `rows` (K,) the weights of `step` have `right` (K,).

        Other weights than those of the epoch's end say nothing of it, and are left out.
        Returns the newest scores for which all samples are evaluated now, each once.
        """
        if step != self._step:
            return []
        better = []
        for entry in list(self._open):
            named, drawn = entry.named.indices.tolist(), entry.drawn.tolist()
            mine = np.isin(rows, [*named, *drawn])
            entry.wrong.update(zip(rows[mine].tolist(), (~right[mine]).tolist(), strict=True))
            if not entry.wrong.keys() >= {*named, *drawn}:
                continue
            self._open.remove(entry)
            chance = sum(entry.wrong[i] for i in drawn) / len(drawn) * len(named)
            hits = sum(entry.wrong[i] for i in named)
            new = _said(
                entry.score.model_copy(
                    update={"hits": hits, "chance": chance, "truth": "evaluated"}
                )
            )
            self.scored[self.scored.index(entry.score)] = new
            better.append(new)
        return better


def _said(score: ForecastScored) -> ForecastScored:
    return score.model_copy(update={"sentence": sentence(score)})


def sentence(score: ForecastScored) -> str:
    """A score in words, as the dashboard and the scripts show it."""
    verb = "was" if score.hits == 1 else "were"
    how = ", as evaluated" if score.truth == "evaluated" else ""
    return (
        f"{score.hits} of {score.named} named at epoch {score.epoch_named} {verb} wrong "
        f"at epoch {score.epoch_due}{how}; chance would be {score.chance:.1f}"
    )
