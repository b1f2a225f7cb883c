"""The same shape anywhere in time: where a stretch of a series looks like the one that was marked.

By the mean squared difference of the marked channels at every step, their level taken out, so that
a burst is found on a slow wave too. Plain numpy; `scan` runs in a worker process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array, BoolArray

Floats = NDArray[np.float32]

#: Steps that a shape is made shorter to, so that the work does not grow with its length.
LONGEST = 64
#: A hand marks a little too much: that share of a shape's ends is left out.
EDGE = 1 / 16
#: Score from which a stretch looks the same, near the place that was marked and elsewhere.
SAME_THERE, SAME_ANYWHERE = 0.40, 0.45


@dataclass(frozen=True, slots=True)
class Template:
    """What is looked for.

    Attributes
    ----------
    shape : ndarray (k, n) float32
        The marked channels' values, at the scale of the search, each with mean 0.
    channels : tuple of int (k,)
    scale : int
        Steps that became one.
    start, stop : int
        What was drawn, in steps.
    cut : int
        Steps of the drawn start that are left out.
    typical : float
        Mean squared difference to what stands at other places of series.
    """

    shape: Floats
    channels: tuple[int, ...]
    scale: int
    start: int
    stop: int
    cut: int
    typical: float


def make_template(x: Array, mask: BoolArray, others: Array) -> Template:
    """What `mask` (C, L) marks in `x` (C, L), to be looked for.

    Parameters
    ----------
    others : ndarray (n, C, L)
        Some other series; they tell how different places usually are.

    Raises
    ------
    ValueError
        If it is so long that there is nothing to move it over, or so short that it has no shape.
    """
    steps = np.flatnonzero(mask.any(0))
    start, stop = int(steps[0]), int(steps[-1]) + 1
    if (stop - start) * 2 > mask.shape[1]:
        raise ValueError(
            "what is marked is more than half the series; mark the shape alone to have it found "
            "elsewhere"
        )
    if stop - start < 3:
        raise ValueError(
            "what is marked has no shape: it is shorter than 3 steps; mark all of it to have it "
            "found elsewhere"
        )
    scale = -(-(stop - start) // LONGEST)
    cut = int((stop - start) * EDGE) // scale * scale
    channels = tuple(int(k) for k in np.flatnonzero(mask.any(1)))
    shape = shrink(x[None, list(channels), start + cut : stop - cut], scale)[0]
    shape = shape - shape.mean(1, keepdims=True)
    template = Template(shape, channels, scale, start, stop, cut, 1.0)
    typical = float(np.median(differences(others, template)))
    # a flat neighbourhood is as far from a shape as the shape is high
    typical = max(typical, float(np.square(shape).mean()), 1e-12)
    return Template(shape, channels, scale, start, stop, cut, typical)


def scan(inputs: Array, template: Template) -> tuple[Floats, Floats, BoolArray]:
    """The best place in each of `inputs` (n, C, L).

    Returns
    -------
    score (n,), box (n, 4) as shares of length and channels, and whether it looks the same (n,)
    """
    count, channels, length = inputs.shape
    scores = 1 - np.sqrt(differences(inputs, template) / template.typical)
    wide = template.stop - template.start
    at = np.arange(scores.shape[1]) * template.scale - template.cut
    near = np.abs(at - template.start) <= max(2, wide // 4)
    passes = scores - np.where(near, SAME_THERE, SAME_ANYWHERE)
    best = passes.argmax(1)
    rows = np.arange(count)
    start = np.clip(at[best], 0, length - wide)
    low, high = template.channels[0] / channels, (template.channels[-1] + 1) / channels
    box = np.stack(
        [start / length, np.full(count, low), (start + wide) / length, np.full(count, high)], 1
    )
    return scores[rows, best].astype(np.float32), box.astype(np.float32), passes[rows, best] >= 0


def differences(inputs: Array, template: Template) -> Floats:
    """Mean squared difference at each place, (n, places), levels taken out.

    The mean of (x - level - shape) squared is the variance of x there, less twice its product with
    the shape, more the shape's own mean square.
    """
    small = shrink(inputs[:, list(template.channels)], template.scale).astype(np.float64)
    wide = template.shape.shape[1]
    total = np.zeros((len(small), small.shape[2] - wide + 1))
    for row, shape in zip(small.transpose(1, 0, 2), template.shape.astype(np.float64), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(row, wide, axis=1)
        products = windows @ shape / wide
        total += windows.var(2) - 2 * products + np.square(shape).mean()
    found: Floats = np.maximum(total / len(template.shape), 0).astype(np.float32)
    return found


def shrink(inputs: Array, scale: int) -> Floats:
    """(n, C, L) with each `scale` steps averaged; what is left over is cut off."""
    if scale == 1:
        return np.asarray(inputs, np.float32)
    count, channels, length = inputs.shape
    whole = length // scale
    cut = np.asarray(inputs[:, :, : whole * scale], np.float32)
    small: Floats = cut.reshape(count, channels, whole, scale).mean(3)
    return small
