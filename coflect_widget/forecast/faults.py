"""What goes wrong beside a training: caught, counted, and told once a kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Faults:
    """Catches everything; telemetry must outlive every failure.

    Parameters
    ----------
    on_error : callable (exception), optional
        Called once for each kind of failure; later ones of that kind are only counted.

    Attributes
    ----------
    count : int
    """

    def __init__(self, on_error: Callable[[BaseException], None] | None) -> None:
        self.count = 0
        self._on_error = on_error
        self._told: set[tuple[str, type[BaseException]]] = set()

    def guard(self, where: str, call: Callable[[], T]) -> T | None:
        """What `call()` returns; None where it raises."""
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - noted, whatever it is
            self.note(where, error)
            return None

    def note(self, where: str, error: BaseException) -> None:
        """Count one failure, and tell of it if it is the first of its kind."""
        self.count += 1
        kind = (where, type(error))
        if kind in self._told:
            return
        self._told.add(kind)
        try:
            if self._on_error is not None:
                self._on_error(error)
        except Exception as second:  # noqa: BLE001 - nobody is left to tell but stderr
            sys.stderr.write(f"coflect: on_error failed: {second!r} while reporting {error!r}\n")
