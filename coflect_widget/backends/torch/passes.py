"""The guided passes: from some rows of a step to one loss term, differentiable.

A pass leaves no trace in the model: neither in the statistics of normalisation layers, nor in the
random state, nor in hooks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from coflect_widget.backends.torch.energy import (
    effect,
    evidence,
    fit,
    positive,
    share,
    slopes,
    weighted_mean,
)
from coflect_widget.backends.torch.layers import Layer
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.backends.torch.quiet import quiet, tapped
from coflect_widget.guidance.rows import Marked, Swapped
from coflect_widget.guidance.terms import (
    ACTIVATION_GAIN,
    BLANK,
    EFFECT_GAIN,
    ROWS_GAIN,
    SLOPE_GAIN,
)


class GuidedPasses:
    """Computes loss terms, each relative to what the task loss and the maps' energy were.

    Parameters
    ----------
    model : torch.nn.Module
        Classifier that maps (B, C, H, W) to logits (B, classes).
    device : torch.device

    Attributes
    ----------
    layer : Layer or None
        Whose map "activation" is about.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.model = model
        self.layer: Layer | None = None
        self._device = device
        self._task: Tensor | None = None  # () running mean of the task loss
        self._first: dict[str, Tensor] = {}

    def remember(self, task_loss: Tensor) -> None:
        """Take the task loss () of one more step into its running mean."""
        now = task_loss.detach().float()
        now = torch.where(torch.isfinite(now), now, torch.zeros_like(now))
        self._task = now if self._task is None else 0.99 * self._task + 0.01 * now

    def restart(self) -> None:
        """Forget what the task loss was, and what the energies were at first."""
        self._first, self._task = {}, None

    def kept(self) -> dict[str, Any]:
        """What the task loss was, and the energies at first."""
        return {"task": self._task, "first": dict(self._first)}

    def take(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` gave."""
        task = kept["task"]
        self._task = None if task is None else task.to(self._device)
        self._first = {name: one.to(self._device) for name, one in kept["first"].items()}

    def anew(self) -> GuidedPasses:
        """Passes of their own on the same model, with the same task loss so far."""
        other = copy.copy(self)
        other._first = {}
        return other

    def fill(self, pairs: Swapped) -> Tensor:
        """Right and the same, whatever stands in the place to be ignored."""
        count = len(pairs.targets)
        with quiet(self.model, self._device):
            output = self.model(torch.cat([pairs.original, pairs.swapped]))
            logits = logits_of(output, self.model).float()
        before, after = logits[:count], logits[count:]
        each = F.cross_entropy(after, pairs.targets, reduction="none")
        total = ROWS_GAIN * weighted_mean(each, pairs.strength)
        hangs_on = effect(before, after)
        gain = EFFECT_GAIN * self._reference(logits.shape[1])
        return total + gain * weighted_mean(hangs_on, pairs.strength)

    def slopes(self, rows: Marked, *, inside: bool) -> Tensor:
        """Of the gradient's energy, little where it is to be ignored, or most `inside`."""
        energy, classes = self.energy_of_pixels(rows.inputs)
        first = self._at_first("slopes", energy)
        if inside:
            missed = 1 - share(energy, rows.region, BLANK * first)
            gain = ACTIVATION_GAIN * self._reference(classes)
            return gain * weighted_mean(missed, rows.strength)
        # Against what it was, not against what it is: a share could shrink by a steeper rest.
        found = (energy * rows.region).sum((1, 2)) / first
        return SLOPE_GAIN * self._reference(classes) * weighted_mean(found, rows.strength)

    def activation(self, rows: Marked) -> Tensor:
        """Most of the class activation map's energy inside."""
        maps, classes = self.maps(rows.inputs, rows.targets)
        region = fit(rows.region, (int(maps.shape[1]), int(maps.shape[2])))
        energy = positive(maps, region)
        found = share(energy, region, BLANK * self._at_first("activation", energy))
        gain = ACTIVATION_GAIN * self._reference(classes)
        return gain * weighted_mean(1 - found, rows.strength)

    def energy_of_pixels(self, inputs: Tensor) -> tuple[Tensor, int]:
        """Energy (B, H, W) of the input gradient, differentiable, and how many classes there are.

        `inputs`, a leaf, is made to require a gradient.
        """
        x = inputs.requires_grad_()
        with quiet(self.model, self._device), sdpa_kernel(SDPBackend.MATH):
            logits = logits_of(self.model(x), self.model).float()
        return slopes(logits, x), logits.shape[1]

    def maps(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        """Class activation maps (B, h, w) of either sign, and how many classes there are."""
        layer = self.layer
        assert layer is not None  # noqa: S101 - narrows the type; no such term without it
        # Attention behind the layer is differentiated twice, which its fast forms do not offer.
        with (
            quiet(self.model, self._device),
            tapped(self.model, layer.name) as outputs,
            sdpa_kernel(SDPBackend.MATH),
        ):
            logits = logits_of(self.model(inputs), self.model).float()
        return evidence(logits, targets, outputs[-1], layer.maps), logits.shape[1]

    def _at_first(self, name: str, energy: Tensor) -> Tensor:
        """What the maps' energy was at first, to compare with."""
        now = energy.detach().sum((1, 2)).mean() + 1e-12
        kept = self._first.get(name, now)
        self._first[name] = torch.where(kept.isfinite(), kept, now)  # a batch may not be finite
        return self._first[name]

    def _reference(self, classes: int) -> Tensor:
        """The task loss before a shortcut made it small: at least log(classes)."""
        assert self._task is not None  # noqa: S101 - narrows the type; each step is remembered
        return self._task.clamp(min=math.log(max(classes, 2)))
