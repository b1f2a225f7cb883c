"""Strokes as loss terms for Keras models; terms and weights are those of torch's `guidance.py`.

What a step sees is decided in numpy, outside the graph (`prepare`); the graph gets rows and gives
gradients (`added`). No step fails by it: a term that raises or is not finite is out of force from
then on.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.checked_terms import differentiate, summand
from coflect_widget.backends.keras.layers import find_layer
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.passes import GuidedPasses
from coflect_widget.backends.keras.quiet import (
    held_statistics,
    normalises_by_batch,
    refresh_statistics,
)
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.in_force import InForce
from coflect_widget.guidance.plan import Plan, make_plan
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

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

ReadRows = Callable[[Sequence[int]], tuple[Array, Numbers]]

#: Guided steps in a row whose gradients do not fit into 16 bits until the term is said to fail:
#: an optimizer that scales the loss halves its factor at each of them.
OVERFLOWS = 20


class _Batch(NamedTuple):
    inputs: Array  # (B, C, H, W)
    labels: Numbers  # (B,)
    indices: Numbers | None  # (B,)


class Prepared(NamedTuple):
    """What one step of a training is to do.

    Attributes
    ----------
    inputs : ndarray (B, ...)
        The batch to train on, as the model takes it.
    exchanged : bool
        Whether it is another than what came; its statistics shall not be kept then.
    term : str
        "fill", "slopes", "slopes inside" or "activation"; "" in the steps between guided ones.
    gain : float
        What the term is multiplied with.
    rows : Swapped, Marked or None
        What the term is computed on; inputs as the model takes them.
    """

    inputs: Any
    exchanged: bool
    term: str
    gain: float
    rows: Swapped | Marked | None


class KerasGuidance(InForce):
    """Turns the guidance in force into a loss term.

    Parameters
    ----------
    classifier : Classifier
    read_rows : callable
        Indices -> inputs (n, ...) as the model takes them, and labels (n,).
    image_size : (int, int)
        H and W of the inputs.
    config : GuidanceConfig
    seed : int
        Decides which rows are guided and with whom they are swapped.
    device : str
        Not used; TensorFlow places by itself.
    """

    def __init__(
        self,
        classifier: Classifier,
        read_rows: ReadRows,
        image_size: tuple[int, int],
        config: GuidanceConfig,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._read_rows = read_rows
        self._image_size = image_size
        self._config = config
        self._seed = seed
        self._rows = RowChooser(seed)
        self._passes = GuidedPasses(classifier)
        self._plan: Plan[NDArray[Any]] | None = None
        self._terms: list[str] = []
        self._steps = self._held = 0  # since the state was set
        self._layer_known = False
        self._twice: bool | None = None  # whether the input gradient has a derivative
        self._now: tuple[Turn, _Batch] | None = None  # of the newest step that was prepared
        self._raised: Exception | None = None  # while the newest term was computed or traced
        self._overflows = 0  # in a row

    # --- taking orders -------------------------------------------------------------------------

    def set_state(self, state: GuidanceState) -> str:
        """See `InForce.set_state`."""
        plan = make_plan(state, self._read_chw, self._image_size)
        if plan is not None:
            x = tf.constant(self._read_rows([0])[0])
            outputs = self.classifier.model(x, training=False)
            self._passes.classes = int(self.classifier.logits(outputs).shape[1])
        known = len(self.warnings)
        chosen = choose(
            plan, self._config, self._find_layer, self._twice_differentiable, self._warn
        )
        self._state, self._fills_outside = state, OUTSIDE in chosen.words
        self._rows.restart()  # what follows depends on `state` alone
        self._passes.restart()
        self._steps = self._held = self._overflows = 0
        self._plan, self._terms = chosen.plan, chosen.terms
        self.active = bool(chosen.terms)
        said = self.warnings[known:]
        return ", ".join(chosen.words) + (f" ({'; '.join(said)})" if said else "")

    def _read_chw(self, indices: Sequence[int]) -> tuple[Array, Numbers]:
        inputs, labels = self._read_rows(indices)
        return self.classifier.chw(inputs), labels

    def kept(self) -> dict[str, Any]:
        """See `InForce.kept`."""
        plan = self._plan
        return {
            "rows": self._rows.kept(),
            "steps": self._steps,
            "held": self._held,
            "overflows": self._overflows,
            "passes": self._passes.kept(),
            "plan": None
            if plan is None or not len(plan.samples)
            else {
                "samples": plan.samples,
                "inputs": self.classifier.own(plan.inputs),
                "labels": plan.labels,
            },
        }

    def _take(self, kept: Mapping[str, Any]) -> None:
        self._rows.take(kept["rows"])
        self._steps, self._held = kept["steps"], kept["held"]
        self._overflows = kept["overflows"]
        self._passes.take(kept["passes"])

    def _nothing_in_force(self) -> None:
        self._plan, self._terms = None, []

    def _find_layer(self) -> str | None:
        if not self._layer_known:
            self._layer_known = True
            shape = self._read_chw([0])[0].shape[1:]
            try:
                self._passes.layer = find_layer(self.classifier, shape)
                self._rehearse_map()
            except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
                self._passes.layer = None
                self._warn(f"look: no class activation map ({error})")
        layer = self._passes.layer
        return None if layer is None else layer.name

    def _rehearse_map(self) -> None:
        """Raise where the map cannot be trained through."""
        inputs, labels = self._read_rows([0, 0])  # two, for models that normalise by the batch
        with tf.GradientTape() as tape:
            energy = self._passes.maps(tf.constant(inputs), tf.constant(labels.clip(min=0)))
            energy = tf.reduce_sum(energy)
        found = tape.gradient(energy, self.classifier.model.trainable_variables)
        if all(gradient is None for gradient in found):
            raise RuntimeError(f"that of {self._passes.layer} depends on no weight")

    def _twice_differentiable(self) -> bool:
        if self._twice is None:
            x = tf.constant(self._read_rows([0, 0])[0])
            try:
                with tf.GradientTape() as tape:
                    energy = tf.reduce_sum(self._passes.energy_of_pixels(x))
                found = tape.gradient(energy, self.classifier.model.trainable_variables)
                self._twice = any(gradient is not None for gradient in found)
            except Exception:  # noqa: BLE001 - whatever the model does, there is another way
                self._twice = False
        return self._twice

    # --- one step: outside the graph -------------------------------------------------------------

    def prepare(
        self, inputs: Array, labels: Numbers, indices: Numbers | None, *, exchange: bool = True
    ) -> Prepared:
        """What the step on a batch is to do.

        Parameters
        ----------
        inputs : ndarray (B, ...)
            As the model takes them.
        labels : ndarray (B,)
        indices : ndarray (B,) or None
            Places of the rows in the training data.
        exchange : bool
            Whether the step can be made on another batch than the one that came.
        """
        nothing = Prepared(inputs, False, "", 0.0, None)
        plan = self._plan
        self._now = self._raised = None
        if plan is None or not self._terms:
            return nothing
        try:
            batch = _Batch(self.classifier.chw(inputs), labels, indices)
            return self._prepared(plan, inputs, batch, exchange=exchange)
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            self.fail("", error)
            return nothing

    def _prepared(
        self, plan: Plan[NDArray[Any]], inputs: Array, batch: _Batch, *, exchange: bool
    ) -> Prepared:
        exchanged = exchange and "fill" in self._terms and plan.reaches_others and len(inputs) > 1
        seen = inputs
        if exchanged:
            seen = self.classifier.own(
                self._rows.counterfactual(plan, batch.inputs, batch.labels, batch.indices)
            )
        now = turn(
            self._terms,
            self._steps,
            len(inputs),
            self._config.replay_share,
            exchanged=exchanged,
            found_all=plan.found_all,
        )
        self._steps += 1
        rows = None if now is None else self._chosen(plan, now, batch)
        if now is None or rows is None:
            return Prepared(seen, exchanged, "", 0.0, None)
        self._now = (now, batch)
        return Prepared(seen, exchanged, now.term, now.gain, rows)

    def _chosen(
        self, plan: Plan[NDArray[Any]], now: Turn, batch: _Batch
    ) -> Swapped | Marked | None:
        """The rows of a term, as the model takes them; None where no row has a stroke."""
        own = self.classifier.own
        least = NORMALISED_ROWS if normalises_by_batch(self.classifier.model) else 0
        if now.term == "fill":
            pairs = self._rows.swapped(plan, *batch, now.rows, least // 2)
            if pairs is None:
                return None
            return pairs._replace(original=own(pairs.original), swapped=own(pairs.swapped))
        kind = "ignore" if now.term == "slopes" else "look"
        rows = self._rows.marked(plan, kind, batch.inputs, batch.labels, now.rows, least)
        return None if rows is None else rows._replace(inputs=own(rows.inputs))

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """For the pass on an exchanged batch: its statistics shall not be kept."""
        return held_statistics(self.classifier.model)

    def exchanged_step_done(self, inputs: Array) -> None:
        """Show the running statistics `inputs`, the batch as it came, now and then."""
        self._held += 1
        if self._held % REFRESH == 0:
            try:
                refresh_statistics(self.classifier.model, inputs, REFRESH)
            except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
                self.fail("exchange", error)

    # --- one step: in the graph ------------------------------------------------------------------

    def added(
        self,
        name: str,
        gain: float,
        rows: Any,
        task_loss: Any,
        variables: Sequence[Any],
        scale_loss: Callable[[Any], Any] | None = None,
        *,
        clear: bool = True,
    ) -> tuple[Any, list[Any], Any]:
        """What the guidance adds to a step; "" remembers the task loss only.

        Nothing is raised: what was is for `step_done`.

        Parameters
        ----------
        name, gain, rows
            As in `Prepared`.
        task_loss : tensor ()
        variables, scale_loss, clear
            As of `keras_checked.differentiate`.

        Returns
        -------
        value, gradients, sound
            As of `keras_checked.differentiate`.
        """
        none: list[Any] = [None] * len(variables)
        try:
            self._passes.remember(tf.stop_gradient(task_loss))
            if not name:
                return tf.zeros(()), none, tf.constant(True)
            term = partial(self._gained, name, gain, rows)
            return differentiate(term, variables, scale_loss, clear=clear)
        except Exception as error:  # noqa: BLE001 - no failure of guidance ends a training
            self._raised = error
            return tf.zeros(()), none, tf.constant(False)

    def _gained(self, name: str, gain: float, rows: Any) -> Any:
        return gain * self._passes.term(name, rows)

    def summand(self, prepared: Prepared, task_loss: Any) -> Any | None:
        """The term () for a loop that sums losses itself; None where it has none to add."""
        variables = list(self.classifier.model.trainable_variables)
        value, gradients, sound = self.added(
            prepared.term, prepared.gain, prepared.rows, task_loss, variables
        )
        if not self.step_done(prepared, value, sound, task_loss) or not prepared.term:
            return None
        return summand(value, gradients, variables)

    # --- what fails ------------------------------------------------------------------------------

    def step_done(
        self, prepared: Prepared, value: Any, sound: Any, task_loss: Any, *, scaled: bool = False
    ) -> bool:
        """Whether the newest step's term was sound; if not, it is out of force.

        That is not so where the task loss () is not finite either, for then the batch is at fault,
        and where gradients that are `scaled` may only have been too large for 16 bits.
        """
        if bool(sound):
            self._overflows = 0
            return True
        number = float(value)
        if self._raised is None and not math.isfinite(float(task_loss)):
            return False
        if self._raised is None and scaled and math.isfinite(number):
            self._overflows += 1
            if self._overflows < OVERFLOWS:
                return False
        why = "has a gradient that is not finite" if math.isfinite(number) else f"is {number}"
        again = None if self._now is None else partial(self._fails, *self._now)
        self.fail(prepared.term, self._raised or why, again)
        return False

    def _fails(self, now: Turn, batch: _Batch, state: GuidanceState) -> bool:
        """Whether the term fails with this in force."""
        alone = copy.copy(self)
        alone.warnings, alone.lapses, alone._raised = list(self.warnings), [], None
        alone._rows = RowChooser(self._seed)
        alone._passes = self._passes.anew()
        try:
            alone.set_state(state)
            alone._passes = self._passes.anew()  # with the task loss, which that made it forget
            rows = None if alone._plan is None else alone._chosen(alone._plan, now, batch)
            if rows is None:
                return False
            variables = self.classifier.model.trainable_variables
            task_loss = alone._passes.task_loss
            return not bool(alone.added(now.term, now.gain, rows, task_loss, variables)[2])
        except Exception:  # noqa: BLE001 - that is what was asked
            return True
