"""From every sample's score to the queue, the list of suspected labels, and reasons in words."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.native import kernels
from coflect_widget.telemetry.store import LEFT_OUT, SUSPECT, SampleStore

#: Samples whose scores stay in the processor's cache, looked at without a pause, and the seconds of
#: rest after them: a training step that meets a ranking shall wait for a small part of it only.
_BLOCK = 65_536
_REST = 0.0003
#: Samples of which the best are a floor for those of all.
_SOME = 4096
#: The score of a sample that was never seen is below.
_LEAST = np.finfo(np.float32).min
#: Share of wrong sightings, of late, above which no label is listed as suspected.
MOST_WRONG = 0.5


def rank(
    store: SampleStore, top: int, *, right: bool | None = None, suspected: bool = True
) -> NDArray[np.int64]:
    """Samples most likely to fail, likeliest first; equal ones in order of index.

    Left out are samples never seen and those that a person has left out.

    Parameters
    ----------
    store : SampleStore
        `store.score` orders.
    top : int
        How many; fewer come back where there are fewer.
    right : bool, optional
        Only samples that are right now, or only those that are wrong now.
    suspected : bool
        Whether samples whose label is suspected are among them.

    Returns
    -------
    (K,) int64
    """
    if top < 1:
        raise ValueError(f"top = {top}; expected at least 1")
    if store.kernel is not None:
        return _rank_compiled(store, top, right=right, suspected=suspected)
    # What is below the top of some need not be looked at among all.
    some = _eligible(
        store, slice(None, None, 1 + store.num_samples // _SOME), right=right, suspected=suspected
    )
    best = _first(store.score, some, top)
    for start in range(0, store.num_samples, _BLOCK):
        if start:
            time.sleep(_REST)
        floor = store.score[best[-1]] if len(best) == top else _LEAST
        part = slice(start, start + _BLOCK)
        found = _eligible(store, part, floor, right=right, suspected=suspected)
        best = _first(store.score, np.union1d(best, found), top)
    return best


def _rank_compiled(
    store: SampleStore, top: int, *, right: bool | None, suspected: bool
) -> NDArray[np.int64]:
    rows = np.empty(min(top, store.num_samples), np.int64)
    found: int = kernels().module.top(
        store.score,
        store.flags,
        LEFT_OUT if suspected else LEFT_OUT | SUSPECT,
        None if right is None else store.correct,
        bool(right),
        rows,
    )
    return rows[:found]


def _eligible(
    store: SampleStore,
    part: slice,
    floor: np.float32 = _LEAST,
    *,
    right: bool | None,
    suspected: bool,
) -> NDArray[np.int64]:
    """Those samples of a part whose score is at least `floor` and that may be in the queue."""
    near = np.flatnonzero(store.score[part] >= floor)
    fit = store.flags[part][near] & (LEFT_OUT if suspected else LEFT_OUT | SUSPECT) == 0
    if right is not None:
        fit &= store.correct[part][near] == right
    rows: NDArray[np.int64] = (part.start or 0) + near[fit] * (part.step or 1)
    return rows


def suspects(store: SampleStore, top: int) -> NDArray[np.int64]:
    """Samples whose label is suspected, most doubtful first; (K,) int64, K at most `top`.

    None while training gets most samples wrong: then a label says nothing yet.
    """
    found = np.flatnonzero(_suspected(store))
    return _first(store.doubt, found, top)


def count_suspects(store: SampleStore) -> int:
    """How many samples have a label that is suspected; as `suspects`."""
    return int(np.count_nonzero(_suspected(store)))


def forgotten(store: SampleStore, top: int) -> tuple[NDArray[np.int64], int]:
    """Samples that were right once and are wrong now, and how many there are.

    Parameters
    ----------
    store : SampleStore
    top : int
        How many at most.

    Returns
    -------
    (K,) int64, int
        Those forgotten most often first, the likelier to fail first among equals; all of them
        are counted. Those that a person has left out are not among them.
    """
    found = np.flatnonzero((store.forgotten > 0) & ~store.correct & (store.flags & LEFT_OUT == 0))
    order = np.lexsort(
        (found, -store.score[found].astype(np.float32), -store.forgotten[found].astype(np.int64))
    )
    return found[order[:top]], len(found)


def is_suspected(store: SampleStore, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these samples (K,) would be in an endless list of suspects; (K,) bool."""
    return _suspected(store)[rows]


def _suspected(store: SampleStore) -> NDArray[np.bool_]:
    suspected: NDArray[np.bool_] = store.flags & (SUSPECT | LEFT_OUT) == SUSPECT
    if suspected.any() and store.error[store.seen].mean() > MOST_WRONG:
        suspected = np.zeros_like(suspected)
    return suspected


def _first(
    values: NDArray[np.float32] | NDArray[np.float16], rows: NDArray[np.int64], top: int
) -> NDArray[np.int64]:
    """The `top` of `rows` with the largest values, in order; ties in order of index."""
    of_rows = values[rows].astype(np.float32)  # half precision is slow to compare
    if len(rows) > top:
        # A partition alone would leave it to chance which of several equals is in.
        lowest = np.partition(of_rows, -top)[-top]
        above = rows[of_rows > lowest]
        level = np.sort(rows[of_rows == lowest])[: top - len(above)]
        rows = np.concatenate([above, level])
        of_rows = values[rows].astype(np.float32)
    order: NDArray[np.int64] = rows[np.lexsort((rows, -of_rows))]
    return order


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
        "losing confidence", or "low confidence" where none of these holds; three of them in the
        task's own words.
    """
    rows = np.asarray(indices, dtype=np.int64)
    seen = store.times_seen[rows]
    learned = store.learned[rows]
    flip_rate = store.flips[rows] / np.maximum(seen, 2)
    wrong = ~store.correct[rows]
    words = store.task.words
    least = np.maximum(store.loss[rows], np.float32(store.task.least_loss))
    # First one that holds: what says most about the sample comes first.
    phrases = np.select(
        [
            seen < 3,
            learned == 0,
            wrong & (store.margin[rows] < -2),  # by a factor of e**2
            flip_rate >= 0.4,
            wrong & (store.forgotten[rows] > 0),
            store.loss_fast[rows] - store.loss[rows] > 0.05 * least,
        ],
        [
            "rarely seen",
            "never learned",
            words.far_wrong,
            "flip-flopping",
            "forgotten",
            words.getting_worse,
        ],
        default=words.close,
    )
    return [str(phrase) for phrase in phrases]
