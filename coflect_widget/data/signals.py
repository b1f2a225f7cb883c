"""Series with a burst that is the class and a decoy beside it: made on the spot, both places known.

A slow wave and noise run through every channel. Somewhere on channel 0 stands a weak burst, whose
number of waves is the class. A shorter and stronger burst, the decoy, stands elsewhere on channel
0; in training its number of waves may give the class away, and then it is by far the easier cue.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Decoy = Literal["class", "random", "none"]

_MOST_CLASSES = 4
#: Lengths of burst and decoy as shares of the series'.
_BURST, _DECOY = 1 / 5, 1 / 12
#: Heights of burst and decoy, of the slow wave, and the noise's standard deviation.
_HEIGHT, _DECOY_HEIGHT, _WAVE, _NOISE = 1.0, 2.5, 0.5, 0.3


class Signals:
    """Labelled series, by index; what `signals` returns.

    Attributes
    ----------
    series : ndarray (n, C, L) float32
    labels : ndarray (n,) int64
    classes : list of str
    bursts : ndarray (n, 2) float32
        First and last place of what tells the class, as shares of the length; on channel 0.
    decoys : ndarray (n, 2) float32
        The same of the decoy, or of where one would be.
    hints : ndarray (n,) int64
        Class that the decoy has the waves of; -1 where there is none.
    """

    def __init__(
        self,
        series: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: list[str],
        bursts: NDArray[np.float32],
        decoys: NDArray[np.float32],
        hints: NDArray[np.int64],
    ) -> None:
        self.series, self.labels, self.classes = series, labels, classes
        self.bursts, self.decoys, self.hints = bursts, decoys, hints

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], np.int64]:
        return self.series[index], self.labels[index]

    def __repr__(self) -> str:
        _, channels, length = self.series.shape
        return (
            f"<Signals: {len(self)} series of {channels} x {length}, "
            f"classes {', '.join(self.classes)}>"
        )


def signals(
    n: int = 1000,
    *,
    decoy: Decoy = "class",
    classes: int = 2,
    channels: int = 2,
    length: int = 128,
    seed: int = 0,
) -> Signals:
    """Make the set; equal arguments give equal arrays.

    Sample i depends on the other arguments and on i alone: it is the same whatever `n` is. Classes
    take turns, so that any stretch of the set is balanced.

    Parameters
    ----------
    n : int
        Series, at least 1.
    decoy : {"class", "random", "none"}
        Number of the decoy's waves: that of the label, that of a random class, or no decoy. All
        else is the same for all three.
    classes : int
        From 2 to 4.
    channels : int
        At least 1; burst and decoy are on channel 0.
    length : int
        Steps, at least 64.
    seed : int
        Not negative. Another seed gives other series, as for a test set.

    Returns
    -------
    Signals

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    if n < 1:
        raise ValueError(f"n = {n}; expected at least 1 series")
    if decoy not in ("class", "random", "none"):
        raise ValueError(f"decoy={decoy!r}: expected one of 'class', 'random', 'none'")
    if not 2 <= classes <= _MOST_CLASSES:
        raise ValueError(f"classes = {classes}; expected 2 to {_MOST_CLASSES}")
    if channels < 1:
        raise ValueError(f"channels = {channels}; expected at least 1")
    if length < 64:
        raise ValueError(f"length = {length}; expected at least 64 steps, or bursts have no shape")
    if seed < 0:
        raise ValueError(f"seed = {seed}; expected 0 or more")
    labels = np.arange(n, dtype=np.int64) % classes
    series = np.empty((n, channels, length), np.float32)
    places = np.empty((n, 2, 2), np.float32)
    hints = np.full(n, -1, np.int64)
    wide = round(_BURST * length), round(_DECOY * length)
    for index, label in enumerate(labels):
        rng = np.random.default_rng((seed, index))
        series[index] = _background(channels, length, rng)
        at = _apart(wide, length, rng)
        random = int(rng.integers(classes))
        series[index, 0, at[0] : at[0] + wide[0]] += _HEIGHT * _waves(2 + 2 * int(label), wide[0])
        if decoy != "none":
            hints[index] = label if decoy == "class" else random
            shape = _waves(1 + int(hints[index]), wide[1])
            series[index, 0, at[1] : at[1] + wide[1]] += _DECOY_HEIGHT * shape
        places[index] = [(a / length, (a + w) / length) for a, w in zip(at, wide, strict=True)]
    names = [f"{2 + 2 * k} waves" for k in range(classes)]
    return Signals(series, labels, names, places[:, 0], places[:, 1], hints)


def _background(channels: int, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A slow wave and noise on each channel (C, L)."""
    times = np.arange(length) / length
    turns, starts = rng.uniform(0.5, 2, (channels, 1)), rng.uniform(0, 1, (channels, 1))
    waves = _WAVE * np.sin(2 * np.pi * (turns * times + starts))
    found: NDArray[np.float64] = waves + rng.normal(0, _NOISE, (channels, length))
    return found


def _waves(count: int, steps: int) -> NDArray[np.float64]:
    """So many sine waves on so many steps, without jumps at the ends."""
    times = (np.arange(steps) + 0.5) / steps
    found: NDArray[np.float64] = np.sin(2 * np.pi * count * times) * np.sqrt(np.sin(np.pi * times))
    return found


def _apart(wide: tuple[int, int], length: int, rng: np.random.Generator) -> tuple[int, int]:
    """First steps of two stretches of these lengths that do not meet."""
    while True:
        one, other = (int(rng.integers(length - steps + 1)) for steps in wide)
        if one + wide[0] <= other or other + wide[1] <= one:
            return one, other
