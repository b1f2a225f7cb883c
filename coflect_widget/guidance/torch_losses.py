"""Strokes as loss terms for PyTorch models.

In each guided step a small second pass sees the annotated samples and some ordinary rows of
the batch. What is to be ignored is swapped there with the same place of another picture, so
that it says nothing about the class any more (counterfactual fill, in the spirit of Plumb et
al., "Finding and Fixing Spurious Patterns with Explanations", 2022), or the gradient of the
prediction with respect to those pixels is penalised (Ross, Hughes and Doshi-Velez, "Right for
the Right Reasons", 2017). What is to be looked at shall hold the energy of the class activation
map (Rao et al., "Studying How to Efficiently and Effectively Guide Models with Explanations",
2023).
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from coflect_widget.attribution.torch_layers import Layer, find_layer
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.roi import BoolArray
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, masks, mirrored
from coflect_widget.guidance.torch_energy import activation, fit, share, slopes, weighted_mean
from coflect_widget.guidance.torch_quiet import quiet, tapped

#: What a person is told of the fill: it reaches further than the sample drawn on.
FILL = "fill, at like places of other samples too"
#: Weight of the guided rows' classification at strength 1, as a multiple of the task loss.
ROWS_GAIN = 10.0
#: Weight of the shares of energy at strength 1, as a multiple of the task loss's reference.
ENERGY_GAIN = 10.0
#: Of the guided rows, the share that annotated samples may take where ordinary rows help too.
ANNOTATED_SHARE = 1 / 16
#: Share of the picture up to which all ignored places are swapped at once.
WIDEST_FILL = 0.5
#: Share of a map's first energy that a later map must exceed to count as not blank.
BLANK = 0.1

ReadRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A GuidanceState as tensors on the device; A annotated samples, K places to ignore."""

    inputs: Tensor  # (A, C, H, W)
    targets: Tensor  # (A,)
    look: Tensor  # (A, H, W) of bool
    ignore: Tensor  # (A, H, W) of bool
    look_strength: Tensor  # (A,)
    ignore_strength: Tensor  # (A,)
    places: Tensor  # (K, H, W) of bool: what is swapped in ordinary rows
    places_strength: float
    look_everywhere: Tensor  # (H, W) of bool
    look_everywhere_strength: float
    ignore_everywhere: Tensor  # (H, W) of bool
    ignore_everywhere_strength: float

    @property
    def looks(self) -> bool:
        return bool((self.look_strength > 0).any()) or self.look_everywhere_strength > 0

    @property
    def ignores(self) -> bool:
        return bool((self.ignore_strength > 0).any()) or self.ignore_everywhere_strength > 0


