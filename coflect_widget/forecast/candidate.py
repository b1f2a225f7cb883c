"""One entry of the forecast queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample that is likely to be wrong some epochs from now.

    Attributes
    ----------
    index : int
        Its place in the training data.
    risk : float
        In [0, 1], comparable within one ranking.
    target, predicted : int
        Its label, and what the model said when it last saw it. In regression -1, and 1 where the
        error was large then, else 0.
    reason : str
        One phrase from its own history.
    thumbnail : bytes or None
        PNG.
    """

    index: int
    risk: float
    target: int
    predicted: int
    reason: str
    thumbnail: bytes | None

    def __repr__(self) -> str:
        return f"Candidate(index={self.index}, risk={self.risk:.2f}, reason={self.reason!r})"
