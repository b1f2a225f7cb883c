"""The guided passes: from some rows of a step to one loss term, for models of any framework."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from coflect_widget.attribution.methods import evidence
from coflect_widget.backends.differentiable import Cell, Guided, Ops
from coflect_widget.backends.layers import Layer
from coflect_widget.guidance.rows import Marked, Swapped
from coflect_widget.guidance.terms import (
    ACTIVATION_GAIN,
    BLANK,
    EFFECT_GAIN,
    ROWS_GAIN,
    SLOPE_GAIN,
)
from coflect_widget.modalities.base import Modality


class GuidedPasses:
    """Computes loss terms, each relative to what the task loss and the maps' energy were.

    Parameters
    ----------
    model : Guided
    modality : Modality
        How many of the inputs' axes are those of its extent.

    Attributes
    ----------
    layer : Layer or None
        Whose map "activation" is about.
    """

    def __init__(self, model: Guided, modality: Modality) -> None:
        self.model = model
        self._modality = modality
        self.layer: Layer | None = None
        self._task = model.cell()  # running mean of the task loss
        self._firsts = self._unknown()

    def _unknown(self) -> dict[str, Cell]:
        """What energies were at first."""
        return {name: self.model.cell() for name in ("slopes", "activation")}

    def remember(self, task_loss: Any) -> None:
        """Take the task loss () of one more step into its running mean."""
        ops, mean = self.model.ops, self._task.value
        now = ops.real(ops.detach(task_loss))
        now = ops.where(ops.isfinite(now), now, 0.0 * mean)
        self._task.assign(ops.where(mean < 0, now, 0.99 * mean + 0.01 * now))

    def restart(self) -> None:
        """Forget what the task loss was, and what the energies were at first."""
        for cell in self._cells().values():
            cell.forget()

    def _cells(self) -> dict[str, Cell]:
        return {"task": self._task, **self._firsts}

    def kept(self) -> dict[str, Any]:
        """What the task loss was, and the energies at first, for a checkpoint."""
        return {name: cell.value for name, cell in self._cells().items()}

    def take(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` gave."""
        for name, cell in self._cells().items():
            cell.assign(kept[name])

    def anew(self) -> GuidedPasses:
        """Passes of their own on the same model, with the same task loss so far."""
        other = copy.copy(self)
        other._task, other._firsts = self.model.cell(), self._unknown()
        other._task.assign(self._task.value)
        return other

    def term(self, name: str, rows: Any) -> Any:
        """The term () on `rows`, the parts of a Swapped or Marked."""
        if name == "fill":
            return self.fill(Swapped(*rows))
        if name == "activation":
            return self.activation(Marked(*rows))
        return self.slopes(Marked(*rows), inside=name == "slopes inside")

    def fill(self, pairs: Swapped) -> Any:
        """Right and the same, whatever stands in the place to be ignored."""
        ops = self.model.ops
        logits = ops.real(self.model.logits(ops.concat([pairs.original, pairs.swapped])))
        before, after = ops.halves(logits)
        each = ops.cross_entropy(after, pairs.targets)
        total = ROWS_GAIN * weighted_mean(ops, each, pairs.strength)
        gain = EFFECT_GAIN * self._reference(logits)
        before, after = (ops.beside(each, pairs.targets) for each in (before, after))
        return total + gain * weighted_mean(ops, effect(ops, before, after), pairs.strength)

    def slopes(self, rows: Marked, *, inside: bool) -> Any:
        """Of the gradient's energy, little where it is to be ignored, or most `inside`."""
        ops = self.model.ops
        energy, logits = self.energy_of_units(rows.inputs)
        first = self._at_first("slopes", energy)
        if inside:
            missed = 1 - share(ops, energy, rows.region, BLANK * first)
            gain = ACTIVATION_GAIN * self._reference(logits)
            return gain * weighted_mean(ops, missed, rows.strength)
        # Against what it was, not against what it is: a share could shrink by a steeper rest.
        found = total(ops, energy * rows.region) / first
        gain = SLOPE_GAIN * self._reference(logits)
        return gain * weighted_mean(ops, found, rows.strength)

    def activation(self, rows: Marked) -> Any:
        """Most of the class activation map's energy inside."""
        ops, layer = self.model.ops, self.layer
        assert layer is not None  # noqa: S101 - narrows the type; no such term without it
        maps, logits = self.maps(rows.inputs, rows.targets)
        region = ops.pooled(rows.region, layer.grid)
        energy = positive(ops, maps, region)
        found = share(ops, energy, region, BLANK * self._at_first("activation", energy))
        gain = ACTIVATION_GAIN * self._reference(logits)
        return gain * weighted_mean(ops, 1 - found, rows.strength)

    def energy_of_units(self, inputs: Any) -> tuple[Any, Any]:
        """Energy (B, E) of the input gradient, and the logits.

        The gradient is that of the summed log probabilities. The sum over all classes is that of
        Ross et al., 2017: a unit that moves any class counts.
        """
        ops = self.model.ops
        logits, gradient = self.model.input_gradient(
            inputs, lambda logits: ops.sum(ops.log_softmax(logits))
        )
        energy = ops.square(ops.real(self.model.in_order(gradient)))
        others = tuple(range(1, len(energy.shape) - self._modality.axes))
        return (ops.sum(energy, axis=others) if others else energy), logits

    def maps(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """Evidence (B, h, w) for the target class at each place, and the logits.

        Of either sign; the second derivative reaches only what follows the layer.
        """
        ops, layer = self.model.ops, self.layer
        assert layer is not None  # noqa: S101 - narrows the type; there is none without it
        seen: list[Any] = []

        def score(logits: Any) -> Any:
            seen.append(logits)
            return ops.sum(ops.of_classes(logits, targets))

        activation, gradient = self.model.layer_gradient(inputs, score, layer)
        return evidence(ops, ops.real(activation), ops.real(gradient)), seen[-1]

    def _at_first(self, name: str, energy: Any) -> Any:
        """What the maps' energy was at first, to compare with."""
        ops, cell = self.model.ops, self._firsts[name]
        now = ops.mean(total(ops, ops.detach(energy))) + 1e-12
        kept = cell.value
        # A batch may not be finite.
        cell.assign(ops.where(kept < 0, ops.where(ops.isfinite(now), now, kept), kept))
        return cell.value

    def _reference(self, logits: Any) -> Any:
        """The task loss before a shortcut made it small: at least that of who knows nothing."""
        ops = self.model.ops
        return ops.maximum(self._task.value, ops.ignorance(logits))


def effect(ops: Ops, before: Any, after: Any) -> Any:
    """How much of the predictions' variance a change of the input makes, (B,), not negative.

    The total-effect index of Sobol, one term a row: 0 where the change does not matter, about 1
    on average where the prediction hangs on nothing else. `before` and `after` are logits
    (B, classes) of the same rows; only differences between classes count.
    """
    before = before - ops.mean(before, axis=1, keepdims=True)
    after = after - ops.mean(after, axis=1, keepdims=True)
    both = ops.concat([before, after])
    variance = ops.mean(ops.sum(ops.square(both - ops.mean(both, axis=0)), axis=1))
    return ops.sum(ops.square(after - before), axis=1) / (2 * variance + 1e-6)


def positive(ops: Ops, maps: Any, region: Any) -> Any:
    """Maps (B, E) as energy: without what is negative, as Grad-CAM has it.

    A map that has nothing positive inside its `region` (B, E) counts from its lowest value
    instead: cut off at 0, nothing would lead there.
    """
    known = ops.detach(maps)
    dark = total(ops, ops.relu(known) * region, keepdims=True) <= 0
    lowest = ops.min(known, axis=_area(known), keepdims=True)
    return ops.relu(maps - ops.where(dark, lowest, 0 * lowest))


def total(ops: Ops, maps: Any, *, keepdims: bool = False) -> Any:
    """The sum (B,) of each map (B, E)."""
    return ops.sum(maps, axis=_area(maps), keepdims=keepdims)


def _area(maps: Any) -> tuple[int, ...]:
    """The axes of the maps (B, E)."""
    return tuple(range(1, len(maps.shape)))


def share(ops: Ops, energy: Any, region: Any, floor: Any) -> Any:
    """Share (B,) of each map's energy that lies inside its region; a blank map has none.

    Parameters
    ----------
    energy : tensor (B, E)
        Not negative.
    region : tensor (B, E)
        In [0, 1].
    floor : tensor ()
        Added to the whole, so that a map cannot win by fading.
    """
    return total(ops, energy * region) / (total(ops, energy) + floor)


def weighted_mean(ops: Ops, values: Any, weights: Any) -> Any:
    """Mean over the rows that have weight, each times its weight; 0 where none has."""
    rows = ops.sum(ops.real(weights > 0))
    return ops.sum(values * weights) / ops.maximum(rows, 1.0)
