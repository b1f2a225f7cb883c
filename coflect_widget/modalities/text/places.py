"""Places of a text: which hold words, where a run of ids stands, and words moved among them.

For arrays of numpy or a framework. Where this file says B, L and V: rows, places of a text, ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray


def real(x: Any, special: Sequence[int]) -> Any:
    """(B, L) of bool: which of the ids (B, L) are neither padding nor special."""
    xp = compat.array_namespace(x)
    found = x >= 0
    for one in special:
        found = found & (x != one)
    return xp.astype(found, xp.bool)


def occurrences(runs: Sequence[Sequence[int]], x: Any, starts: NDArray[np.bool_]) -> Any:
    """(B, L) of bool: the places of `x` (B, L) at which one of the runs of ids stands.

    A run begins and ends where words do, as `starts` (V,) tells; ids outside it are words.
    """
    xp = compat.array_namespace(x)
    length = x.shape[1]
    found = xp.zeros(x.shape, dtype=xp.bool, device=compat.device(x))
    ends = None
    for run in runs:
        count = len(run)
        if not 0 < count <= length:
            continue
        at = x[:, : length - count + 1] == run[0]
        for k in range(1, count):
            at = at & (x[:, k : length - count + 1 + k] == run[k])
        if not starts.all():
            if ends is None:
                ends = _starts_of(xp, x, starts)
            begins, after = ends[:, : length - count + 1], ends[:, count:]
            at = at & begins & after
        for k in range(count):
            # the same array with the run's other places
            wide = [at]
            if k:
                wide.insert(0, xp.zeros((len(x), k), dtype=xp.bool, device=compat.device(x)))
            rest = length - at.shape[1] - k
            if rest:
                wide.append(xp.zeros((len(x), rest), dtype=xp.bool, device=compat.device(x)))
            found = found | (xp.concat(wide, axis=1) if len(wide) > 1 else at)
    return found


def _starts_of(xp: Any, x: Any, starts: NDArray[np.bool_]) -> Any:
    """(B, L + 1) whether a word may begin at each place, and after the last one."""
    known = xp.asarray(starts, device=compat.device(x))
    inside = xp.clip(x, 0, len(starts) - 1)
    begins = known[inside] | (x != inside)
    after = xp.ones((len(x), 1), dtype=xp.bool, device=compat.device(x))
    return xp.concat([begins, after], axis=1)


def filled(x: Any, length: int, padding: int) -> Any:
    """Ids (..., l) as (..., L), L at least `length`: padding at the end of each, none before it.

    What is filled in is left out: the complement of `padding`.
    """
    xp = compat.array_namespace(x)
    where = {"device": compat.device(x)}
    more = max(0, length - x.shape[-1])
    x = xp.concat([x, xp.full((*x.shape[:-1], more), ~padding, dtype=x.dtype, **where)], axis=-1)
    words = xp.astype((x >= 0) & (x != padding), xp.int64)
    before = xp.sum(xp.astype(xp.cumulative_sum(words, axis=-1) == 0, xp.int64), axis=-1)
    at = xp.arange(x.shape[-1], dtype=xp.int64, **where) + before[..., None]
    return xp.take_along_axis(x, at % x.shape[-1], axis=-1)


def laid_out(other: Any, x: Any, special: Sequence[int]) -> Any:
    """`other` (B, L) or (1, L) with its words, in their order, where `x` (B, L) has words.

    Where it has fewer, they begin again; all other places are as in `x`.
    """
    xp = compat.array_namespace(x)
    other = xp.broadcast_to(other, x.shape)
    here, there = real(x, special), real(other, special)
    number = xp.cumulative_sum(xp.astype(here, xp.int64), axis=1) - 1
    count = xp.sum(xp.astype(there, xp.int64), axis=1, keepdims=True)
    first = xp.argsort(xp.astype(~there, xp.int8), axis=1, stable=True)
    wanted = xp.clip(number, 0, None) % xp.clip(count, 1, None)
    moved = xp.take_along_axis(other, xp.take_along_axis(first, wanted, axis=1), axis=1)
    return xp.where(here & (count > 0), moved, x)


def put(
    masks: NDArray[np.bool_], x: NDArray[Any], other: NDArray[Any], special: Sequence[int]
) -> NDArray[Any]:
    """`x` (B, L) with the marked words of `other` (B, L): the n-th word in the n-th one's place.

    In a shorter text they are counted on from its first word.
    """
    found = x.copy()
    for row, mask, here, given, there in zip(
        found, masks, real(x, special), other, real(other, special), strict=True
    ):
        at = np.flatnonzero(here)
        marked = np.flatnonzero(mask[there])
        if len(at):
            row[at[marked % len(at)]] = given[there][marked]
    return found


def turned(
    masks: NDArray[np.bool_], x: NDArray[Any], by: int, special: Sequence[int]
) -> NDArray[np.bool_]:
    """Masks (B, L), each moved by `by` words round the ends of its text, never by none."""
    found = np.zeros_like(masks)
    rows = np.broadcast_to(x, (len(masks), *x.shape[1:]))
    for row, mask, holds in zip(found, masks, real(rows, special), strict=True):
        at = np.flatnonzero(holds)
        if len(at) < 2:
            row[:] = mask
            continue
        row[at] = np.roll(mask[at], 1 + (by - 1) % (len(at) - 1))
    return found
