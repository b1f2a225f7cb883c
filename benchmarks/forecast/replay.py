"""Recorded trainings played through the product's own store and model, and measures of the result.

What stands here decides nothing: scores and lists come from `SampleStore`, `Foresight` and
`Queue`, in the order in which a session would have called them, with probes cut down to what the
background budget pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.forecast.runs import Recorded
from coflect_widget.forecast.foresight import Foresight, features
from coflect_widget.forecast.label_noise import HeldOut
from coflect_widget.forecast.logistic import logistic
from coflect_widget.forecast.queue import Queue
from coflect_widget.forecast.ranking import suspects
from coflect_widget.tasks import Classification
from coflect_widget.tasks.cross_entropy import measure
from coflect_widget.telemetry.store import SampleStore

HORIZON = 4
#: Epochs (completed) at which forecasts are made.
WINDOWS = range(3, 9)
#: Share of the samples probed at an epoch's end; `probe_cost` says what that is in time.
PROBES = 0.08


@dataclass
class Window:
    """What was forecast at one epoch's end and what came of it; arrays (N,)."""

    epoch: int
    now: np.ndarray  #: wrong at this epoch's end, eval mode
    then: np.ndarray  #: wrong `HORIZON` epochs later
    scores: dict[str, np.ndarray]  #: higher is riskier
    chances: dict[str, np.ndarray]  #: the same as a probability, calibrated or not
    queue: np.ndarray  #: (10,) the riskiest of both lists that the dashboard would show
    suspects: np.ndarray  #: indices, most doubtful first
    aum: np.ndarray
    x: np.ndarray = field(repr=False)
    given: dict[bool, np.ndarray]  #: our chances for those known to be right, or wrong, now
    doubt: np.ndarray
    model: Foresight = field(repr=False)  #: as it is until the next window is asked for


def play(
    run: Recorded, horizon: int, prior: Mapping[str, Any], probes: float = PROBES
) -> Iterator[tuple[int, Queue]]:
    """Play one run; yields each epoch's number and the queue at its end, after the probes."""
    epochs, n, classes = run.seen.shape
    store = SampleStore(n, Classification(classes))
    model = Foresight(store, horizon, **prior, seed=run.seed)
    queue = Queue(model, 10)
    for epoch in range(1, epochs + 1):
        logits = run.seen[epoch - 1]
        order = np.argsort(run.step[epoch - 1], kind="stable")
        for rows in np.array_split(order, max(1, n // 2048)):
            store.update(rows, logits[rows], run.target[rows], int(run.step[epoch - 1][rows[-1]]))
            model.update(rows)
        right = run.held_out[epoch - 1].argmax(1) == run.held_out_target
        queue.epoch_ended(epoch, HeldOut(float(right.mean()), len(right)))
        if probes:
            due = queue.due()
            queue.evaluated(due, ~run.wrong[epoch - 1][due])
            chosen = model.shortlist(round(probes * n) - len(due))
            for start in range(0, len(chosen), 64):
                part = chosen[start : start + 64]
                model.probed(part, run.train[epoch - 1][part])
        yield epoch, queue


def replay(run: Recorded, prior: Mapping[str, Any], probes: float = PROBES) -> Iterator[Window]:
    """Play one run; yields a window at each epoch of `WINDOWS`."""
    rng = np.random.default_rng(run.seed)
    everyone = np.arange(len(run.target))
    for epoch, queue in play(run, HORIZON, prior, probes):
        if epoch not in WINDOWS:
            continue
        model, store = queue.foresight, queue.foresight.store
        scores, chances = rivals(store, run.seen[epoch - 1], run.target, rng)
        scores["ours"], chances["ours"] = store.score.copy(), model.probability(everyone)
        yield Window(
            epoch=epoch,
            now=run.wrong[epoch - 1],
            then=run.wrong[epoch - 1 + HORIZON],
            scores=scores,
            chances=chances,
            queue=queue.listed(True, False).rows[:10],
            suspects=suspects(store, len(everyone)),
            aum=-store.margin_mean,
            x=features(store, everyone, store.scale),
            given={right: model.probability(everyone, right=right) for right in (True, False)},
            doubt=store.doubt.copy(),
            model=model,
        )


def rivals(
    store: SampleStore, logits: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores of the usual rankers and, for each, the probability nearest to its nature."""
    loss, _, _ = measure(logits, target)
    seen = store.times_seen.astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    first, second = np.sort(p, axis=1)[:, :-3:-1].T
    p_true = np.exp(-store.loss)
    flips = store.flips / np.maximum(seen - 1, 1)
    heuristic = (
        0.40 * store.error
        + 0.25 * (1 - p_true)
        + 0.15 * (1 - (first - second))
        + 0.15 * flips
        + 0.05 * (store.loss_fast >= store.loss)
    )
    chance = rng.random(len(target))
    wrong = (~store.correct).astype(np.float64)
    scores = {
        "random": chance,
        "last error": wrong,
        "current loss": loss,
        "EMA of the loss": store.loss.copy(),
        "EMA, fast (.7)": store.loss_fast.copy(),
        "AUM": -store.margin_mean,
        "forgetting count": store.forgotten.astype(np.float64),
        "heuristic": heuristic,
    }
    chances = {
        "random": chance,
        "last error": wrong,
        "current loss": 1 - np.exp(-loss),
        "EMA of the loss": 1 - np.exp(-store.loss),
        "EMA, fast (.7)": 1 - np.exp(-store.loss_fast),
        "AUM": logistic(-store.margin_mean),
        "forgetting count": store.forgotten / seen,
        "heuristic": heuristic,
    }
    return scores, chances


def probe_cost(run: Recorded) -> float:
    """Processor seconds of the probes of one epoch."""
    return PROBES * len(run.target) * run.probe_seconds


# --- measures -------------------------------------------------------------------------------------


def average_precision(score: np.ndarray, y: np.ndarray) -> float:
    """Area under precision over recall, as a step function; equal scores share their rank."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # last of each level
    hits = np.cumsum(y[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / max(1, hits[-1]))


def auroc(score: np.ndarray, y: np.ndarray) -> float:
    """Chance that one of `y` scores above one that is not; half for equal ones."""
    _, level, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[level]
    p, n = int(y.sum()), int((~y).sum())
    return float((ranks[y].sum() - p * (p + 1) / 2) / (p * n)) if p and n else float("nan")


def ece(chance: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over bins of equal width."""
    which = np.minimum((chance * bins).astype(int), bins - 1)
    gap = np.bincount(which, chance - y, bins)
    return float(np.abs(gap).sum() / len(y))


def precision_at(score: np.ndarray, y: np.ndarray, k: int = 10) -> float:
    """Share of `y` among the `k` largest; equal scores count in expectation."""
    kth = np.partition(score, -k)[-k]
    above, level = score > kth, score == kth
    return float((y[above].sum() + (k - above.sum()) * y[level].mean()) / k)
