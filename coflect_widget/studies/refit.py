"""The last layer fitted again on held-out samples, those that it does badly on counting most.

A network that goes by a shortcut has often learned what it should go by too, and its last layer
weighs the two. Held-out samples in which the shortcut misleads are those that it does badly on, so
they are found without anybody's labels of groups (AFR: S. Qiu et al., "Simple and Fast Group
Robustness by Automatic Feature Reweighting", ICML 2023). Where no sample contradicts the shortcut
nothing is won.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.last_layer import Linear

Floats = NDArray[np.float64]

#: Share of all weight that samples on which the layer is wrong shall have, and the steepest weights
#: by which they may come to it: exp(-steepness * probability of the own class).
WRONG_SHARE, STEEPEST = 0.5, 20.0
#: Fewer that are wrong are no counter-examples, but chance.
FEWEST_WRONG = 5
#: How much the weights are held to those of before, in units of the features' deviations.
HELD = 1e-3
_ITERATIONS = 300


@dataclass(frozen=True)
class Rows:
    """What a last layer is given of some samples, and their classes."""

    features: NDArray[np.float32]  # (n, D)
    labels: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, index: NDArray[np.int64]) -> Rows:
        """Those at `index`."""
        return Rows(self.features[index], self.labels[index])


def halves(layer: Linear, rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """A random half to fit on, and the other one to judge by.

    Each has half of the rows that the layer has wrong: no seed has too few of them by chance.
    """
    order = np.random.default_rng([seed, 41]).permutation(len(rows))
    wrong = probabilities(layer, rows.features[order]).argmax(1) != rows.labels[order]
    bad, good = order[wrong], order[~wrong]
    more, less = (len(bad) + 1) // 2, len(good) // 2
    return (
        rows.taken(np.concatenate([bad[:more], good[:less]])),
        rows.taken(np.concatenate([bad[more:], good[less:]])),
    )


def importance(layer: Linear, rows: Rows) -> Floats:
    """How much each row counts (n,), 1 in the mean.

    All classes count alike. Within them weights fall with the probability of the row's own class,
    so steeply that the rows which the layer has wrong get half of all weight.

    Raises
    ------
    ValueError
        If hardly any row is wrong: nothing contradicts what the layer goes by.
    """
    own = probabilities(layer, rows.features)[np.arange(len(rows)), rows.labels]
    wrong = probabilities(layer, rows.features).argmax(1) != rows.labels
    if wrong.sum() < FEWEST_WRONG:
        raise ValueError(
            f"of {len(rows)} held-out samples the model has {int(wrong.sum())} wrong: nothing "
            "contradicts what it goes by, so a refit would change nothing; give data= with "
            "samples in which the shortcut misleads"
        )
    classes, counts = np.unique(rows.labels, return_counts=True)
    even = 1 / counts[np.searchsorted(classes, rows.labels)]

    def weights(steepness: float) -> Floats:
        given = even * np.exp(-steepness * own)
        shares: Floats = given / given.sum()
        return shares

    low, high = 0.0, STEEPEST
    if weights(high)[wrong].sum() <= WRONG_SHARE:
        low = high
    elif weights(low)[wrong].sum() < WRONG_SHARE:
        for _ in range(40):
            middle = (low + high) / 2
            less = weights(middle)[wrong].sum() < WRONG_SHARE
            low, high = (middle, high) if less else (low, middle)
    found: Floats = weights(low) * len(rows)
    return found


def shuffled(weights: Floats, rows: Rows, seed: int) -> Floats:
    """The same weights given to random rows of the same classes: what a placebo is fitted with."""
    rng = np.random.default_rng([seed, 43])
    found = weights.copy()
    for label in np.unique(rows.labels):
        there = np.flatnonzero(rows.labels == label)
        found[there] = weights[rng.permutation(there)]
    return found


def fitted(layer: Linear, rows: Rows, weights: Floats) -> Linear:
    """The layer that gives the rows, each counted `weights` (n,) times, the least loss.

    Held to what the layer was. Deterministic.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy ships no types

    features, before = rows.features.astype(np.float64), layer.weight.astype(np.float64)
    shape, has_bias = before.shape, layer.bias is not None
    # Of a layer without a bias the features cannot be moved to a mean of 0.
    middle = features.mean(0) if has_bias else np.zeros(shape[1])
    wide = features.std(0)
    wide[wide < 1e-6] = 1.0
    x = (features - middle) / wide
    first = before * wide
    begun = first.ravel()
    if layer.bias is not None:
        begun = np.concatenate([begun, layer.bias + before @ middle])
    share = weights / weights.sum()
    target = np.zeros((len(rows), shape[0]))
    target[np.arange(len(rows)), rows.labels] = 1

    def loss(values: Floats) -> tuple[float, Floats]:
        weight = values[: first.size].reshape(shape)
        logits = x @ weight.T + (values[first.size :] if has_bias else 0.0)
        logits -= logits.max(1, keepdims=True)
        lost = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(rows)), rows.labels]
        slope = (_softmax(logits) - target) * share[:, None]
        moved = values[: first.size] - begun[: first.size]
        gradient = [(slope.T @ x).ravel() + HELD * moved]
        if has_bias:
            gradient.append(slope.sum(0))
        return float(share @ lost + HELD / 2 * moved @ moved), np.concatenate(gradient)

    found = minimize(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    weight = found[: first.size].reshape(shape) / wide
    bias = None if not has_bias else found[first.size :] - weight @ middle
    kind = layer.weight.dtype
    return Linear(weight.astype(kind), None if bias is None else bias.astype(kind))


def probabilities(layer: Linear, features: NDArray[np.float32]) -> Floats:
    """Of each class (n, C)."""
    logits = features.astype(np.float64) @ layer.weight.T.astype(np.float64)
    return _softmax(logits if layer.bias is None else logits + layer.bias)


def figures(layer: Linear, rows: Rows) -> tuple[float, float]:
    """Accuracy and mean loss."""
    found = probabilities(layer, rows.features)
    own = found[np.arange(len(rows)), rows.labels]
    right = float((found.argmax(1) == rows.labels).mean())
    return right, float(-np.log(np.maximum(own, 1e-12)).mean())


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    found: Floats = shares / shares.sum(1, keepdims=True)
    return found
