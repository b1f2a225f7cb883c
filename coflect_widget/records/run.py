"""Reading a run folder, live, finished or interrupted; nothing in it is executed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from numpy.typing import NDArray

from coflect_widget.events import SCHEMA_VERSION, Event, Metrics, Resumed, read_event
from coflect_widget.records.checkpoint_files import Checkpoints, find_checkpoints, pick
from coflect_widget.records.inside import TABLE_BYTES, is_there, open_inside, read_text, whole_lines
from coflect_widget.records.labels import (
    Labels,
    check_note,
    check_tags,
    read_labels,
    write_labels,
)
from coflect_widget.records.locks import hold_for_writing
from coflect_widget.records.scalars import read_scalars
from coflect_widget.records.sinks.base import EventHandler
from coflect_widget.records.sinks.feed import replay
from coflect_widget.records.sinks.mlflow import MLflow
from coflect_widget.records.sinks.named import find_sink
from coflect_widget.records.sinks.registering import register


class DamagedFileError(ValueError):
    """A file of a run folder cannot be read; the message names it and says what to do."""


class Run:
    """A run folder, read-only.

    Attributes
    ----------
    id : str
        Name of the folder.
    path : Path
    damaged : int
        Whole lines that could not be read in the last call of `events`.
    newer : int or None
        Schema version of events that a later version of this package wrote, as far as `events`
        met any: what that version added may be missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.id = self.path.name or self.path.resolve().name
        self.damaged = 0
        self.newer: int | None = None
        if not is_there(self.path, "events.jsonl"):
            near = sorted(p.parent.name for p in self.path.glob("*/events.jsonl"))[-3:]
            hint = f"; did you mean one of {near} in it?" if near else ""
            raise FileNotFoundError(
                f"{str(self.path)!r} is not a run folder: no events.jsonl{hint}"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """``config.yaml``: settings with every default, seed, data, versions; {} if missing.

        Raises
        ------
        DamagedFileError
            If it cannot be read.
        """
        return self._mapping("config.yaml")

    @property
    def meta(self) -> dict[str, Any]:
        """``meta.json``: when, where, by whom; {} if missing.

        Raises
        ------
        DamagedFileError
            If it cannot be read.
        """
        return self._mapping("meta.json")

    def events(self, type: str | None = None) -> list[Event]:  # noqa: A002 - the contract's name
        """Recorded events, oldest first; only those of `type`, if given."""
        return list(self.iter_events(type))

    def iter_events(
        self,
        type: str | Sequence[str] | None = None,  # noqa: A002
    ) -> Iterator[Event]:
        """Like `events`, one at a time, of one or several types. A torn last line is left out."""
        self.damaged = 0
        types = (type,) if isinstance(type, str) else tuple(type or ())
        wanted = [f'"{one}"'.encode() for one in types]  # other programs put a space
        with open_inside(self.path, "events.jsonl") as file:
            for line in whole_lines(file):
                if line is not None and wanted and not any(one in line for one in wanted):
                    continue
                event = None if line is None else read_event(line)
                if event is None:
                    self.damaged += 1
                    continue
                if event.schema_version > SCHEMA_VERSION:
                    self.newer = max(self.newer or 0, event.schema_version)
                if not types or event.type in types:
                    yield event

    def iter_metrics(self) -> Iterator[tuple[Event, dict[str, float | None]]]:
        """Metrics that hold: where the run was resumed, later ones of before are left out."""
        held: list[Event] = []
        for event in self.iter_events(("metrics", "resumed")):
            if isinstance(event.data, Metrics):
                held.append(event)
            elif isinstance(event.data, Resumed):
                limits = {"val": event.data.validated}
                held = [one for one in held if one.step <= limits.get(one.split or "", event.step)]
        for event in held:
            if isinstance(event.data, Metrics):
                yield event, event.data.values

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints on disk, oldest first; ``.last``, ``.best``, or by a name: ``["a"]``."""
        return find_checkpoints(self.path)

    @property
    def labels(self) -> Labels:
        """Tags, notes, and whether the run is archived: ``.tags``, ``.notes``, ``.archived``.

        Raises
        ------
        ValueError
            If ``labels.json`` is damaged.
        """
        return read_labels(self.path)

    def tag(self, **tags: Any) -> None:
        """Name what the run is for, as ``run.tag(goal="baseline", fold=3)``; None takes one off.

        Parameters
        ----------
        **tags : str, int, float, bool or None

        Raises
        ------
        TypeError
            If a value is of another type.
        OSError
            If the disk refuses; the tags are then as they were.
        """
        old = self.labels
        kept = old.tags | check_tags({n: value for n, value in tags.items() if value is not None})
        off = {name for name, value in tags.items() if value is None}
        kept = {name: value for name, value in kept.items() if name not in off}
        write_labels(self.path, replace(old, tags=kept))

    def note(self, text: str) -> None:
        """Write a note below the earlier ones; on disk afterwards."""
        old = self.labels
        write_labels(self.path, replace(old, notes=[*old.notes, check_note(text)]))

    def archive(self, *, archived: bool = True) -> None:
        """Leave the run out of `coflect.runs` from now on, or with False take it in again.

        Nothing is deleted.
        """
        write_labels(self.path, replace(self.labels, archived=archived))

    def replay(self, sink: EventHandler | str) -> EventHandler:
        """Tell a sink the whole run, as it would have been told while it trained.

        Nothing is trained; `Session.replay` trains again. Each call makes a new run there.

        Parameters
        ----------
        sink : str or EventHandler
            As one of ``sinks=`` of `Session`: "mlflow", ``coflect.sinks.MLflow("mine")``, or an
            object with ``on_event(event)``.

        Returns
        -------
        EventHandler
            The sink.

        Raises
        ------
        ImportError
            If the sink's client is not installed; the message has the command.
        ValueError, TypeError
            If there is no such sink.
        """
        return replay(self, find_sink(sink))

    def register(self, name: str, checkpoint: str = "best", *, sink: MLflow | None = None) -> str:
        """Make a checkpoint the next version of a model in MLflow's registry.

        The run is sent to MLflow first, where it is not there yet. The version holds the
        checkpoint's files, among them the weights as safetensors or npz.

        Parameters
        ----------
        name : str
            Of the registered model, which is made if need be.
        checkpoint : str
            "best", "last", or a name that a person gave.
        sink : coflect.sinks.MLflow, optional
            Which server and experiment; MLflow's own settings if left out.

        Returns
        -------
        str
            ``"models:/NAME/VERSION"``.

        Raises
        ------
        ImportError
            If MLflow is not installed; the message has the command.
        ValueError
            If the run has no such checkpoint, or a link in it leads out of the run folder.
        """
        chosen = pick(self.id, self.checkpoints, checkpoint)
        return register(self, chosen, name, sink or MLflow())

    def scalars(self) -> dict[str, NDArray[Any]]:
        """``scalars.csv`` as columns: ``step`` and ``epoch`` (int64), ``split`` (str), metrics.

        Metrics are float64 with NaN where a row has none; ``pandas.DataFrame(run.scalars())``
        works. Rows that are not whole, as where a disk was full, are left out.
        """
        if not is_there(self.path, "scalars.csv"):
            return {}
        return read_scalars(read_text(self.path, "scalars.csv", TABLE_BYTES))

    def repair(self) -> int:
        """Cut a torn last line off the stream if nobody writes the run; returns bytes cut."""
        try:
            with open_inside(self.path, "events.jsonl", mode="r+b") as file:
                if not hold_for_writing(file):
                    return 0
                end = position = file.seek(0, 2)
                while position > 0:
                    start = max(0, position - 65536)
                    file.seek(start)
                    newline = file.read(position - start).rfind(b"\n")
                    if newline >= 0:
                        position = start + newline + 1
                        break
                    position = start
                file.truncate(position)
                return end - position
        except (OSError, ValueError):
            return 0  # read-only media: reading leaves the torn line out anyway

    def _mapping(self, name: str) -> dict[str, Any]:
        if not is_there(self.path, name):
            return {}
        try:
            text = read_text(self.path, name)
            value = yaml.safe_load(text) if name.endswith(".yaml") else json.loads(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            problem = " ".join(str(error).split())
        else:
            if isinstance(value, dict):
                return value
            problem = "it holds no settings by name"
        raise DamagedFileError(
            f"{str(self.path / name)!r} is damaged: {problem}. Mend it or delete it: the run opens "
            "without it, and its events and scalars are whole"
        )
