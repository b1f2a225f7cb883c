"""The knobs of a Keras model: values of its optimizer, and frozen layers.

``trainable = False`` has batch normalisation keep its statistics and normalise by them. What a
compiled step has taken in as a plain number, and which weights it trains, is compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from coflect_widget.backends.knobs import (
    MOST_LAYERS,
    OptimizerKnobs,
    OptimizerValues,
    Values,
    folded_layers,
    of_values,
    unknown,
)
from coflect_widget.events import KnobTurn, LayerState

_Schedule = keras.optimizers.schedules.LearningRateSchedule
#: Names of the optimizer's attributes where they are not the knobs' own.
_ATTRIBUTES = {"beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"}
#: Numbers of an optimizer's configuration that cannot change once it is built.
_NOT_TURNED = {
    "learning_rate", "ema_momentum", "ema_overwrite_frequency", "gradient_accumulation_steps",
    "loss_scale_factor", "initial_accumulator_value", "initial_scale", "dynamic_growth_steps",
}  # fmt: skip


class Scaled(_Schedule):  # type: ignore[misc, valid-type]
    """A schedule whose learning rates are all multiplied by one factor.

    Parameters
    ----------
    schedule : LearningRateSchedule

    Attributes
    ----------
    factor : keras.Variable
        1 until a person turns the learning rate.
    """

    def __init__(self, schedule: Any) -> None:
        super().__init__()
        self.schedule = schedule
        self.factor = keras.Variable(1.0, trainable=False, name="coflect_factor")

    def __call__(self, step: Any) -> Any:
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        return dict(self.schedule.get_config())


class KerasKnobs(OptimizerKnobs):
    """Implements `backends.knobs.Knobs`.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    scheduler : callable or None
        The session's own schedule, a function of the epoch.
    recompile : callable ()
        The next step is to be compiled anew.
    """

    def __init__(self, model: Any, scheduler: Any, recompile: Callable[[], None]) -> None:
        self._model = model
        self._scheduler = scheduler
        self._recompile = recompile
        self.values = OptimizerValues(self.now, self._write)
        #: as they were before any layer was frozen: layers, outer ones first, and their weights
        self._before: list[tuple[Any, bool]] = []

    @property
    def _optimizer(self) -> Any:
        return getattr(self._model.optimizer, "inner_optimizer", self._model.optimizer)

    @property
    def _schedule(self) -> Any:
        rate = self._optimizer._learning_rate
        return rate if isinstance(rate, _Schedule) else None

    # --- values ------------------------------------------------------------------------------

    def names(self) -> list[str]:
        optimizer = self._optimizer
        names = {attribute: name for name, attribute in _ATTRIBUTES.items()}
        config = optimizer.get_config()
        found = [
            names.get(key, key)
            for key, value in config.items()
            if key not in _NOT_TURNED
            and isinstance(value, int | float)
            and not isinstance(value, bool)
            and isinstance(getattr(optimizer, key, None), int | float)
        ]
        return ["lr", *found]

    def resolve(self, name: str) -> str:
        wanted, optimizer = super().resolve(name), self._optimizer
        if wanted == "momentum" and optimizer.built and not optimizer.momentum:
            raise ValueError(
                "momentum is 0, and the optimizer has no room for it; compile the model with "
                "keras.optimizers.SGD(..., momentum=0.9) to turn it later"
            )
        return wanted

    def scheduled(self, name: str) -> str:
        if name != "lr":
            return ""
        schedule = getattr(self._schedule, "schedule", self._schedule)
        if schedule is not None:
            return type(schedule).__name__
        return "" if self._scheduler is None else getattr(self._scheduler, "__name__", "schedule")

    def now(self, name: str) -> Values:
        if name == "lr":
            return [float(self._optimizer.learning_rate)]
        return [float(getattr(self._optimizer, _ATTRIBUTES.get(name, name)))]

    def natural(self, name: str) -> Values:
        schedule = self._schedule
        if name == "lr" and schedule is not None:  # it moves at each step
            inner = getattr(schedule, "schedule", schedule)
            return [float(inner(self._optimizer.iterations))]
        return super().natural(name)

    def _write(self, name: str, values: Values) -> None:
        optimizer, value = self._optimizer, values[0]
        if name == "lr":
            optimizer.learning_rate = value
        else:
            setattr(optimizer, _ATTRIBUTES.get(name, name), value)
            self._recompile()

    def _scale(self, turns: Sequence[KnobTurn]) -> None:
        """Have the optimizer's schedule multiplied by what these turns come to."""
        schedule = self._schedule
        if not isinstance(schedule, Scaled):
            if not turns:
                return
            schedule = self._optimizer._learning_rate = Scaled(schedule)
            self._recompile()
        factor = 1.0
        for turn in turns:
            if turn.factor is not None:
                factor *= turn.factor
            elif turn.value and turn.value[0] is not None:
                factor = turn.value[0] / turn.at[0]
        schedule.factor.assign(factor)

    # --- layers ------------------------------------------------------------------------------

    def _layers(self) -> Iterator[Any]:
        for layer in self._model._flatten_layers(include_self=False, recursive=True):
            if layer.weights:
                yield layer

    def layers(self) -> list[LayerState]:
        found: list[LayerState] = []
        for layer in self._layers():
            trained = {id(weight) for weight in layer.trainable_weights}
            # What no gradient ever reaches, such as running statistics, says nothing.
            own = [w for w in layer.weights if id(w) in trained or _was_trained(w)]
            count = sum(_size(weight) for weight in own)
            held = sum(_size(weight) for weight in own if id(weight) not in trained)
            if count and len(found) < MOST_LAYERS:
                share = held / count
                found.append(LayerState(name=str(layer.name), weights=count, frozen=share))
        return found

    def _named(self, name: str) -> list[Any]:
        found = [layer for layer in self._layers() if name in (layer.name, layer.path)]
        if not found:
            every = self._model._flatten_layers(include_self=False, recursive=True)
            if any(name == layer.name for layer in every):
                raise ValueError(f"layer {name!r} has no weights; there is nothing to freeze")
            raise unknown(name, [str(layer.name) for layer in self._layers()], "layer")
        return found

    # --- both --------------------------------------------------------------------------------

    def check(self, turns: Sequence[KnobTurn]) -> None:
        self.values.plan(self._unscheduled(turns))
        folded_layers(turns, self._named)

    def put(self, turns: Sequence[KnobTurn]) -> None:
        unscheduled = self._unscheduled(turns)
        of_layers = [t for t in turns if t.layers]
        self.values.plan(unscheduled)
        wanted = folded_layers(of_layers, self._named)
        self._put_layers(of_layers, wanted)  # first what can fail
        self.values.put(unscheduled)
        if self._schedule is not None:
            self._scale([t for t in turns if t.name == "lr"])

    def _unscheduled(self, turns: Sequence[KnobTurn]) -> list[KnobTurn]:
        """Those of values, without the learning rate where a schedule of Keras's own moves it."""
        rated = self._schedule is not None
        return [t for t in of_values(turns) if not (rated and t.name == "lr")]

    def kept(self) -> dict[str, Any]:
        trained = {str(layer.path): was for layer, was in self._before}
        return {"values": self.values.kept(), "trained": trained}

    def take(self, turns: Sequence[KnobTurn], kept: Mapping[str, Any]) -> None:
        self.values.take(self._unscheduled(turns), kept["values"])
        every = self._model._flatten_layers(include_self=True, recursive=True)
        known = [layer for layer in every if str(layer.path) in kept["trained"]]
        _restore([(layer, bool(kept["trained"][str(layer.path)])) for layer in known])
        self._before = []
        self.put(turns)

    def _put_layers(self, turns: Sequence[KnobTurn], wanted: dict[int, bool]) -> None:
        if not turns and not self._before:
            return
        model, optimizer = self._model, self._model.optimizer
        if self._optimizer.use_ema:
            raise ValueError(
                "the optimizer keeps averages of all weights (use_ema), which a frozen layer would "
                "be drawn to; compile the model without use_ema to freeze layers"
            )
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        if not self._before:
            every = model._flatten_layers(include_self=True, recursive=True)
            self._before = [(layer, bool(layer._trainable)) for layer in every]
        now = [(layer, bool(layer._trainable)) for layer, _ in self._before]
        _restore(self._before)
        for turn in turns:
            for name in turn.layers:
                for layer in self._named(name):
                    layer.trainable = turn.name == "unfreeze"
        known = {id(variable) for variable in self._optimizer._trainable_variables}
        trained = model.trainable_variables
        strange = [str(variable.path) for variable in trained if id(variable) not in known]
        if strange or not trained:
            _restore(now)
            raise ValueError(
                f"{strange[0]} was frozen when the optimizer was made, which has no state for it; "
                "compile the model with all layers trainable, and freeze what is to wait"
                if strange
                else "nothing would be left to train; leave at least one layer unfrozen"
            )
        if not turns:
            self._before = []
        self._recompile()

    def check_batch_size(self, batch_size: int) -> None:
        """A Keras model trains on one sample too."""


def _restore(before: Sequence[tuple[Any, bool]]) -> None:
    """Put each layer's own flag back, outer ones first: each sets those within it."""
    for layer, trainable in before:
        if layer._trainable != trainable or layer._layers:
            layer.trainable = trainable


def _was_trained(weight: Any) -> bool:
    """Whether a gradient would reach a weight if its layer were not frozen."""
    name = str(weight.path).rsplit("/", 1)[-1]
    return not (name.startswith("moving_") or "seed" in name)


def _size(weight: Any) -> int:
    size = 1
    for side in weight.shape:
        size *= int(side)
    return size
