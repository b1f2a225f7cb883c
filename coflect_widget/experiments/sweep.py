"""A search's folder: its trials, the best of them, and what a person says of them meanwhile.

All is in Optuna's own journal there, a file of JSON lines that is only added to: a person's word
is on disk before a call returns, and the process that searches reads it from there.
"""

from __future__ import annotations

import contextlib
import html
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from coflect_widget.backends.registry import resolve
from coflect_widget.experiments.space import Space, check_point, read_space
from coflect_widget.records.folder import user_name
from coflect_widget.records.locks import hold_for_writing

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from coflect_widget.experiments.experiment import Experiment
    from coflect_widget.ui.recorded import RecordedRun

#: With what a search is shown; a search knows no browser.
_SCREEN = "coflect_widget.experiments.shown:SweepScreen"
JOURNAL, BEST, RUNS, LOCK = "journal.log", "best.yaml", "runs", "sweep.lock"
#: Of a trial: a person's word, the run's folder, and whether the process was killed.
PRUNE, PIN, ASKED, RUN, KILLED, WHY = "prune", "pin", "asked", "run", "killed", "why"
_STATES = {
    "COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running",
    "WAITING": "waiting",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a search.

    Attributes
    ----------
    number : int
        From 0 on.
    state : str
        "waiting", "running", "finished", "pruned", "failed", or "killed" with its process, which
        is tried again under another number.
    values : dict
        Of the settings that are searched, by their dotted names.
    result : float or None
        Its best value of the metric so far.
    epochs : int
        Validations so far.
    pinned : bool
        Whether no pruner may end it.
    said : str
        What a person said of it, and who; or why it failed.
    run : Path or None
    """

    number: int
    state: str
    values: dict[str, Any]
    result: float | None
    epochs: int
    pinned: bool
    said: str
    run: Path | None


class Sweep:
    """A search, running or ended; any process may read it and say something of its trials.

    Parameters
    ----------
    folder : path
        As `coflect.tune` had it.

    Raises
    ------
    FileNotFoundError
        If there is no search in it.
    ImportError
        If Optuna is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder).expanduser()
        if not (self.path / JOURNAL).is_file():
            raise FileNotFoundError(f"{str(folder)!r} holds no search: no {JOURNAL} in it")
        self._study = open_study(self.path)
        self._screen: Any = None
        self._shown_in: object = None  # the cell

    @property
    def metric(self) -> str:
        """What is searched for, such as "val_loss"."""
        return str(self._study.user_attrs["metric"])

    @property
    def better(self) -> str:
        """The better direction of the metric: "lower" or "higher"."""
        return "lower" if self.metric == LOWER else "higher"

    @property
    def space(self) -> Space:
        """What may be chosen, by the dotted names of settings."""
        return read_space(self._study.user_attrs["space"], None)  # a folder runs no code

    @property
    def state(self) -> str:
        """Whether a process searches in the folder: "searching", or "not searching"."""
        try:
            with (self.path / LOCK).open("r+b") as file:
                held = sys.platform != "win32" and not hold_for_writing(file)
        except OSError:
            return "not searching"
        return "searching" if held else "not searching"

    @property
    def trials(self) -> list[Trial]:
        """Every trial, in the order of their numbers."""
        lower = self.metric == LOWER
        return [_told(trial, self.path, lower=lower) for trial in self._study.get_trials()]

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best result; None where none has finished."""
        found = [t for t in self.trials if t.state == "finished" and t.result is not None]
        sign = 1 if self.metric == LOWER else -1
        return min(found, key=lambda t: sign * (t.result or 0.0), default=None)

    @property
    def experiment(self) -> Experiment:
        """What is searched around."""
        from coflect_widget.experiments.experiment import Experiment

        return Experiment(**self._study.user_attrs["experiment"])

    @property
    def runs(self) -> list[RecordedRun]:
        """The runs of the trials, in the order of their numbers."""
        from coflect_widget.ui.recorded import open_run

        return [open_run(t.run) for t in self.trials if t.run is not None and t.run.is_dir()]

    def enqueue(self, values: Mapping[str, Any]) -> None:
        """Have these values tried next; settings that are left out the sampler chooses.

        It is tried beside the number of trials that was asked for. Where the search has ended,
        calling `coflect.tune` again does it.

        Raises
        ------
        ValueError
            If a name or a value is not in the space.
        """
        point = check_point(self.space, values)
        self._study.enqueue_trial(point, user_attrs={ASKED: _by()})

    def prune(self, number: int) -> None:
        """End a trial that runs or waits; its training stops at the next step.

        Raises
        ------
        ValueError
            If there is no such trial, or it has ended.
        """
        self._say(number, PRUNE)

    def pin(self, number: int) -> None:
        """Let a trial train to its end, whatever the pruner says.

        Raises
        ------
        ValueError
            If there is no such trial, or it has ended.
        """
        self._say(number, PIN)

    def _say(self, number: int, what: str) -> None:
        trials = self._study.get_trials()
        if not 0 <= number < len(trials):
            raise ValueError(f"there is no trial {number}; there are {len(trials)}, from 0 on")
        trial = trials[number]
        if trial.state.is_finished():
            raise ValueError(f"trial {number} has ended: {_STATES[trial.state.name]}")
        # Of Optuna's storage, because the trial is another process's.
        self._study._storage.set_trial_user_attr(trial._trial_id, what, _by())

    def __repr__(self) -> str:
        best = self.best
        found = "" if best is None else f", best {self.metric} {best.result:.4g}"
        return f"Sweep({str(self.path)!r}, {len(self.trials)} trials{found})"

    def table(self) -> list[tuple[str, ...]]:
        """Cells of a table, with a head."""
        best = self.best
        lines: list[tuple[str, ...]] = [("trial", "state", self.metric, "epochs", "values", "said")]
        for t in self.trials:
            result = "" if t.result is None else f"{t.result:.4g}"
            mark = " (best)" if best is not None and t.number == best.number else ""
            said = ", ".join(filter(None, ["pinned" if t.pinned else "", t.said]))
            values = ", ".join(f"{name} {_short(value)}" for name, value in t.values.items())
            lines.append((f"{t.number}", f"{t.state}{mark}", result, f"{t.epochs}", values, said))
        return lines

    def mark(self) -> object:
        """Something else whenever the search has gone on, for who shows it."""
        return (self.path / JOURNAL).stat().st_size, self.state

    def show(self) -> None:
        """Show the search in the present cell, live; a person may prune, pin and enqueue there.

        In a cell that shows it already nothing happens.
        """
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        cell = None if shell is None else shell.execution_count
        if self._shown_in is None or self._shown_in != cell:
            self._shown_in = cell
            self._on_screen().show()

    def _ended(self) -> None:
        """Where it is shown, show it as the search left it."""
        if self._screen is not None:
            with contextlib.suppress(Exception):  # what was found counts more
                self._screen.ended()

    def _on_screen(self) -> Any:
        if self._screen is None:
            self._screen = resolve(_SCREEN)(Sweep(self.path))
        return self._screen

    def _ipython_display_(self) -> None:
        self.show()

    def _display_(self) -> Any:
        """The widget, which marimo shows."""
        screen = self._on_screen()
        screen.watch()
        return screen.view

    def _repr_html_(self) -> str:
        head, *rows = self.table()
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        return f"<table><tr>{cells}</tr>{body}</table>"


LOWER = "val_loss"  # of all metrics the one that is to be low


def optuna_there() -> ModuleType:
    """Optuna, which says nothing by itself.

    Raises
    ------
    ImportError
        If it is not installed; the message has the command.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "searches are made by Optuna, which is not installed; run: "
            "pip install 'coflect-widget[tune]'"
        ) from error
    optuna.logging.get_logger("optuna").setLevel(logging.WARNING)
    return optuna


