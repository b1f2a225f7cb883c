"""What a training's next step depends on, copied out of a framework and put back.

Arrays are copied into memory that is used again, so that a copy at a step boundary costs little
more than the bytes that it moves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.trees import Arrays

#: Memory of earlier copies by name; a backend keeps in it what it copies to.
Memory = dict[str, Any]


@dataclass(slots=True)
class TrainingState:
    """The state of a training at a step boundary; its arrays are the memory's.

    Attributes
    ----------
    weights : dict of arrays
        Parameters and buffers by the model's own names.
    rest : Any
        Optimizer, schedule, random states and so on, as `records.trees` takes them.
    aliases : dict of str to str
        Weights that are the same memory as another one, which is in `weights`.
    finish : callable, optional
        Waits for a device that only began to copy; called on another thread, before anything of
        it is read.
    lacks, inexact : list of str
        What could not be copied, and why a training that goes on from it will differ.
    """

    weights: Arrays
    rest: Any = None
    aliases: dict[str, str] = field(default_factory=dict)
    finish: Callable[[], None] | None = None
    lacks: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)


def copied(memory: Memory, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values, copied into the array that `memory` has under this name."""
    kept = memory.get(name)
    if not isinstance(kept, np.ndarray) or (kept.shape, kept.dtype) != (values.shape, values.dtype):
        kept = memory[name] = np.empty(values.shape, values.dtype)
    np.copyto(kept, values)
    return kept


def weights_alone(backend: Any, memory: Memory) -> TrainingState:
    """The state of a backend that can only copy its weights, as one that a user wrote may be."""
    specs = backend.weight_specs()
    arrays: Arrays = {}
    for spec in specs:
        kept = memory.get(spec.name)
        if kept is None or (kept.shape, str(kept.dtype)) != (spec.shape, spec.dtype):
            kept = memory[spec.name] = np.empty(spec.shape, spec.dtype)
        arrays[spec.name] = kept
    finish = backend.copy_weights([memory[spec.name] for spec in specs])
    lacks = [f"all but the weights: the {backend.name} backend has no state()"]
    return TrainingState(arrays, finish=finish, lacks=lacks)


def process_random_state() -> dict[str, Any]:
    """The generators of Python and numpy that users draw from."""
    name, key, place, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - the users' own
    version, numbers, following = random.getstate()
    return {
        "python": [version, np.array(numbers, np.uint64), following],
        "numpy": [name, np.array(key), int(place), int(has_gauss), float(gauss)],
    }


def put_process_random_state(kept: Mapping[str, Any]) -> None:
    """Put back what `process_random_state` gave."""
    version, numbers, following = kept["python"]
    random.setstate((version, tuple(int(n) for n in numbers), following))
    name, key, place, has_gauss, gauss = kept["numpy"]
    np.random.set_state((name, np.array(key, np.uint32), place, has_gauss, gauss))  # noqa: NPY002


class Generators:
    """The part of a backend that knows which random numbers its training draws next.

    And puts them back with the rest of a checkpoint.
    """

    _guidance: Any
    _random: Any = None  # where the generators are to go on
    _before: Any = None  # where they were as the validation that is under way began

    def draw_states(self) -> dict[str, Any]:
        """Of all generators that the data and the steps draw from."""
        return process_random_state()

    def put_draw_states(self, kept: Mapping[str, Any]) -> None:
        """Put back what `draw_states` gave."""
        put_process_random_state(kept)

    def validate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        """As `evaluate`, which calls it; here there is nothing to validate with."""
        return {} if boundary() else None

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        """See `backends.base.Backend`.

        A validation that does not come to its end is made anew, in this process or a later one.
        So the generators are put back, and a checkpoint of meanwhile has them as they were.
        """
        self._before = self.draw_states()
        try:
            found = self.validate(boundary)
            if found is None:
                self.put_draw_states(self._before)
        finally:
            self._before = None
        return found

    def random_state(self) -> Any:
        """What a checkpoint of now keeps of them."""
        return self._before or self.draw_states()

    def random_is_put(self, kept: Any) -> None:
        """Take what a checkpoint kept, for now and for the first step; None: they begin anew.

        Strokes before the first step read samples by them, too.
        """
        self._random = kept
        if kept is not None:
            self.put_draw_states(kept)

    def random_goes_on(self) -> bool:
        """Put the generators where a checkpoint had them, once; False where there is none."""
        kept, self._random = self._random, None
        if kept is not None:
            self.put_draw_states(kept)
        return kept is not None

    # --- the rest of a checkpoint ----------------------------------------------------------------

    def put_back(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        """Put weights, optimizer and schedule back; names and shapes are known to fit."""
        raise NotImplementedError

    def own_guidance(self, kept: Any) -> Any:
        """What a checkpoint kept of the guidance in force, as the backend's tensors."""
        return kept

    def restore(self, weights: Arrays, rest: Mapping[str, Any], guidance: Any) -> None:
        """See `backends.base.Backend`."""
        self.put_back(weights, rest)
        self.random_is_put(rest["random"])
        losses = self._guidance
        if losses is not None:
            losses.restore(guidance, self.own_guidance(rest["guidance"]))
