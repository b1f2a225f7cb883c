"""Strokes as loss terms, for models of any framework.

Every few steps a small second pass sees some rows again. What is to be ignored is swapped there
with the same place of another picture, and the prediction shall stay the same and right
(counterfactual fill, in the spirit of Plumb et al., "Finding and Fixing Spurious Patterns with
Explanations", 2022; what is penalised is the total-effect index of Sobol, 1993: the share of
the prediction's variance that hangs on the place). Or the gradient of the prediction with
respect to those pixels is penalised (Ross, Hughes and Doshi-Velez, "Right for the Right
Reasons", 2017). What is to be looked at shall hold the energy of the class activation map (Rao
et al., "Studying How to Efficiently and Effectively Guide Models with Explanations", 2023).

A step has two halves. `prepare` decides which rows it sees, outside any compiled code; `term`
computes on them, within it where a framework compiles its steps. No step fails by it: a term that
raises or is not finite is out of force from then on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

from coflect_widget.backends.differentiable import Checked, Guided
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.in_force import InForce
from coflect_widget.guidance.passes import GuidedPasses
from coflect_widget.guidance.placed import PlacedRows
from coflect_widget.guidance.plan import Plan, look_as_ignore, make_plan, mapped
from coflect_widget.guidance.rows import Marked, RowChooser, Swapped
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.terms import (
    NORMALISED_ROWS,
    OUTSIDE,
    REFRESH,
    Turn,
    choose,
    turn,
)
from coflect_widget.modalities.base import Modality


class _Batch(NamedTuple):
    inputs: Any  # (B, ...)
    targets: Any  # (B,) or (B, classes)
    indices: Any | None  # (B,)


class Prepared(NamedTuple):
    """What one step of a training is to do.

    Attributes
    ----------
    inputs : array (B, ...)
        The batch to train on, as the model takes it.
    targets : array (B, ...)
        Its targets: another's where what they are about was exchanged.
    exchanged : bool
        Whether it is another than what came; its statistics shall not be kept then.
    now : Turn or None
        The term, what it is multiplied with and on how many rows; None between guided steps.
    rows : Swapped, Marked or None
        What the term is computed on; inputs as the model takes them.
    batch : tuple
        What came.
    """

    inputs: Any
    targets: Any
    exchanged: bool = False
    now: Turn | None = None
    rows: Swapped | Marked | None = None
    batch: _Batch | None = None


class GuidanceLosses(InForce):
    """Turns the guidance in force into a loss term.

    Parameters
    ----------
    model : Guided
        The classifier that is trained.
    modality : Modality
        What an input is.
    config : GuidanceConfig
    seed : int
        Decides which rows are guided and with whom they are swapped.
    """

    def __init__(
        self, model: Guided, modality: Modality, config: GuidanceConfig, seed: int = 0
    ) -> None:
        super().__init__()
        self.model = model
        self._read_rows = model.read_rows
        self._modality = modality
        self._config = config
        self._seed = seed
        self._rows = self._chooser()
        self._passes = GuidedPasses(model, modality)
        self._plan: Plan[Any] | None = None
        self._terms: list[str] = []
        self._steps = self._held = 0  # since the state was set
        self._layer_known = False
        self._twice: bool | None = None  # whether the input gradient has a derivative
        self._raised: Exception | None = None  # while the newest term was computed or traced
        #: verdicts on their way from a device
        self._sent: list[tuple[Callable[[], bool | None], Prepared]] = []

    def _chooser(self) -> RowChooser:
        return (PlacedRows if self.model.placed else RowChooser)(self._seed, self._modality)

    # --- taking orders -------------------------------------------------------------------------

    def set_state(self, state: GuidanceState) -> str:
        """See `InForce.set_state`."""
        known = len(self.warnings)
        plan = make_plan(state, self._read_rows, self._modality)
        looks = [] if plan is None else [plan.look, plan.general.look]
        told = all(self._modality.told_by_layers(masks) for masks in looks)
        filled = False
        if plan is not None and plan.looks and self.model.placed:
            # what a place is shall be told by itself
            plan, filled = look_as_ignore(plan, self._modality.rest), True
        chosen = choose(
            plan,
            self._config,
            self._find_layer if told else lambda: None,
            self._twice_differentiable,
            self._warn,
            self._modality.rest,
        )
        self._state, self._fills_outside = state, filled or OUTSIDE in chosen.words
        self._rows.restart()  # what follows depends on `state` alone
        self._passes.restart()
        self._steps = self._held = 0
        self._sent = []
        self._plan = None if chosen.plan is None else mapped(chosen.plan, self.model.tensors)
        self._terms = chosen.terms
        self.active = bool(chosen.terms)
        said = self.warnings[known:]
        return ", ".join(chosen.words) + (f" ({'; '.join(said)})" if said else "")

    def kept(self) -> dict[str, Any]:
        """See `InForce.kept`; tensors are not copied."""
        plan = self._plan
        return {
            "rows": self._rows.kept(),
            "steps": self._steps,
            "held": self._held,
            "passes": self._passes.kept(),
            "model": self.model.kept(),
            "plan": None
            if plan is None or not len(plan.samples)
            else {
                "samples": [int(index) for index in plan.samples],
                "inputs": plan.inputs,
                "labels": plan.labels,
            },
        }

    def _take(self, kept: Mapping[str, Any]) -> None:
        self._rows.take(kept["rows"])
        self._steps, self._held = kept["steps"], kept["held"]
        self._passes.take(kept["passes"])
        self.model.take(kept["model"])

    def _nothing_in_force(self) -> None:
        self._plan, self._terms = None, []

    def _find_layer(self) -> str | None:
        """Name of the layer whose map is guided; found once."""
        if self._modality.layers and not self._layer_known:
            self._layer_known = True
            try:
                shape = tuple(self._read_rows([0])[0].shape[1:])
                self._passes.layer = self.model.find_layer(shape)
                self._rehearse_map()
            except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
                self._passes.layer = None
                self._warn(f"look: no class activation map ({error})")
        layer = self._passes.layer
        return None if layer is None else layer.name

    def _rehearse_map(self) -> None:
        """Raise where the map cannot be trained through."""
        # Two rows, for models that normalise by the batch.
        x, labels = self._read_rows([0, 0])
        x, labels = self.model.own(x), labels * (labels > 0)
        ops = self.model.ops
        if not self.model.reaches_weights(lambda: ops.sum(self._passes.maps(x, labels)[0])):
            raise RuntimeError(f"that of {self._passes.layer} depends on no weight")

    def _twice_differentiable(self) -> bool:
        if self._modality.by_exchange:
            return False
        if self._twice is None:
            x, ops = self.model.own(self._read_rows([0, 0])[0]), self.model.ops
            try:
                # Some functions do not refuse, they only cut the gradient off.
                self._twice = self.model.reaches_weights(
                    lambda: ops.sum(self._passes.energy_of_units(x)[0])
                )
            except Exception:  # noqa: BLE001 - whatever the model does, there is another way
                self._twice = False
        return self._twice

    # --- the first half ------------------------------------------------------------------------

    def prepare(
        self, inputs: Any, targets: Any, indices: Any | None = None, *, exchange: bool = True
    ) -> Prepared:
        """What the step on a batch is to do.

        What is to be ignored everywhere is exchanged among the rows of a batch: so nothing is
        left to gain from it, at no cost in time.

        Parameters
        ----------
        inputs : array (B, ...)
            As the model takes them.
        targets : array (B,) of int or (B, classes) of probabilities
        indices : array (B,) of int64, optional
            Places of the rows in the training data, for artefacts that were found there.
        exchange : bool
            Whether the step can be made on another batch than the one that came.
        """
        nothing = Prepared(inputs, targets)
        self._raised = None
        if self._plan is None or not self._terms:
            return nothing
        try:
            self._hear()
            batch = _Batch(self.model.chw(inputs), targets, indices)
            seen = self._exchanged(batch) if exchange else None
            exchanged = seen is not None
            now = self._turn(len(inputs), exchanged=exchanged)
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            self.fail("", error)
            return nothing
        x, y = (inputs, targets) if seen is None else seen
        prepared = Prepared(x, y, exchanged, None, None, batch)
        if now is None:
            return prepared
        guided = prepared._replace(now=now)
        try:
            rows = self._chosen(guided)
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(now.term, error, partial(self._fails, guided))
            return prepared
        return prepared if rows is None else guided._replace(rows=rows)

    def _exchanged(self, batch: _Batch) -> tuple[Any, Any] | None:
        plan = self._plan
        wanted = plan is not None and plan.reaches_others and "fill" in self._terms
        if plan is None or not wanted or len(batch.inputs) < 2:
            return None
        try:
            inputs, targets = self._rows.exchanged(plan, *batch)
            return self.model.own(inputs), targets
        except Exception as error:  # noqa: BLE001 - as above
            self.fail("exchange", error)
            return None

    def _turn(self, rows: int, *, exchanged: bool) -> Turn | None:
        plan = self._plan
        if plan is None:  # out of force just now
            return None
        steps, self._steps = self._steps, self._steps + 1
        return turn(
            self._terms,
            steps,
            rows,
            self._config.replay_share,
            exchanged=exchanged,
            found_all=plan.found_all,
        )

    def _chosen(self, prepared: Prepared) -> Swapped | Marked | None:
        """The rows of a term, as the model takes them; None where no row has a stroke."""
        plan, now, batch = self._plan, prepared.now, prepared.batch
        if plan is None or now is None or batch is None:
            return None
        own = self.model.own
        least = NORMALISED_ROWS if self.model.normalises_by_batch() else 0
        if now.term == "fill":
            pairs = self._rows.swapped(plan, *batch, now.rows, least // 2)
            if pairs is None:
                return None
            return pairs._replace(original=own(pairs.original), swapped=own(pairs.swapped))
        kind = "ignore" if now.term == "slopes" else "look"
        rows = self._rows.marked(plan, kind, batch.inputs, batch.targets, now.rows, least)
        return None if rows is None else rows._replace(inputs=own(rows.inputs))

    def hold(self) -> AbstractContextManager[Any]:
        """For the pass on an exchanged batch: its statistics shall not be kept."""
        return self.model.held_statistics()

    def exchanged_step_done(self, inputs: Any) -> None:
        """Show the running statistics `inputs`, the batch as it came, now and then."""
        self._held += 1
        if self._held % REFRESH == 0:
            try:
                self.model.refresh_statistics(inputs, REFRESH)
            except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
                self.fail("exchange", error)

    # --- the second half -----------------------------------------------------------------------

    def term(self, now: Turn | None, rows: Any, task_loss: Any, **how: Any) -> Checked | None:
        """What the guidance adds to a step; nothing is raised: what was is for `settle`.

        Parameters
        ----------
        now, rows
            As in `Prepared`. The mean of the task loss is kept also where there are none.
        task_loss : tensor ()
        how
            For `Guided.differentiate`.

        Returns
        -------
        Checked or None
            None where there is nothing to add, or something was raised.
        """
        try:
            self._passes.remember(task_loss)
            return None if now is None else self._differentiated(now, rows, **how)
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            self._raised = error
            return None

    def _differentiated(self, now: Turn, rows: Any, **how: Any) -> Checked:
        return self.model.differentiate(lambda: now.gain * self._passes.term(now.term, rows), **how)

    def settle(
        self, prepared: Prepared, checked: Checked | None, task_loss: Any, *, scaled: bool = False
    ) -> Checked | None:
        """The newest step's term, where it is sound; if not, it is out of force.

        That is not so where the task loss () is not finite either, for then the batch is at fault,
        and where gradients may only have been too large for 16 bits, such as `scaled` ones. Where
        to look at a value would be to wait for a device, the term is 0 if it is not finite.
        """
        now = prepared.now
        if now is None:
            return None
        raised, self._raised = self._raised, None
        if raised is not None:
            self.fail(now.term, raised, partial(self._fails, prepared))
        if raised is not None or checked is None:
            return None
        if not self.model.looks:
            self._sent.append((self.model.sent(checked, task_loss), prepared))
            return self.model.cleared(checked)
        if bool(checked.finite):
            self.model.fits()
            return checked
        if math.isfinite(float(task_loss)):
            self._not_finite(prepared, float(checked.value), scaled=scaled)
        return None

    def loss(
        self, inputs: Any, targets: Any, task_loss: Any, indices: Any | None = None
    ) -> Any | None:
        """Both halves at once: the term to add to the task loss of a batch as it came.

        Called in train mode, after the main forward pass. Neither the statistics of
        normalisation layers nor the global random state change, and no hook stays.

        Parameters
        ----------
        inputs, targets, indices
            As for `prepare`.
        task_loss : tensor ()
            Detached; the strength is relative to what it was before any shortcut was found.

        Returns
        -------
        tensor () or None
            Finite, and so is its gradient, which is computed already: its backward pass cannot
            fail. None where nothing is in force, and in the steps between two guided ones.
        """
        if not self.active:
            return None
        return self.added(self.prepare(inputs, targets, indices, exchange=False), task_loss)

    def added(self, prepared: Prepared, task_loss: Any) -> Any | None:
        """The second half outside compiled steps: what is to be added to the task loss."""
        checked = self.term(prepared.now, prepared.rows, task_loss)
        sound = self.settle(prepared, checked, task_loss)
        return None if sound is None else self.model.summand(sound)

    # --- what fails ----------------------------------------------------------------------------

    def _hear(self) -> None:
        """Take in what a device has told meanwhile of earlier terms."""
        arrived = [(verdict(), verdict, prepared) for verdict, prepared in self._sent]
        self._sent = [(verdict, prepared) for sound, verdict, prepared in arrived if sound is None]
        wrong = next((prepared for sound, _, prepared in arrived if sound is False), None)
        if wrong is not None:
            self._not_finite(wrong, 0.0, scaled=False)

    def _not_finite(self, prepared: Prepared, value: float, *, scaled: bool) -> None:
        if math.isfinite(value) and self.model.overflowed(scaled=scaled):
            return
        why = "has a gradient that is not finite" if math.isfinite(value) else f"is {value}"
        term = "" if prepared.now is None else prepared.now.term
        self.fail(term, why, partial(self._fails, prepared))

    def _fails(self, prepared: Prepared, state: GuidanceState) -> bool:
        """Whether the term fails with this in force."""
        alone = copy.copy(self)
        alone.warnings, alone.lapses = list(self.warnings), []
        alone._rows = self._chooser()
        alone._passes = self._passes.anew()
        try:
            alone.set_state(state)
            alone._passes = self._passes.anew()  # with the task loss, which that made it forget
            rows = alone._chosen(prepared)
            if rows is None or prepared.now is None:
                return False
            return not bool(alone._differentiated(prepared.now, rows).finite)
        except Exception:  # noqa: BLE001 - that is what was asked
            return True
