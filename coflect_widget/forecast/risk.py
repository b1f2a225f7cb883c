"""From a sample's history to its risk of being wrong, the ranking, and the reason in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.forecast.store import SampleStore

# What each sign is worth in nats of loss, beside the average loss itself.
_ERROR = 0.25
_FLIPS = 0.10
_TREND = 0.10


def risk(store: SampleStore) -> NDArray[np.float32]:
    """Score in [0, 1] that orders samples by how likely they are to be wrong later.

    The moving average of the loss leads; the moving error rate, the rate of prediction
    flips and a rising trend each add a little, in the unit of the loss. 1 - exp(-sum) brings
    that into [0, 1] without changing the order; with nothing added it is the probability
    that the model withholds from the true class. It is a score, not a calibrated
    probability.

    Returns
    -------
    (N,) float32
        NaN for samples never seen.
    """
    seen = store.times_seen
    again = np.maximum(seen, 2).astype(np.float32) - np.float32(1)  # sightings that can flip
    nats = store.flips / again
    nats *= np.float32(_FLIPS)
    nats += store.loss
    nats += np.float32(_ERROR) * store.error
    nats += np.float32(_TREND) * np.maximum(store.trend, np.float32(0))
    # A custom loss may be negative; that is no risk at all.
    np.maximum(nats, np.float32(0), out=nats)
    scores: NDArray[np.float32] = -np.expm1(-nats)
    scores[seen == 0] = np.nan
    return scores


def rank(
    store: SampleStore, top: int, scores: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """Indices of the riskiest samples, riskiest first; equal risks in order of index.

    Parameters
    ----------
    store : SampleStore
    top : int
        How many; fewer come back while fewer samples have been seen.
    scores : (N,) float32, optional
        Result of `risk`, where it is at hand already.
    """
    if top < 1:
        raise ValueError(f"top = {top}; expected at least 1")
    if scores is None:
        scores = risk(store)
    known = np.where(np.isnan(scores), np.float32(-1), scores)  # below every risk
    top = min(top, int(np.count_nonzero(known >= 0)))
    if top == 0:
        return np.empty(0, np.int64)
    # argpartition alone would leave it to chance which of several equals is in.
    lowest = known[np.argpartition(known, len(known) - top)[-top:]].min()
    above = np.flatnonzero(known > lowest)
    level = np.flatnonzero(known == lowest)[: top - len(above)]
    chosen = np.concatenate([above, level])
    order = np.lexsort((chosen, -known[chosen]))
    return chosen[order].astype(np.int64, copy=False)


def reasons(store: SampleStore, indices: ArrayLike) -> list[str]:
    """One short phrase a sample, from its own history: why it is in the queue.

    Parameters
    ----------
    store : SampleStore
    indices : (K,) int

    Returns
    -------
    list of K str
        "rarely seen", "never learned", "confidently wrong", "flip-flopping", "forgotten",
        "losing confidence", or "low confidence" where none of these holds.
    """
    rows = np.asarray(indices, dtype=np.int64)
    seen = store.times_seen[rows]
    learned = store.learned[rows]
    flip_rate = store.flips[rows] / np.maximum(seen, 2)
    wrong = ~store.correct[rows]
    # First one that holds: what says most about the sample comes first.
    phrases = np.select(
        [
            seen < 3,
            learned == 0,
            wrong & (store.margin[rows] < -2),  # e**2 times as likely another class
            flip_rate >= 0.4,
            wrong & (store.forgotten[rows] > 0),
            store.trend[rows] > 0.05 * np.maximum(store.loss[rows], 1),
        ],
        [
            "rarely seen",
            "never learned",
            "confidently wrong",
            "flip-flopping",
            "forgotten",
            "losing confidence",
        ],
        default="low confidence",
    )
    return [str(phrase) for phrase in phrases]
