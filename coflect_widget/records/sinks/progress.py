"""The progress of a training in a script: one line that moves on a terminal, else lines."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any, TextIO

from coflect_widget.events import Event, Metrics, Notice, StateChanged, TrainStarted
from coflect_widget.records.sinks.base import RunFolder, Sink
from coflect_widget.records.sinks.logging import figures

_ENDS = ("finished", "stopped", "failed")


class Progress(Sink):
    """Shows how far the training is, its validations, and notices of warnings and errors.

    On a terminal the line moves, drawn by Rich where that is installed; elsewhere, as in the log of
    a cluster, there is a line a validation.

    Parameters
    ----------
    stream : text stream, optional
        Standard error if left out.
    """

    name = "progress"
    types = frozenset({"train_started", "metrics", "state", "notice"})

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def open(self, run: RunFolder) -> None:
        """Look where it is shown."""
        out = sys.stderr if self._stream is None else self._stream
        rich = out.isatty() and importlib.util.find_spec("rich") is not None
        self._out: _Lines | _Bar = _Bar(out) if rich else _Lines(out)
        self._run_id = run.id
        self._total = 0
        self._loss = ""

    def on_event(self, event: Event) -> None:
        """Show one event."""
        data = event.data
        if isinstance(data, TrainStarted):
            self._total = data.total_steps
            self._out.move(self._run_id, event.step, self._total, "")
        elif isinstance(data, Metrics) and event.split == "val":
            self._out.line(f"{self._run_id}  epoch {event.epoch}  {figures(data.values)}")
        elif isinstance(data, Metrics):
            loss = data.values.get("loss")
            self._loss = self._loss if loss is None else f"loss {loss:.4g}"
            self._out.move(self._run_id, event.step, self._total, self._loss)
        elif isinstance(data, Notice) and data.level != "info":
            self._out.line(f"{self._run_id}  {data.level}: {data.text}")
        elif isinstance(data, StateChanged):
            self._out.move(self._run_id, event.step, self._total, self._loss)
            if data.state in _ENDS:
                self._out.line(f"{self._run_id}  {data.state} at step {event.step}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._out.close()


class _Lines:
    """Lines, where nothing can move."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def move(self, name: str, step: int, total: int, text: str) -> None:
        """Nothing moves."""

    def line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is left open."""


class _Bar:
    """Rich's progress bar, with lines above it."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._bar: Any = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=out, markup=False),
            refresh_per_second=4,
        )
        self._task: Any = None

    def move(self, name: str, step: int, total: int, text: str) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(name, total=None, text="")
        # A loop of one's own may not know its end.
        known = total if total > step else step or None
        self._bar.update(self._task, completed=step, total=known, text=text)

    def line(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def close(self) -> None:
        self._bar.stop()
