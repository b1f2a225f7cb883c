"""Which values of a data set are drawn as black and as white.

Pictures in [0, 1] are drawn as they are, and others, such as 0 to 255 or normalised ones, each from
its own darkest to its own brightest value. Both draw black pictures where values fill a corner of
their range (12 bits of X-ray over 65,535) or a few lie far outside (metal in a CT). There one
window serves all pictures of the data set, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Percentiles of the values between which the window lies.
LOW, HIGH = 0.5, 99.5
#: Values in [0, 1] are narrow, and others ridden by outliers, where the window is less than this
#: share of them.
_NARROW = 0.25
#: Pictures are drawn as ever inside: 0 to 255, and what is left of it less a mean.
_USUAL = (-256.0, 256.0)
_VALUES_A_PICTURE = 20_000


class Window(NamedTuple):
    """Black and white, and the smallest and largest value that there are."""

    black: float
    white: float
    least: float
    most: float

    def __str__(self) -> str:
        black, white = f"{self.black:g}", f"{self.white:g}"
        return (
            f"Pictures are drawn with {black} as black and {white} as white, between which 99 % of "
            f"the values looked at in train_data lie; all reach from {self.least:g} to "
            f'{self.most:g}. Session(..., config={{"display": {{"window": ({black}, {white})}}}}) '
            "sets others."
        )


def shown_channels(x: NDArray[Any], chosen: Sequence[int] | None = None) -> NDArray[Any]:
    """What is drawn of a picture (C, H, W): one channel, or three."""
    if chosen is not None:
        return x[list(chosen)]
    return x if len(x) in (1, 3) else x[:3] if len(x) > 3 else x[:1]


def find_window(
    inputs: Sequence[NDArray[Any]], chosen: Sequence[int] | None = None
) -> Window | None:
    """The window for pictures (C, H, W) or (H, W) like these; None where they need none.

    Values that are not finite, and channels that are not `chosen`, do not count.
    """
    samples: list[NDArray[np.float64]] = []
    least, most = np.inf, -np.inf
    for x in inputs:
        if x.ndim not in (2, 3):
            return None
        values = shown_channels(x, chosen).ravel() if x.ndim == 3 else x.ravel()
        values = values[np.isfinite(values)]
        if len(values):
            least, most = min(least, float(values.min())), max(most, float(values.max()))
            samples.append(values[:: -(-len(values) // _VALUES_A_PICTURE)].astype(np.float64))
    if not samples or least == most:
        return None
    low, high = np.percentile(np.concatenate(samples), (LOW, HIGH))
    usual = _USUAL[0] <= least and most <= _USUAL[1]
    full = 1.0 if least >= 0 and most <= 1 else most - least
    if usual and (high == low or high - low >= _NARROW * full):
        return None
    if high == low:  # little but background
        low, high = least, most
    return Window(*(float(f"{value:.4g}") for value in (low, high, least, most)))
