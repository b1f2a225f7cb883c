"""What is done at each validation of an experiment: told on, and training ended early."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from coflect_widget.config import nearest
from coflect_widget.events import Event, Metrics

if TYPE_CHECKING:
    from coflect_widget.session import Session

#: Given the epoch, from 1 on, and the metrics, such as "val_loss"; True ends the training.
OnValidation = Callable[[int, dict[str, float]], bool | None]


class Followed:
    """Follows a session's validations, on the thread that writes the run; training never waits.

    Parameters
    ----------
    session : Session
    monitor : str
        Metric that `patience` is about.
    patience : int or None
        Epochs without a better one after which training ends.
    on_validation : callable, optional

    Raises
    ------
    ValueError
        If there is patience, and no such metric.
    """

    def __init__(
        self,
        session: Session,
        monitor: str,
        patience: int | None,
        on_validation: OnValidation | None = None,
    ) -> None:
        self._parts = session._open()
        self._monitor, self._patience, self._on_validation = monitor, patience, on_validation
        self._lower = lower_is_better(session, monitor) if patience is not None else True
        self._best, self._at = math.inf, 0
        self._ended = False
        self._parts.stream.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if event.split != "val" or not isinstance(event.data, Metrics) or self._ended:
            return
        metrics = {
            f"val_{name}": math.nan if value is None else value
            for name, value in event.data.values.items()
        }
        ends = self._on_validation is not None and self._on_validation(event.epoch, metrics)
        if ends or self._waited(event.epoch, metrics):
            self._ended = True
            self._parts.desk.order("stop")

    def _waited(self, epoch: int, metrics: dict[str, float]) -> bool:
        value = metrics.get(self._monitor, math.nan)
        if self._patience is None:
            return False
        sign = 1 if self._lower else -1
        if sign * value < self._best:  # never of NaN
            self._best, self._at = sign * value, epoch
        if epoch - self._at < self._patience:
            return False
        best = f"{sign * self._best:.4g} after epoch {self._at}" if self._at else "never a number"
        self._parts.tell.notice(
            "info",
            f"Training ends: {self._monitor} has not become better for {self._patience} epochs "
            f"(the best: {best}).",
        )
        return True


def lower_is_better(session: Session, metric: str) -> bool:
    """Whether a lower value of a validation's metric is the better one.

    Raises
    ------
    ValueError
        If nothing is validated, or the task has no such metric.
    """
    if not session._backend.num_val:
        raise ValueError(f"{metric} is a metric of a validation, and the data has no val_data")
    names = [f"val_{name}" for name in session._open().task.metrics()]
    if metric not in names:
        raise ValueError(f"{metric!r} is no metric here; {nearest(metric, names)}")
    return metric == names[0]
