"""A run read from disk, shown by the dashboard it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coflect_widget.record.run import Run


class RecordedRun(Run):
    """A run read from disk that a cell shows as the dashboard it had."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.repaired = self.repair()

    @property
    def state(self) -> str:
        """Last recorded state; "interrupted" where the run ended without saying so."""
        states = self.events("state")
        last = states[-1].data["state"] if states else "idle"
        return "interrupted" if last in ("training", "paused") else str(last)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        from coflect_widget.ui.live import replay_dashboard

        return replay_dashboard(self)._repr_mimebundle_(**kwargs)


def open_run(path: str | Path) -> RecordedRun:
    """Open a finished or interrupted run, read-only; displayable in a notebook.

    Raises
    ------
    FileNotFoundError
        If `path` is not a run folder.
    """
    return RecordedRun(path)
