"""What one more sighting of a sample adds to its history, in numpy.

`native/` does the same in compiled code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Weight of the newest sighting in the slow averages (a memory of about three epochs; on
#: cats and dogs 0.35 to 0.45 foretold errors best, 0.1 and 0.6 worse) ...
SLOW = 0.35
#: ... and in the fast average of the loss, which is compared with the slow one.
FAST = 0.7

_MOST = np.iinfo(np.uint16).max
_LONG = np.iinfo(np.int16).max


class History(NamedTuple):
    """What the forecast looks at of samples, (K,) each."""

    margin_fast: NDArray[np.float32]
    margin: NDArray[np.float32]
    margin_mean: NDArray[np.float32]
    times_seen: NDArray[np.uint32]


class Tables(NamedTuple):
    """Where histories are kept; `SampleStore` says what stands in each column.

    Rows are 8 or 16 bytes wide: one look at a sample's place in memory finds several numbers.
    """

    averages: NDArray[np.float32]  # (N, 4)
    means: NDArray[np.float32]  # (N, 2)
    counts: NDArray[np.uint16]  # (N, 4)
    newest: NDArray[np.int32]  # (N, 4)
    streak: NDArray[np.int16]  # (N,)
    correct: NDArray[np.bool_]  # (N,)


def make_tables(num_samples: int) -> Tables:
    """Tables of samples that nobody has seen."""
    newest = np.full((num_samples, 4), -1, np.int32)
    newest[:, 3] = 0
    return Tables(
        averages=np.zeros((num_samples, 4), np.float32),
        means=np.zeros((num_samples, 2), np.float32),
        counts=np.zeros((num_samples, 4), np.uint16),
        newest=newest,
        streak=np.zeros(num_samples, np.int16),
        correct=np.zeros(num_samples, np.bool_),
    )


def remember(
    tables: Tables,
    rows: NDArray[np.int64],
    loss: NDArray[np.float32],
    margin: NDArray[np.float32],
    predicted: NDArray[np.int64],
    labels: NDArray[np.int64],
    correct: NDArray[np.bool_],
    steps: NDArray[np.integer],
) -> History:
    """Write what these sightings, one a sample, add; returns the new history."""
    newest = tables.newest.take(rows, axis=0)
    averages = tables.averages.take(rows, axis=0)
    means = tables.means.take(rows, axis=0)
    counts = tables.counts.take(rows, axis=0)
    seen = newest[:, 3]
    first = seen == 0
    wrong = ~correct
    # The first sighting is taken whole: an average that starts at zero would call every
    # new sample easy.
    slow: NDArray[np.float32] | np.float32 = np.float32(SLOW)
    fast: NDArray[np.float32] | np.float32 = np.float32(FAST)
    if first.any():
        slow, fast = np.where(first, np.float32(1), slow), np.where(first, np.float32(1), fast)
    for old, new, weight in (
        (averages[:, 0], loss, slow),
        (averages[:, 1], loss, fast),
        (averages[:, 2], margin, slow),
        (averages[:, 3], margin, fast),
        (means[:, 0], wrong, slow),
        (means[:, 1], margin, 1 / (seen.astype(np.float32) + 1)),
    ):
        old += weight * (new - old)
    _put(tables.averages, rows, averages)
    _put(tables.means, rows, means)

    streak = tables.streak[rows]
    changed = newest[:, 0] != predicted
    changed &= ~first
    forgotten = (streak > 0) & wrong
    for count, happened in zip(counts.T, (changed, forgotten, correct), strict=False):
        count += happened & (count < _MOST)
    learned = np.flatnonzero(correct & (counts[:, 3] == 0))
    counts[learned, 3] = np.minimum(seen[learned] + 1, _MOST)
    _put(tables.counts, rows, counts)
    # Runs of right ones go on upwards, of wrong ones downwards, and start at 1 and -1.
    streak *= (streak > 0) == correct
    streak += np.where(correct, streak < _LONG, -1 * (streak > -_LONG)).astype(np.int16)
    tables.streak[rows] = streak

    newest[:, 0] = predicted
    newest[:, 1] = labels
    newest[:, 2] = steps
    newest[:, 3] += 1
    _put(tables.newest, rows, newest)
    tables.correct[rows] = correct
    return History(averages[:, 3], averages[:, 2], means[:, 1], newest[:, 3].view(np.uint32))


def _put(table: NDArray[Any], rows: NDArray[np.int64], new: NDArray[Any]) -> None:
    """Write rows of a table, as one number each: numpy puts numbers quicker than rows."""
    whole = {8: np.int64, 16: np.complex128}[new[0].nbytes]
    table.view(whole)[:, 0][rows] = new.view(whole)[:, 0]
