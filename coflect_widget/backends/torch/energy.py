"""Where a prediction comes from, as maps that can be trained through."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _as_it_is(output: Tensor) -> Tensor:
    return output


def slopes(logits: Tensor, inputs: Tensor) -> Tensor:
    """Squared gradient of the summed log probabilities with respect to the pixels.

    The sum over all classes is that of Ross et al., 2017: a pixel that moves any class counts.

    Returns
    -------
    Tensor (B, H, W)
        Differentiable; summed over channels.
    """
    score = F.log_softmax(logits, 1).sum()
    (gradient,) = torch.autograd.grad(score, inputs, create_graph=True)
    return gradient.float().square().sum(1)


def evidence(
    logits: Tensor,
    targets: Tensor,
    output: Tensor,
    as_maps: Callable[[Tensor], Tensor] = _as_it_is,
) -> Tensor:
    """Evidence for the target class at each place: Grad-CAM, for a pooled linear head CAM.

    Parameters
    ----------
    logits : Tensor (B, classes)
    targets : Tensor (B,) or (B, classes)
    output : Tensor
        Of a layer; the very tensor that `logits` was computed from, in the layer's own layout.
        A view of it made afterwards would have no derivative.
    as_maps : callable
        Brings `output`, and anything of its shape, to (B, C, h, w).

    Returns
    -------
    Tensor (B, h, w)
        Of either sign, differentiable; the double backward reaches only what follows the layer.
    """
    labels = targets if targets.ndim == 1 else targets.argmax(1)
    score = logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, output, create_graph=True)
    weights = as_maps(gradient).float().mean((2, 3), keepdim=True)
    return (weights * as_maps(output).float()).sum(1)


def positive(evidence: Tensor, region: Tensor) -> Tensor:
    """Maps (B, h, w) as energy: without what is negative, as Grad-CAM has it.

    A map that has nothing positive inside its `region` (B, h, w) counts from its lowest value
    instead: cut off at 0, nothing would lead there.
    """
    dark = (evidence.detach().relu() * region).sum((1, 2), keepdim=True) <= 0
    lowest = evidence.detach().amin((1, 2), keepdim=True)
    return (evidence - torch.where(dark, lowest, torch.zeros_like(lowest))).relu()


def share(energy: Tensor, region: Tensor, floor: Tensor) -> Tensor:
    """Share of each map's energy that lies inside its region; a blank map has none.

    Parameters
    ----------
    energy : Tensor (B, h, w)
        Not negative.
    region : Tensor (B, h, w)
        In [0, 1].
    floor : Tensor ()
        Added to the whole, so that a map cannot win by fading.

    Returns
    -------
    Tensor (B,) in [0, 1]
    """
    return (energy * region).sum((1, 2)) / (energy.sum((1, 2)) + floor)


def effect(before: Tensor, after: Tensor) -> Tensor:
    """How much of the predictions' variance a change of the input makes.

    The total-effect index of Sobol, one term a row: 0 where the change does not matter, about 1
    on average where the prediction hangs on nothing else.

    Parameters
    ----------
    before, after : Tensor (B, classes)
        Logits of the same rows without and with the change; only differences between classes
        count.

    Returns
    -------
    Tensor (B,)
        Not negative, differentiable; larger or smaller logits all over change nothing.
    """
    before = before - before.mean(1, keepdim=True)
    after = after - after.mean(1, keepdim=True)
    both = torch.cat([before, after])
    variance = (both - both.mean(0)).square().sum(1).mean()
    return (after - before).square().sum(1) / (2 * variance + 1e-6)


def fit(region: Tensor, size: tuple[int, int]) -> Tensor:
    """Regions (B, H, W) at the size of a map: each cell gets the share of it that is covered."""
    return F.adaptive_avg_pool2d(region[:, None], size)[:, 0]


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the rows that have weight, each times its weight; 0 where none has."""
    return (values * weights).sum() / (weights > 0).sum().clamp(min=1)
