"""One number, or a few, for each sample."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Values, Words, is_elsewhere, to_numpy
from coflect_widget.tasks.by_quantile import ByQuantile, RecentErrors
from coflect_widget.tasks.measures.of_numbers import OfNumbers

_WORDS = Words(
    quality="R²",
    quality_first="R²",
    quality_from=" on validation data",
    shortfall="Unexplained",
    far_wrong="far above usual",
    getting_worse="error grows",
    close="near the limit",
    outcomes=("usual error", "large error"),
)


class Regression(ByQuantile):
    """Outputs and targets (B, D), or (B,), are numbers; see `tasks.base.Task`.

    The loss is the mean square of the distance of a row's outputs from its targets, "wrong" an
    error above a quantile of those seen lately, and the margin the logarithm of the quantile over
    the error. Sample by sample there is 0 to be predicted, a usual error, or 1, a large one.

    For one thread: it remembers the newest errors. A copy sent elsewhere begins anew.

    Parameters
    ----------
    error_quantile : float
        More than 0 and less than 1.
    """

    name = "regression"
    words = _WORDS
    labelled = of_labels = False
    guidable = True
    groups = 1
    width = 1
    by_batch = True
    tells_values = True
    predicts_targets = True
    in_training = ""
    placed = False
    least_loss = -math.inf

    def __init__(self, error_quantile: float = 0.8) -> None:
        self.recent = RecentErrors(error_quantile)

    def __reduce__(self) -> tuple[type[Regression], tuple[float]]:
        return Regression, (self.recent.quantile,)

    def __repr__(self) -> str:
        return f"Regression({self.recent.quantile})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        """With losses nothing else matters."""
        if losses is not None:
            if len(np.shape(losses)) != 1:
                raise ValueError(f"losses has shape {tuple(np.shape(losses))}; expected (B,)")
            return
        given = tuple(np.shape(outputs))
        wanted = given if targets is None else tuple(np.shape(targets))
        if not given or _flat(given) != _flat(wanted):
            raise ValueError(
                f"outputs has shape {given} and targets {wanted}; without classes they must be "
                "the same"
            )

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        values = None
        self.check(outputs, targets, losses)
        if losses is None:
            values, errors = _told(outputs, targets)
            loss: NDArray[np.float32] = to_numpy(errors, np.float32)
        else:
            loss = to_numpy(losses, np.float32)
        return self.measured(loss, values)

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        self.check(outputs, targets)
        return to_numpy(_told(outputs, targets)[1], np.float32)

    def score(self, outputs: Any, target: int) -> Any:
        return outputs.reshape(outputs.shape[0], -1)[:, target]

    def measures(self) -> OfNumbers:
        return OfNumbers()

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "r2")

    def guess(self, chance: float) -> str:
        return "always giving the mean"

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise ValueError("an output that is a number has no odds")


def _flat(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0] if shape else 0, math.prod(shape[1:])


def _told(outputs: Any, targets: Any) -> tuple[Values, Any]:
    """Values (B,) and mean square errors (B,), where the outputs are."""
    if is_elsewhere(outputs):
        xp, place = compat.array_namespace(outputs), compat.device(outputs)
        given = xp.astype(outputs, xp.float32).reshape(outputs.shape[0], -1)
        wanted = xp.astype(xp.asarray(targets, device=place), xp.float32).reshape(given.shape)
        error = xp.mean((given - wanted) ** 2, axis=1)
        off = xp.sqrt(error)
        nothing = xp.full_like(error, math.nan)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            given = np.asarray(outputs, np.float32)
            given = given.reshape(len(given), math.prod(given.shape[1:]))
            wanted = np.asarray(targets, np.float32).reshape(given.shape)
            error = np.square(given - wanted).mean(axis=1)
            off = np.sqrt(error)
        nothing = np.full(len(given), math.nan, np.float32)
    single = given.shape[1] == 1
    told = (wanted[:, 0], given[:, 0]) if single else (nothing, nothing)
    return Values(*told, off), error
