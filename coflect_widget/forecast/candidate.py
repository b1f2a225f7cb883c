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
    target_value, predicted_value, error : float or None
        In regression: what was wanted, what the model gave when it last saw the sample, and how
        far that is off (with several values a sample only the last, the root of their mean
        square). None with classes, and in runs recorded before there were such values.
    doubtful : bool
        Whether its label is suspected: it was surely and persistently wrong.
    """

    index: int
    risk: float
    target: int
    predicted: int
    reason: str
    thumbnail: bytes | None
    target_value: float | None = None
    predicted_value: float | None = None
    error: float | None = None
    doubtful: bool = False

    @property
    def wrong_now(self) -> bool:
        """Whether the model was wrong when it last saw it; else it is right now, and at risk."""
        return self.predicted == 1 if self.target < 0 else self.predicted != self.target

    def __repr__(self) -> str:
        named = ("target_value", "predicted_value", "error")
        values = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        words = "".join(f", {name}={value:.4g}" for name, value in values.items())
        risk = f"{self.risk:.2f}" if self.risk >= 0.005 else "<0.01"
        now = "wrong now" if self.wrong_now else "right now"
        return f"Candidate(index={self.index}, risk={risk}, {now}{words}, reason={self.reason!r})"
