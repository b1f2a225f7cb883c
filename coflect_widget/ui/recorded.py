"""A run read from disk, shown by the dashboard it had."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.timeline import read_timeline
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.records.comparison import Comparison
from coflect_widget.records.folder import runs_root
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.mlflow import MLflow
from coflect_widget.records.sinks.registering import folder_of, is_uri
from coflect_widget.records.table import Runs, read_runs
from coflect_widget.session import Session
from coflect_widget.session.resuming import Resume


class RecordedRun(Run):
    """A run read from disk that a cell shows as the dashboard it had."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.repaired = self.repair()
        self._dashboard: Any = None

    @property
    def state(self) -> str:
        """Last recorded state; "interrupted" where the run ended without saying so."""
        states = self.events("state")
        last = states[-1].data["state"] if states else "idle"
        return "interrupted" if last in ("training", "paused") else str(last)

    @property
    def ledger(self) -> Ledger:
        """What was told to the training, as its record has it; for another's ``guidance=`` too."""
        started = self.events("run_started")
        focus = started[0].data["focus"] if started else None
        return Ledger.from_events(self.iter_events(), 0.3 if focus is None else focus)

    def resume(
        self, model: Any, train_data: Any, val_data: Any = None, **arguments: Any
    ) -> Session:
        """A session that goes on with this run, in its own folder, from its last checkpoint.

        Parameters
        ----------
        model, train_data, val_data, **arguments
            As of `Session`, equal to those that the run was begun with; the batch size is the
            run's, where it is not given.

        Raises
        ------
        ValueError
            If the run is being written, or something differs; the message names it.
        """
        if "batch_size" not in arguments:
            size = Resume.of(self).batch_size()
            arguments |= {} if size is None else {"batch_size": size}
        return Session(model, train_data, val_data, resume=self, **arguments)

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one sample over the run, oldest first; see `Session`."""
        return read_timeline(self, index)

    def _ipython_display_(self) -> None:
        self._display_().show()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self._display_()._repr_mimebundle_(**kwargs)

    def _display_(self) -> Any:
        """The dashboard's widget, which marimo shows."""
        from coflect_widget.ui.live import replay_dashboard

        if self._dashboard is None:
            self._dashboard = replay_dashboard(self)
        return self._dashboard

    def report(self, path: str | Path) -> Path:
        """Write one HTML file: curves, settings, interventions, effects, where the run came from.

        The file needs nothing else and runs nothing. An existing file is not replaced.

        Raises
        ------
        FileExistsError
            If there is such a file.
        """
        return Comparison([self]).save(path)

    def save_html(self, path: str | Path) -> Path:
        """Write what the dashboard shows to one file; see `Session.save_html`."""
        from coflect_widget.ui.export import save_html

        return save_html(self, path)


def open_run(path: str | Path) -> RecordedRun:
    """Open a finished or interrupted run, read-only; displayable in a notebook.

    Parameters
    ----------
    path : path
        The run folder; or ``"runs:/ID"``, ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"`` of
        a run that was told to MLflow and whose folder is on this machine. Which MLflow is its own
        setting, ``MLFLOW_TRACKING_URI``.

    Raises
    ------
    FileNotFoundError
        If `path` is not a run folder.
    """
    return RecordedRun(folder_of(str(path), MLflow()) if is_uri(path) else path)


def runs(
    folder: str | Path | None = None, *, archived: bool = False, require_complete: bool = False
) -> Runs[RecordedRun]:
    """Table of the runs in a folder, and up to three folders below it; displayable in a notebook.

    A run that cannot be read is left out with a `BrokenRunWarning` that names it.

    Parameters
    ----------
    folder : path, optional
        As `run_dir` of the sessions.
    archived : bool
        Whether to show archived runs too.
    require_complete : bool
        Only runs that finished or were stopped, and whose record has no damaged line.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    return read_runs(
        runs_root(folder), open_run, archived=archived, require_complete=require_complete
    )


def compare(runs: Iterable[Run | str | Path]) -> Comparison:
    """Runs side by side: only what differs, and their curves; displayable in a notebook.

    Parameters
    ----------
    runs : iterable of Run or path
        Such as a table of `runs`, or some of it. ``compare(...).save("compared.html")`` writes it
        to one file, with the interventions of each run.

    Raises
    ------
    ValueError
        If there is none.
    FileNotFoundError
        If a path is not a run folder.
    """
    return Comparison(run if isinstance(run, Run) else open_run(run) for run in runs)
