"""Which weights a job sees: a snapshot that is taken for it, or one that is young enough."""

from __future__ import annotations

import time
from collections.abc import Callable

from coflect_widget.attribution.errors import ExplanationError
from coflect_widget.attribution.snapshots import Lease, Snapshots

#: Seconds to wait for the trainer's next step boundary, and between two reminders.
_SNAPSHOT_SECONDS = 10.0
_REMIND_SECONDS = 0.1


class Weights:
    """Leases snapshots, and has them taken.

    Parameters
    ----------
    snapshots : Snapshots
    request_snapshot : callable () -> object
        Called after ``snapshots.wanted`` was set; takes the snapshot at once if nothing trains.
    current_step : callable () -> int, optional
        Training step now: a snapshot is taken again that is at most `reuse_steps` older.
        Without it, one that is less than `reuse_seconds` old.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        request_snapshot: Callable[[], object],
        current_step: Callable[[], int] | None,
        reuse_steps: int,
        reuse_seconds: float,
    ) -> None:
        self._snapshots = snapshots
        self._request_snapshot = request_snapshot
        self._current_step = current_step
        self._reuse_steps = reuse_steps
        self._reuse_seconds = reuse_seconds

    def lease(self, *, asked: int | None, newest: bool, closed: Callable[[], bool]) -> Lease:
        """A snapshot for one job; waits for it, no longer than until ``closed()``.

        Parameters
        ----------
        asked : int or None
            Step whose weights are wanted, where it is still to be had.
        newest : bool
            Whether an earlier one will not do, however young.

        Raises
        ------
        ExplanationError
            If there is none.
        """
        snapshots = self._snapshots
        if asked is not None and (lease := snapshots.lease(asked)) is not None:
            return lease
        seen = snapshots.written
        wait = newest or not self._reusable(asked)
        until = time.monotonic() + _SNAPSHOT_SECONDS
        while not closed() and (left := until - time.monotonic()) > 0:
            if not wait or snapshots.written > seen:
                lease = snapshots.lease()
                if lease is not None:
                    return lease  # otherwise it is being overwritten right now
            else:
                snapshots.wanted = True
                self._request_snapshot()
                if snapshots.written > seen:
                    continue
            snapshots.wait_newer(snapshots.written, min(_REMIND_SECONDS, left))
        # A step may take longer than that; then an older snapshot is better than none.
        lease = snapshots.lease()
        if lease is None:
            raise ExplanationError(
                f"training gave no snapshot of its weights within {_SNAPSHOT_SECONDS:g} s"
            )
        return lease

    def _reusable(self, asked: int | None) -> bool:
        step = self._snapshots.newest_step
        if step is None:
            return False
        if self._current_step is None:
            return self._snapshots.age < self._reuse_seconds
        now = self._current_step()
        return now != asked and now - step <= self._reuse_steps