def open_study(folder: Path, **more: Any) -> Study:
    """The study in a folder, or a new one."""
    optuna = optuna_there()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    file = str(folder / JOURNAL)
    storage = JournalStorage(JournalFileBackend(file, JournalFileOpenLock(file)))
    if not more:
        found: Study = optuna.load_study(study_name="sweep", storage=storage)
        return found
    made: Study = optuna.create_study(
        study_name="sweep", storage=storage, load_if_exists=True, **more
    )
    return made


def repair(folder: Path) -> None:
    """Cut a torn last line off the journal, which its process was killed in the middle of.

    Only for who holds the folder: nobody else writes then but a person, in whole lines.
    """
    with (folder / JOURNAL).open("r+b") as file:
        whole = file.read()
        if not whole.endswith(b"\n"):
            file.truncate(whole.rfind(b"\n") + 1)


def _told(trial: FrozenTrial, folder: Path, *, lower: bool) -> Trial:
    seen = list(trial.intermediate_values.values())
    result = trial.value if trial.value is not None else None
    if result is None and seen:
        result = min(seen) if lower else max(seen)
    said = trial.user_attrs
    words = [f"{verb} by {said[key]}" for key, verb in _VERBS.items() if key in said]
    run = Path(str(said.get(RUN, ""))).name  # of a journal of others too: no path leads away
    values = trial.params or trial.system_attrs.get("fixed_params", {})
    return Trial(
        number=trial.number,
        state="killed" if said.get(KILLED) else _STATES[trial.state.name],
        values=dict(values),
        result=result,
        epochs=len(seen),
        pinned=PIN in said,
        said=", ".join([*words, *([str(said[WHY])] if WHY in said else [])]),
        run=None if run in ("", "..") else folder / RUNS / run,
    )


_VERBS = {PRUNE: "pruned", ASKED: "asked for"}


def _by() -> str:
    return f"{user_name() or 'somebody'}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
