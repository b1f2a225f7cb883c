"""Strokes as loss terms for PyTorch models.

Every few steps a small second pass sees some rows again. What is to be ignored is swapped there
with the same place of another picture, and the prediction shall stay the same and right
(counterfactual fill, in the spirit of Plumb et al., "Finding and Fixing Spurious Patterns with
Explanations", 2022; what is penalised is the total-effect index of Sobol, 1993: the share of
the prediction's variance that hangs on the place). Or the gradient of the prediction with
respect to those pixels is penalised (Ross, Hughes and Doshi-Velez, "Right for the Right
Reasons", 2017). What is to be looked at shall hold the energy of the class activation map (Rao
et al., "Studying How to Efficiently and Effectively Guide Models with Explanations", 2023).
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from coflect_widget.attribution.torch_layers import Layer, find_layer
from coflect_widget.backends.torch_outputs import logits_of
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.plan import Plan, ReadRows, make_plan
from coflect_widget.guidance.rows import Marked, RowChooser, Swapped
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.terms import (
    ACTIVATION_GAIN,
    BLANK,
    EFFECT_GAIN,
    REFRESH,
    ROWS_GAIN,
    SLOPE_GAIN,
    choose,
    turn,
)
from coflect_widget.guidance.torch_energy import (
    activation,
    effect,
    fit,
    share,
    slopes,
    weighted_mean,
)
from coflect_widget.guidance.torch_plan import on_device
from coflect_widget.guidance.torch_quiet import (
    held_statistics,
    quiet,
    refresh_statistics,
    tapped,
)


class TorchGuidance:
    """Turns the guidance in force into a loss term.

    Parameters
    ----------
    model : torch.nn.Module
        Classifier that maps (B, C, H, W) to logits (B, classes).
    read_rows : callable
        Indices -> inputs (n, C, H, W) and labels (n,) on the model's device.
    image_size : (int, int)
        H and W of the inputs.
    config : GuidanceConfig
    seed : int
        Decides which rows are guided and with whom they are swapped.
    device : str or torch.device

    Attributes
    ----------
    active : bool
        Whether `loss` has anything to add; costs nothing to ask.
    warnings : list of str
        What could not be done as asked, each said once.
    """

    def __init__(
        self,
        model: nn.Module,
        read_rows: ReadRows,
        image_size: tuple[int, int],
        config: GuidanceConfig,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.model = model
        self.active = False
        self.warnings: list[str] = []
        self._read_rows = read_rows
        self._image_size = image_size
        self._config = config
        self._device = torch.device(device)
        self._rows = RowChooser(seed)
        self._plan: Plan[Tensor] | None = None
        self._terms: list[str] = []
        self._steps = self._held = 0  # since the state was set
        self._layer: Layer | None = None
        self._layer_known = False
        self._task: Tensor | None = None  # () running mean of the task loss
        self._floors: dict[str, Tensor] = {}

    # --- taking orders -----------------------------------------------------------------------

    def set_state(self, state: GuidanceState) -> str:
        """Use `state` from the next step on.

        Returns
        -------
        str
            The loss terms it becomes, for a person, with what could not be done as asked; ""
            where nothing is in force.
        """
        known = len(self.warnings)
        chosen = choose(
            make_plan(state, self._read_rows, self._image_size),
            self._config,
            self._find_layer,
            self._twice_differentiable,
            self._warn,
        )
        self._rows.restart()  # what follows depends on `state` alone
        self._floors, self._task, self._steps, self._held = {}, None, 0, 0
        self._plan = None if chosen.plan is None else on_device(chosen.plan, self._device)
        self._terms = chosen.terms
        self.active = bool(chosen.terms)
        said = self.warnings[known:]
        return ", ".join(chosen.words) + (f" ({'; '.join(said)})" if said else "")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _find_layer(self) -> str | None:
        """The layer whose map is guided; found once, on a copy, so that the model stays as is."""
        if not self._layer_known:
            self._layer_known = True
            shape = tuple(self._read_rows([0])[0].shape[1:])
            try:
                self._layer = find_layer(copy.deepcopy(self.model).cpu().eval(), shape)
            except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
                self._warn(f"look: no class activation map ({error})")
        return None if self._layer is None else self._layer.name

    def _twice_differentiable(self) -> bool:
        x = self._read_rows([0, 0])[0]  # two, for models that normalise by the batch
        try:
            with torch.enable_grad(), quiet(self.model, self._device), sdpa_kernel(SDPBackend.MATH):
                x = x.clone().requires_grad_()
                parameters = [p for p in self.model.parameters() if p.requires_grad]
                energy = slopes(logits_of(self.model(x)), x).sum()
                found = torch.autograd.grad(energy, parameters, allow_unused=True)
        except RuntimeError:
            return False
        # some functions do not refuse, they only cut the gradient off
        return any(gradient is not None for gradient in found)

    # --- one step ----------------------------------------------------------------------------

    def exchange(self, inputs: Tensor, targets: Tensor, indices: Tensor | None = None) -> Tensor:
        """The batch to train on: what is to be ignored everywhere is exchanged among its rows.

        So nothing is left to gain from it, at no cost in time. Call the model on what comes back
        within `hold`, and then `loss` with ``exchanged=True``.

        Parameters
        ----------
        inputs, targets, indices
            As for `loss`.

        Returns
        -------
        Tensor (B, C, H, W)
            `inputs` itself where there is nothing to exchange.
        """
        plan = self._plan
        if plan is None or "fill" not in self._terms or not plan.reaches_others:
            return inputs
        if len(inputs) < 2:
            return inputs
        with torch.no_grad():
            seen: Tensor = self._rows.counterfactual(plan, inputs, targets, indices)
            return seen

    @contextlib.contextmanager
    def hold(self, inputs: Tensor) -> Iterator[None]:
        """Keep exchanged rows out of the running statistics; show them `inputs` now and then."""
        with held_statistics(self.model) as has_statistics:
            yield
        self._held += 1
        if has_statistics and self._held % REFRESH == 0:
            refresh_statistics(self.model, inputs, REFRESH)

    def loss(
        self,
        inputs: Tensor,
        targets: Tensor,
        task_loss: Tensor,
        indices: Tensor | None = None,
        *,
        exchanged: bool = False,
    ) -> Tensor | None:
        """The term to add to the task loss of this step.

        Called in train mode, after the main forward pass. Neither the statistics of
        normalisation layers nor the global random state change, and no hook stays.

        Parameters
        ----------
        inputs : Tensor (B, C, H, W)
        targets : Tensor (B,) of int or (B, classes) of probabilities
        task_loss : Tensor ()
            Detached; the strength is relative to what it was before any shortcut was found.
        indices : Tensor (B,) of int64, optional
            Places of the rows in the training data, for artefacts that were found there.
        exchanged : bool
            The task loss is that of an exchanged batch already.

        Returns
        -------
        Tensor () or None
            None where nothing is in force, and in the steps between two guided ones.
        """
        plan = self._plan
        if not self.active or plan is None:
            return None
        self._remember(task_loss)
        now = turn(
            self._terms,
            self._steps,
            len(inputs),
            self._config.replay_share,
            exchanged=exchanged,
            found_all=plan.found_all,
        )
        self._steps += 1
        if now is None:
            return None
        if now.term == "fill":
            with torch.no_grad():
                pairs = self._rows.swapped(plan, inputs, targets, indices, now.rows)
            return None if pairs is None else now.gain * self._fill(pairs)
        kind = "ignore" if now.term == "slopes" else "look"
        with torch.no_grad():
            rows = self._rows.marked(plan, kind, inputs, targets, now.rows)
        if rows is None:
            return None
        if now.term == "activation":
            return now.gain * self._activation(rows)
        return now.gain * self._slopes(rows, inside=now.term == "slopes inside")

    def _fill(self, pairs: Swapped) -> Tensor:
        """Right and the same, whatever stands in the place to be ignored."""
        count = len(pairs.targets)
        with quiet(self.model, self._device):
            logits = logits_of(self.model(torch.cat([pairs.original, pairs.swapped]))).float()
        before, after = logits[:count], logits[count:]
        each = F.cross_entropy(after, pairs.targets, reduction="none")
        total = ROWS_GAIN * weighted_mean(each, pairs.strength)
        hangs_on = effect(before, after)
        gain = EFFECT_GAIN * self._reference(logits)
        return total + gain * weighted_mean(hangs_on, pairs.strength)

    def _slopes(self, rows: Marked, *, inside: bool) -> Tensor:
        """Of the gradient's energy, little where it is to be ignored, or most `inside`."""
        x = rows.inputs.requires_grad_()
        with quiet(self.model, self._device), sdpa_kernel(SDPBackend.MATH):
            logits = logits_of(self.model(x)).float()
        energy = slopes(logits, x)
        first = self._first("slopes", energy)
        if inside:
            missed = 1 - share(energy, rows.region, BLANK * first)
            gain = ACTIVATION_GAIN * self._reference(logits)
            return gain * weighted_mean(missed, rows.strength)
        # Against what it was, not against what it is: a share could shrink by a steeper rest.
        found = (energy * rows.region).sum((1, 2)) / first
        return SLOPE_GAIN * self._reference(logits) * weighted_mean(found, rows.strength)

    def _activation(self, rows: Marked) -> Tensor:
        """Most of the class activation map's energy inside."""
        layer = self._layer
        assert layer is not None  # noqa: S101 - narrows the type; no such term without it
        with quiet(self.model, self._device), tapped(self.model, layer.name) as outputs:
            logits = logits_of(self.model(rows.inputs)).float()
        energy = activation(logits, rows.targets, layer.maps(outputs[-1]))
        region = fit(rows.region, layer.grid)
        found = share(energy, region, BLANK * self._first("activation", energy))
        gain = ACTIVATION_GAIN * self._reference(logits)
        return gain * weighted_mean(1 - found, rows.strength)

    def _first(self, name: str, energy: Tensor) -> Tensor:
        """What the maps' energy was at first, to compare with."""
        if name not in self._floors:
            self._floors[name] = energy.detach().sum((1, 2)).mean() + 1e-12
        return self._floors[name]

    def _remember(self, task_loss: Tensor) -> None:
        now = task_loss.detach().float()
        now = torch.where(torch.isfinite(now), now, torch.zeros_like(now))
        self._task = now if self._task is None else 0.99 * self._task + 0.01 * now

    def _reference(self, logits: Tensor) -> Tensor:
        """The task loss before a shortcut made it small: at least log(classes)."""
        assert self._task is not None  # noqa: S101 - narrows the type; `loss` has set it
        return self._task.clamp(min=math.log(max(logits.shape[1], 2)))
