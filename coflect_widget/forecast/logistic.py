"""Logistic models of a few weights, fitted to a few thousand samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit(
    x: NDArray[np.floating],
    y: NDArray[np.bool_],
    start: NDArray[np.float64],
    firmness: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights (F,) of a logistic model of `y` (K,) on `x` (K, F), shrunk towards `start`.

    Newton's method on the log-likelihood minus ``firmness / 2 * (weights - start)**2``.
    """  # fmt: skip
    x = np.asarray(x, np.float64)
    sign = np.where(y, -1.0, 1.0)

    def cost(weights: NDArray[np.float64]) -> float:
        odds = sign * (x @ weights)
        # What `logaddexp(0, odds)` gives, in half its time.
        loss = (np.maximum(odds, 0) + np.log1p(np.exp(-np.abs(odds)))).sum()
        return float(loss + (firmness * (weights - start) ** 2).sum() / 2)

    weights = start.astype(np.float64)
    least = cost(weights)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (p - y) + firmness * (weights - start)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(firmness + 1e-6)
        step = np.linalg.solve(curvature, slope)
        while (now := cost(weights - step)) > least and np.abs(step).max() > 1e-6:
            step /= 2  # too far
        if now > least:
            break
        weights, before, least = weights - step, least, now
        if before - least < 1e-6 * len(y):
            break
    return weights


def fit_line(
    score: NDArray[np.floating],
    y: NDArray[np.bool_],
    start: tuple[float, float],
    firmness: tuple[float, float],
) -> tuple[float, float]:
    """Shift and stretch of log-odds `score` (K,) that fit `y` best, near those given."""
    whole = np.stack([np.ones(len(score)), score], axis=1)
    moved, stretched = fit(whole, y, np.array(start), np.array(firmness))
    return float(moved), float(stretched)


def logistic(log_odds: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probability of each of the given log-odds."""
    return (1 / (1 + np.exp(-np.clip(log_odds.astype(np.float64), -40, 40)))).astype(np.float32)


def log_odds(share: float) -> float:
    """The inverse of `logistic`, for one probability; 0 and 1 stay finite."""
    share = min(max(share, 1e-4), 1 - 1e-4)
    return float(np.log(share / (1 - share)))
