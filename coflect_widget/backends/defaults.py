"""What a backend need not say itself; the only place that asks what one has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Backend, Batch, Sample, StepOutput, unknown_order
from coflect_widget.backends.differentiable import Guided
from coflect_widget.backends.last_layer import LastLayer
from coflect_widget.backends.state import (
    Memory,
    TrainingState,
    process_random_state,
    put_process_random_state,
    weights_alone,
)
from coflect_widget.distributed.alone import Alone
from coflect_widget.distributed.group import Group
from coflect_widget.modalities.base import Modality
from coflect_widget.records.trees import Arrays
from coflect_widget.tasks.base import Task


class BackendDefaults:
    """Answers of a backend without guidance, maps, or labels that can be judged.

    A backend may derive from it; `complete` gives it to one that does not.
    """

    explainer = ""
    portable = ""
    without_weights = ""
    task: Task | None = None
    modality: Modality | None = None
    takes_labels = reads_val = False
    val_reads_at_boundary: Any = False
    fills_processors: Any = False
    members: NDArray[np.int64] | None = None
    knobs: Any = None
    shares_optimizer: bool = False
    losses_of_output: Any = None
    follows: Any = False
    several: Any = False
    refits: bool = False

    @cached_property
    def warnings(self) -> list[str]:
        return []

    @cached_property
    def assumptions(self) -> list[str]:
        return []

    @cached_property
    def lapses(self) -> list[Any]:
        return []

    def expect(self, steps: int) -> None:
        pass

    def finish(self) -> None:
        pass

    def group(self) -> Group:
        return Alone()

    def share(self, group: Group) -> None:
        raise ValueError("this backend trains in one process; start the script in one")

    def forget_read(self) -> None:
        pass

    def scalars(self, values: Sequence[Any]) -> list[float]:
        return [float(value) for value in values]

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        logits = np.concatenate([np.asarray(output.logits) for output in outputs])
        return logits, np.concatenate([np.asarray(output.targets) for output in outputs])

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        if logits is None or targets is None:
            raise ValueError(
                "observe() needs logits and targets: session.observe(indices, logits, y). Losses "
                "alone, one for each sample, are for Session(..., task='own_loss')"
            )
        if logits.ndim != 2:
            raise ValueError(
                f"observe() got logits of shape {tuple(logits.shape)} for {rows} samples; expected "
                "(B, classes), one row for each sample"
            )
        return logits, targets, loss

    def concatenate(self, parts: Sequence[Any]) -> Any:
        return np.concatenate([np.asarray(part) for part in parts])

    def last_layer(self, probe: NDArray[Any]) -> LastLayer:
        raise ValueError(
            "only the last layer of a torch model can be fitted again; session.feedback(..., "
            "ignore=...) marks what is to be ignored instead"
        )

    def lasting_names(self) -> list[str]:
        return []

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        return weights_alone(self, memory)

    def restore(self, weights: Arrays, rest: Mapping[str, Any], guidance: Any) -> None:
        raise ValueError(
            "this backend has no state() and restore(), so its runs cannot be gone on with; the "
            "weights are in the checkpoint"
        )

    def draw_states(self) -> dict[str, Any]:
        return process_random_state()

    def put_draw_states(self, kept: Mapping[str, Any]) -> None:
        put_process_random_state(kept)

    def follow(self, loader: Any) -> AbstractContextManager[Callable[[], NDArray[np.int64] | None]]:
        return unknown_order(loader)

    def readings(
        self, index: int, enough: Callable[[list[NDArray[Any]]], bool]
    ) -> list[NDArray[np.float32]]:
        return []

    def guided(self) -> Guided | None:
        return None

    def attach_guidance(self, losses: Any) -> None:
        pass

    def set_guidance(self, guidance: Any) -> str:
        raise ValueError("this backend takes no guidance")

    def guidance_term(
        self, inputs: Any, targets: Any, loss: Any, indices: NDArray[np.int64] | None
    ) -> Any | None:
        return None

    def set_labels(self, labels: Mapping[int, int | None]) -> None:
        raise ValueError("this backend cannot change labels while it trains")

    def label_of(self, index: int) -> int:
        raise ValueError("this backend cannot change labels while it trains")

    def read_val_sample(self, index: int) -> Sample:
        raise IndexError("this backend reads no validation samples")

    def rows_to_add(self, x: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        raise ValueError(
            "this backend takes no samples while it trains; add them to the data and make a new "
            "Session"
        )

    def add_samples(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> None:
        raise ValueError("this backend takes no samples while it trains")

    def losses_alone(self, batch: Batch) -> NDArray[np.float32] | None:
        return None

    def portable_batches(
        self, size: int, *, validation: bool
    ) -> Iterator[tuple[tuple[NDArray[Any], ...], NDArray[Any]]]:
        raise ValueError("this backend gives no rows for exports and evaluations")

    def portable_beside(self, *, validation: bool) -> bool:
        return False

    def structure(self) -> bytes:
        raise TypeError("this backend has no structure(), from which a worker would rebuild it")

    def check_layer(self, structure: bytes, sample: Sample, name: str | None) -> None:
        pass


def complete(made: Any) -> Backend:
    """A backend with the answers that it lacks.

    Raises
    ------
    TypeError
        If they cannot be added to it.
    """
    if isinstance(made, BackendDefaults):
        return made  # type: ignore[return-value]  # the rest is its own
    found: Any = made
    defaults = BackendDefaults()
    own = {
        "takes_labels": hasattr(found, "set_labels"),
        "reads_val": hasattr(found, "read_val_sample"),
    }
    for name in (name for name in dir(defaults) if not name.startswith("_")):
        if hasattr(found, name):
            continue
        try:
            setattr(found, name, own.get(name, getattr(defaults, name)))
        except AttributeError as error:
            raise TypeError(
                f"backend {type(found).__name__} has no {name!r}, and none can be set on it; derive"
                " it from coflect_widget.backends.defaults.BackendDefaults"
            ) from error
    return found  # type: ignore[no-any-return]
