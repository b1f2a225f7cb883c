"""Maps of inputs that are whole numbers: by what a model looks them up as.

What enters the model has a value for each unit and each of D numbers; a map is the sum over the D.
Where this file says E and D: the axes of the extent, and the numbers that a unit is looked up as.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.consensus import NOISE_BATCH, TOLERANCE, relative_error
from coflect_widget.backends.differentiable import LooksUp, Noise
from coflect_widget.modalities.base import Map, Modality

#: Steps from nothing to the input: so many as one batch of noisy copies has, twice.
STEPS = 16


def integrated(model: LooksUp, inputs: Any, target: int, modality: Modality) -> Map:
    """Integrated gradients from nothing, all zeros, to what the input is looked up as.

    M. Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017; what speaks
    against the class counts as nothing.

    Parameters
    ----------
    inputs : tensor (1, ...)
        Whole numbers.
    target : int
        Class whose logit is explained.

    Returns
    -------
    ndarray (E) float32
    """
    entered = model.entered(inputs)
    total: Any = 0.0
    for start in range(0, STEPS, NOISE_BATCH):
        shares = [(start + k + 0.5) / STEPS for k in range(NOISE_BATCH)]
        rows = model.ops.concat([entered * share for share in shares])
        total = total + _gradients(model, inputs, rows, target).sum(0, keepdims=True)
    return _positive(model, total / STEPS, entered, inputs, modality)


def smoothgrad(
    model: LooksUp,
    inputs: Any,
    target: int,
    samples: int,
    noise: Noise,
    sigma: float,
    modality: Modality,
    tolerance: float = TOLERANCE,
) -> tuple[Map, int]:
    """Mean gradient over noisy copies of what the input is looked up as, times that.

    Parameters as of `methods.smoothgrad`; `sigma` is a share of the range of what enters.

    Returns
    -------
    map : ndarray (E) float32
        What speaks against the class counts as nothing.
    used : int
        Noisy copies that it took.
    """
    entered = model.entered(inputs)
    values = model.ops.numpy(entered)
    spread = sigma * float(values.max() - values.min())
    shape = tuple(entered.shape[1:])
    found: list[NDArray[np.float32]] = []
    used = 0
    while used < samples:
        count = min(NOISE_BATCH, samples - used)
        gradients = _gradients(model, inputs, entered + noise((count, *shape), spread), target)
        found.append((gradients * values).sum(-1))
        used += count
        done = tolerance > 0 and used < samples
        if done and relative_error(np.concatenate(found)) < tolerance:
            break
    mean = np.concatenate(found).mean(0, keepdims=True)
    return _units(mean, model, inputs, modality), used


def _gradients(model: LooksUp, inputs: Any, rows: Any, target: int) -> NDArray[np.float32]:
    """(n, E, D) of rows (n, E, D)."""
    ops = model.ops
    _, gradient = model.entry_gradient(inputs, rows, lambda logits: ops.sum(logits[:, target]))
    return ops.numpy(gradient)


def _positive(model: LooksUp, gradient: Any, entered: Any, inputs: Any, modality: Modality) -> Map:
    values = (gradient * model.ops.numpy(entered)).sum(-1)
    return _units(values, model, inputs, modality)


def _units(values: Any, model: LooksUp, inputs: Any, modality: Modality) -> Map:
    """Values (1, ...) of either sign as a map (E)."""
    kept = np.maximum(values, 0).astype(np.float32)
    found: Map = np.asarray(modality.to_units(kept, np.asarray(model.chw(inputs))), np.float32)[0]
    return found
