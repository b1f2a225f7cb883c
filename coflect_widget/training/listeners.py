"""Whom the training loop tells what it does: the protocols of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from coflect_widget.backends.base import NonFiniteLossError, StepOutput
from coflect_widget.events import RunState


class SnapshotSlots(Protocol):
    """What the loop needs of attribution.snapshots.Snapshots."""

    wanted: bool

    def write(
        self, step: int, copy: Callable[[Sequence[NDArray[Any]]], Callable[[], None] | None]
    ) -> bool:
        """Copy the weights into the free slot; False if it is being read."""


class Observer(Protocol):
    """What the loop tells; each method is called on the training thread and must be quick."""

    @property
    def due(self) -> float:
        """The next step that it must be told of before another one is done; others may wait."""

    def observe(self, step: int, epoch: int, *outputs: StepOutput) -> None:
        """Steps of one epoch were done, the last of them `step`."""

    def state_changed(self, state: RunState, by: str) -> None:
        """The loop went into another state."""

    def epoch_ended(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """An epoch was trained and validated."""

    def epoch_counted(self, validation: dict[str, float]) -> None:
        """And the loop counts it as completed now."""

    def resized(self) -> None:
        """The epochs to come have another number of steps, or batches of another size."""

    def non_finite(self, step: int, error: NonFiniteLossError) -> None:
        """A loss was NaN or infinite; the loop holds at the next boundary."""

    def notice(self, level: str, text: str) -> None:
        """A person should know this."""

    def lapsed(self, lapses: Sequence[Any]) -> None:
        """Guidance (guidance.lapses.Lapse) went out of force by itself."""

    def ended(self, state: RunState) -> None:
        """The thread is about to end in this state."""

    def failed(self, error: BaseException, text: str) -> None:
        """Training met an exception; `text` is its traceback."""
