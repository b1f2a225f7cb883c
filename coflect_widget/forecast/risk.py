"""From a sample's history to its risk of being wrong, the ranking, and the reason in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.forecast.store import SampleStore

# What each sign is worth beside the average loss. Chosen on recorded runs so that the order
# foretells errors at least as well as the average loss alone in every window; more weight on
# trend, errors or flips did worse: the loss knows already how wrong a sample is.
_MARGIN = 2.0
_TREND = 0.1
_ERROR = 0.01
_FLIPS = 0.01

_BLOCK = 32_768  # samples


def severity(store: SampleStore) -> NDArray[np.float32]:
    """What `risk` orders by, without an upper bound, in nats of loss.

    The weighted mean of two views of a sample's loss, plus a little for errors and flips: the
    moving average of the loss, carried on along its trend, and the loss that the moving
    average of the *signed* margin stands for, which one bad sighting cannot dominate.

    Returns
    -------
    (N,) float32
        0 or more; NaN for samples never seen.
    """
    nats = np.empty(store.num_samples, np.float32)
    # In blocks whose temporary arrays stay in the processor's cache: at a million samples the
    # passes over memory are the cost, and they would slow the training beside it.
    for start in range(0, store.num_samples, _BLOCK):
        part = slice(start, start + _BLOCK)
        nats[part] = _severity(store, part)
    return nats


def _severity(store: SampleStore, part: slice) -> NDArray[np.float32]:
    margin, loss, seen = store.margin[part], store.loss[part], store.times_seen[part]
    # softplus(-margin), without overflow
    margin_loss = np.log(np.float32(1) + np.exp(-np.abs(margin))) - np.minimum(margin, 0)
    trend = store.loss_fast[part] - loss
    nats = loss + np.float32(_TREND) * trend + np.float32(_MARGIN) * margin_loss
    nats *= np.float32(1 / (1 + _MARGIN))
    nats += np.float32(_ERROR) * store.error[part]
    chances = np.maximum(seen, 2).astype(np.float32) - 1  # sightings that could be a flip
    nats += np.float32(_FLIPS) * store.flips[part] / chances
    np.maximum(nats, 0, out=nats)  # a custom loss may be negative: no risk at all
    nats[seen == 0] = np.nan
    return nats


def bounded(nats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Severity brought into [0, 1]: 1 - exp(-nats), what a loss withholds from the true class.

    The order stays, but severities above 17 nats all become 1.
    """
    scores: NDArray[np.float32] = -np.expm1(-nats)
    return scores


def risk(store: SampleStore) -> NDArray[np.float32]:
    """Score in [0, 1] that orders samples by how likely they are to be wrong later.

    It is `bounded(severity(store))`, a score and not a calibrated probability.

    Returns
    -------
    (N,) float32
        NaN for samples never seen.
    """
    return bounded(severity(store))


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
        What to order by, 0 or more, NaN for samples to leave out; `severity(store)` if None.
    """
    if top < 1:
        raise ValueError(f"top = {top}; expected at least 1")
    if scores is None:
        scores = severity(store)
    top = min(top, int(np.count_nonzero(scores >= 0)))
    if top == 0:
        return np.empty(0, np.int64)
    # At least `top` scores reach the top-th largest of the block maxima, so that only the few
    # that do need ordering; a partition of everything costs more than the rest together.
    peaks = np.fmax.reduceat(scores, np.arange(0, len(scores), 256))
    peaks[np.isnan(peaks)] = 0
    floor = np.partition(peaks, -top)[-top] if len(peaks) > top else np.float32(0)
    near = np.flatnonzero(scores >= floor)
    # A partition alone would leave it to chance which of several equals is in.
    values = scores[near]
    lowest = np.partition(values, -top)[-top]
    above = near[values > lowest]
    level = near[values == lowest][: top - len(above)]
    chosen = np.concatenate([above, level])
    order = np.lexsort((chosen, -scores[chosen]))
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