@dataclass(frozen=True, slots=True)
class _Rows:
    """The n rows of one guided pass: annotated ones first."""

    inputs: Tensor  # (n, C, H, W)
    targets: Tensor  # (n,) or (n, classes)
    weight: Tensor  # (n,) strength of the classification of this row
    look: Tensor  # (n, H, W)
    look_strength: Tensor  # (n,)
    ignore: Tensor  # (n, H, W)
    ignore_strength: Tensor  # (n,)


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
        self._seed = seed
        self._device = torch.device(device)
        self._generator = torch.Generator()  # its own, so that guidance moves no other numbers
        self._plan: _Plan | None = None
        self._ignore_loss = "fill"
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
        strokes = [stroke for stroke in state.strokes if stroke.strength > 0]
        plan = self._make_plan(strokes) if strokes else None
        known = len(self.warnings)
        terms: list[str] = []
        ignore_loss = self._config.ignore_loss or "fill"
        if plan is not None and plan.ignores:
            if ignore_loss == "input_gradient" and not self._twice_differentiable():
                ignore_loss = "fill"
                self._warn("no second derivative for the input gradient, fill used instead")
            terms.append(FILL if ignore_loss == "fill" else "input gradient")
        if plan is not None and plan.looks:
            self._find_layer()
            if self._layer is not None:
                terms.append(f"class activation at {self._layer.name}")
            elif self._twice_differentiable():
                terms.append("input gradient inside")
            else:
                plan, ignore_loss = _look_as_ignore(plan), "fill"
                terms.append("fill outside")
                self._warn("neither map nor second derivative for look, fill outside it instead")
        self._generator.manual_seed(self._seed)  # what follows depends on `state` alone
        self._floors, self._task = {}, None
        self._plan, self._ignore_loss = plan, ignore_loss
        self.active = bool(terms)
        said = self.warnings[known:]
        return ", ".join(terms) + (f" ({'; '.join(said)})" if said else "")

    def _make_plan(self, strokes: list[ActiveStroke]) -> _Plan:
        height, width = self._image_size
        samples = list(dict.fromkeys(s.sample for s in strokes if s.sample is not None))
        own = [masks([s for s in strokes if s.sample in (None, k)], height, width) for k in samples]
        general = masks([s for s in strokes if s.sample is None], height, width)
        places: dict[bytes, BoolArray] = {}
        for drawn in own:
            # an artefact in one corner of this picture may be in another corner of the next
            for place in mirrored(drawn.ignore):
                places.setdefault(place.tobytes(), place & ~general.look)
        places.setdefault(general.ignore.tobytes(), general.ignore)
        found = [place for place in places.values() if place.any()]

        def stack(values: list[BoolArray]) -> Tensor:
            array = np.array(values, dtype=np.bool_).reshape(-1, height, width)
            return torch.from_numpy(array).to(self._device)

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=self._device)

        # without a sample of their own, any one tells shape and type
        inputs, targets = self._read_rows(samples or [0])
        kept = len(samples)
        return _Plan(
            inputs=inputs.detach()[:kept],
            targets=targets[:kept],
            look=stack([m.look for m in own]),
            ignore=stack([m.ignore for m in own]),
            look_strength=column([m.look_strength for m in own]),
            ignore_strength=column([m.ignore_strength for m in own]),
            places=stack(found),
            places_strength=max(m.ignore_strength for m in (*own, general)),
            look_everywhere=stack([general.look])[0],
            look_everywhere_strength=general.look_strength,
            ignore_everywhere=stack([general.ignore])[0],
            ignore_everywhere_strength=general.ignore_strength,
        )

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _find_layer(self) -> None:
        """The layer whose map is guided; found once, on a copy, so that the model stays as is."""
        if self._layer_known:
            return
        self._layer_known = True
        shape = tuple(self._read_rows([0])[0].shape[1:])
        try:
            self._layer = find_layer(copy.deepcopy(self.model).cpu().eval(), shape)
        except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
            self._layer = None
            self._warn(f"look: no class activation map ({error})")

    def _twice_differentiable(self) -> bool:
        x = self._read_rows([0, 0])[0]  # two, for models that normalise by the batch
        try:
            with torch.enable_grad(), quiet(self.model, self._device), sdpa_kernel(SDPBackend.MATH):
                x = x.clone().requires_grad_()
                parameters = [p for p in self.model.parameters() if p.requires_grad]
                energy = slopes(self.model(x), x).sum()
                found = torch.autograd.grad(energy, parameters, allow_unused=True)
        except RuntimeError:
            return False
        # some functions do not refuse, they only cut the gradient off
        return any(gradient is not None for gradient in found)

    # --- one step ----------------------------------------------------------------------------

    def loss(self, inputs: Tensor, targets: Tensor, task_loss: Tensor) -> Tensor | None:
        """The term to add to the task loss of this step.

        Called in train mode, after the main forward pass. Neither the statistics of
        normalisation layers nor the global random state change, and no hook stays.

        Parameters
        ----------
        inputs : Tensor (B, C, H, W)
        targets : Tensor (B,) of int or (B, classes) of probabilities
        task_loss : Tensor ()
            Detached; the strength is relative to what it was before any shortcut was found.

        Returns
        -------
        Tensor () or None
            None where nothing is in force.
        """
        plan = self._plan
        if not self.active or plan is None:
            return None
        with torch.no_grad():
            rows = self._choose(plan, inputs, targets)
        penalise = plan.ignores and self._ignore_loss == "input_gradient"
        through_pixels = penalise or (plan.looks and self._layer is None)
        attention = sdpa_kernel(SDPBackend.MATH) if through_pixels else contextlib.nullcontext()
        layer = self._layer.name if plan.looks and self._layer is not None else None
        x = rows.inputs.requires_grad_(through_pixels)
        with quiet(self.model, self._device), tapped(self.model, layer) as outputs, attention:
            logits = self.model(x).float()
        each = F.cross_entropy(logits, rows.targets, reduction="none")
        total = ROWS_GAIN * (each * rows.weight).mean()
        reference = ENERGY_GAIN * self._reference(task_loss, logits.shape[1])
        if through_pixels:
            pixels = slopes(logits, x)
        if penalise:
            inside = share(pixels, rows.ignore, self._floor("ignore", pixels))
            total = total + reference * weighted_mean(inside, rows.ignore_strength)
        if plan.looks:
            if self._layer is not None:
                energy = activation(logits, rows.targets, self._layer.maps(outputs[-1]))
                region = fit(rows.look, self._layer.grid)
            else:
                energy, region = pixels, rows.look
            inside = share(energy, region, self._floor("look", energy))
            total = total + reference * weighted_mean(1 - inside, rows.look_strength)
        return total

    def _choose(self, plan: _Plan, inputs: Tensor, targets: Tensor) -> _Rows:
        """Annotated samples and ordinary rows, with what is to be ignored swapped."""
        batch = len(inputs)
        wanted = max(1, round(self._config.replay_share * batch))
        fills = plan.ignores and self._ignore_loss == "fill"
        everywhere = max(plan.look_everywhere_strength, plan.ignore_everywhere_strength)
        helped = (fills and len(plan.places) > 0) or everywhere > 0
        annotated = len(plan.inputs)
        if helped:
            annotated = min(annotated, max(1, round(ANNOTATED_SHARE * wanted)))
        a = self._some(len(plan.inputs), min(annotated, wanted))
        o = self._some(batch, wanted - len(a) if helped else 0)

        def both(own: Tensor, ordinary: Tensor | float) -> Tensor:
            rest = torch.as_tensor(ordinary, dtype=own.dtype, device=own.device)
            return torch.cat([own[a], rest.expand(len(o), *own.shape[1:])])

        own_targets = plan.targets
        if targets.ndim == 2:  # probabilities
            own_targets = F.one_hot(own_targets, targets.shape[1])
        x = torch.cat([plan.inputs[a].to(inputs.dtype), inputs[o]])
        y = torch.cat([own_targets[a].to(targets.dtype), targets[o]])
        ignore = both(plan.ignore, plan.ignore_everywhere)
        if fills:
            places = self._places(plan, len(o))
            swap = torch.cat([plan.ignore[a], places])[:, None]
            x = torch.where(swap, self._donors(inputs, a, o), x)
        ordinary = max(plan.places_strength if fills else 0.0, everywhere)
        return _Rows(
            inputs=x,
            targets=y,
            weight=both(torch.maximum(plan.look_strength, plan.ignore_strength), ordinary),
            look=both(plan.look, plan.look_everywhere).float(),
            look_strength=both(plan.look_strength, plan.look_everywhere_strength),
            ignore=ignore.float(),
            ignore_strength=both(plan.ignore_strength, plan.ignore_everywhere_strength),
        )

    def _some(self, count: int, wanted: int) -> Tensor:
        """`wanted` different numbers below `count`, at random."""
        return torch.randperm(count, generator=self._generator)[:wanted].to(self._device)

    def _places(self, plan: _Plan, count: int) -> Tensor:
        """Where each of `count` ordinary rows is swapped (count, H, W): all places, or one each.

        All at once would leave too little to see where much is to be ignored.
        """
        if len(plan.places) == 0:
            return plan.ignore_everywhere.expand(count, -1, -1)
        union = plan.places.any(0)
        if float(union.float().mean()) <= WIDEST_FILL:
            return union.expand(count, -1, -1)
        drawn = torch.randint(len(plan.places), (count,), generator=self._generator)
        return plan.places[drawn.to(self._device)]

    def _donors(self, inputs: Tensor, a: Tensor, o: Tensor) -> Tensor:
        """For each guided row another picture of the batch; plain values where there is none."""
        batch, count = len(inputs), len(a) + len(o)
        if batch == 1:
            shape = (count, inputs.shape[1], 1, 1)
            values = torch.rand(shape, generator=self._generator).to(inputs)
            low, high = inputs.amin(), inputs.amax()
            return (low + (high - low) * values).expand(-1, -1, *inputs.shape[2:])
        start = torch.cat([torch.zeros_like(a), o])
        shift = torch.randint(1, batch, (count,), generator=self._generator).to(self._device)
        return inputs[(start + shift) % batch]

    def _floor(self, name: str, energy: Tensor) -> Tensor:
        """What a map's energy is compared with: a share of what it was at first."""
        if name not in self._floors:
            self._floors[name] = BLANK * energy.detach().sum((1, 2)).mean() + 1e-12
        return self._floors[name]

    def _reference(self, task_loss: Tensor, classes: int) -> Tensor:
        """Size of the task loss before a shortcut made it small: at least log(classes)."""
        now = task_loss.detach().float()
        now = torch.where(torch.isfinite(now), now, torch.zeros_like(now))
        before = now if self._task is None else self._task
        self._task = 0.99 * before + 0.01 * now
        return self._task.clamp(min=math.log(max(classes, 2)))


def _look_as_ignore(plan: _Plan) -> _Plan:
    """Looking at a region, said as ignoring all the rest of those samples."""
    looked = plan.look_strength > 0
    everywhere = ~plan.look_everywhere if plan.look_everywhere_strength > 0 else None
    return replace(
        plan,
        ignore=torch.where(looked[:, None, None], ~plan.look, plan.ignore),
        ignore_strength=torch.maximum(plan.look_strength, plan.ignore_strength),
        look_strength=torch.zeros_like(plan.look_strength),
        look_everywhere_strength=0.0,
        places=plan.places if everywhere is None else everywhere[None],
        places_strength=max(plan.places_strength, plan.look_everywhere_strength),
        ignore_everywhere=plan.ignore_everywhere if everywhere is None else everywhere,
        ignore_everywhere_strength=max(
            plan.ignore_everywhere_strength, plan.look_everywhere_strength
        ),
    )
