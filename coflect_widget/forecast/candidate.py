"""One entry of the forecast queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample that is likely to be wrong some epochs from now, whatever it is now.

    Attributes
    ----------
    index : int
        Its place in the training data.
    risk : float
        Probability of being wrong then, in [0, 1], set right for samples that are listed.
    target, predicted : int
        Its label, and what the model said when it last saw it. In regression -1, and 1 where the
        error was large then, else 0.
    reason : str
        One phrase from its own history.
    thumbnail : bytes or None
        PNG.
    doubtful : bool
        Whether its label is suspected: it was surely and persistently wrong.
    """

    index: int
    risk: float
    target: int
    predicted: int
    reason: str
    thumbnail: bytes | None
    doubtful: bool = False

    @property
    def wrong_now(self) -> bool:
        """Whether the model was wrong when it last saw it; else it is right now, and at risk."""
        return self.predicted == 1 if self.target < 0 else self.predicted != self.target

    def __repr__(self) -> str:
        now = "wrong now" if self.wrong_now else "right now"
        return f"Candidate(index={self.index}, risk={self.risk:.2f}, {now}, reason={self.reason!r})"
