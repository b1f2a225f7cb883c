"""A loss of the user's own, whatever it is of: a number for each sample, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Words, to_numpy
from coflect_widget.tasks.by_quantile import RecentErrors, WithoutTarget

_WORDS = Words(
    quality="quality",
    quality_first="Quality",
    quality_from=": a loss alone tells none, so the window is opened by hand",
    shortfall="Shortfall",
    far_wrong="far above usual",
    getting_worse="loss grows",
    close="near the limit",
    outcomes=("usual loss", "large loss"),
    outputs="losses",
    all_outputs="The losses",
    observed="loss=losses",
)


class OwnLoss(WithoutTarget):
    """Outputs (B,) are the losses of samples, one each; see `tasks.base.Task`.

    A sample is right where its loss is usual: not above a quantile of the newest losses, 0.8 if
    nobody says. They are those of about an epoch: older ones mostly are larger. So of all samples
    about a fifth is "wrong", whatever the loss is of, and the margin is the logarithm of the
    quantile over the loss. Sample by sample there is 0 to be predicted, a usual loss, or 1, a large
    one. A loss of 0 or less is as far on the safe side as can be.

    For one thread: it remembers the newest losses. A copy sent elsewhere begins anew.

    Parameters
    ----------
    quantile : float
        More than 0 and less than 1.
    samples : int
        So many newest losses tell what is usual, but at least 64 and at most 4096.
    scored : bool
        Whether a function of the user's own gives a number for each sample, (B, 1), of which maps
        are and which strokes keep.
    """

    name = "own_loss"
    words = _WORDS

    def __init__(self, quantile: float = 0.8, samples: int = 4096, *, scored: bool = False) -> None:
        self.guidable = scored
        self.samples = min(max(samples, 64), 4096)
        self.recent = RecentErrors(quantile, self.samples)

    def __reduce__(self) -> tuple[Any, tuple[float, int]]:
        return partial(OwnLoss, scored=self.guidable), (self.recent.quantile, self.samples)

    def __repr__(self) -> str:
        return f"OwnLoss({self.recent.quantile})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        """Targets are not looked at: there are none."""
        for given in (outputs, losses):
            if given is not None and len(np.shape(given)) != 1:
                raise ValueError(f"losses has shape {tuple(np.shape(given))}; expected (B,)")

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        """See `Task.summarise`; a row whose loss is not finite says nothing."""
        self.check(outputs, targets, losses)
        loss: NDArray[np.float32] = to_numpy(outputs if losses is None else losses, np.float32)
        return self.measured(loss)

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        self.check(outputs, targets)
        return to_numpy(outputs, np.float32)

    def score(self, outputs: Any, target: int) -> Any:
        """Of the scores (B, 1) that a function of the user's own gives."""
        return outputs[:, target]

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "quality")  # nobody measures the second

    def guess(self, chance: float) -> str:
        return "knowing nothing"

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise ValueError("a loss has no odds")
