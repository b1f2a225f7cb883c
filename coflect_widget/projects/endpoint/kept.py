"""``coflect.kept``: requests that a service kept, labelled by a person, and what is trained on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.endpoint.keeping import (
    LABELLED,
    WAITING,
    KeptRow,
    names_in,
    read_row,
)
from coflect_widget.projects.endpoint.sources import pipeline_in
from coflect_widget.projects.quickstart.building import build
from coflect_widget.projects.quickstart.deciding import Choices, Question, decide
from coflect_widget.projects.quickstart.divided import RULE, remembered
from coflect_widget.projects.quickstart.duplicates import groups
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import find

#: A network that has learned needs so many times fewer epochs.
_SHORTER = 4


def kept(run: Any) -> Kept:
    """Requests that ``coflect serve RUN --keep N`` has kept.

    Parameters
    ----------
    run : path or run
        The run folder, or the folder of the ONNX file that was served.

    Raises
    ------
    ValueError
        If it has no pipeline of quickstart.

    Examples
    --------
    >>> rows = coflect.kept("runs/run_001_20261130_1000")  # doctest: +SKIP
    >>> rows[rows.queue[0]].row, rows[rows.queue[0]].told  # doctest: +SKIP
    >>> rows.label(rows.queue[0], "yes")  # doctest: +SKIP
    >>> session = rows.session("people.csv")  # doctest: +SKIP
    >>> session.train()  # doctest: +SKIP
    """
    return Kept(Path(getattr(run, "path", run)))


class Kept:
    """A list of `KeptRow`, as they were when it was made; `refresh` reads those that came since.

    Attributes
    ----------
    folder : Path
    damaged : int
        Files that hold no row and were left out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._inputs, self._goal, self.target, _ = pipeline_in(folder)
        self._rows: list[KeptRow] = []
        self._read: dict[str, tuple[Any, KeptRow]] = {}  # by file: by what a change shows, the row
        self.damaged = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> KeptRow:
        return self._rows[number]

    def __iter__(self) -> Iterator[KeptRow]:
        return iter(self._rows)

    def __repr__(self) -> str:
        labelled = len(self) - len(self.queue)
        return f"<{len(self)} requests of {self.folder.name}, {labelled} labelled>"

    def refresh(self) -> None:
        """Read what was kept or changed since; rows may have other numbers afterwards."""
        rows: dict[str, KeptRow] = {}
        read: dict[str, tuple[Any, KeptRow]] = {}
        self.damaged = 0
        for room in (WAITING, LABELLED):
            for name in names_in(self.folder, room):
                file = f"{self.folder}/{room}/{name}.json"
                try:
                    facts = os.lstat(file)
                    same = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                    known = self._read.get(file)
                    if known is None or known[0] != same:
                        known = same, read_row(self.folder, room, name)
                except FileNotFoundError:
                    continue  # the service made room meanwhile
                except (ValueError, OSError):
                    self.damaged += 1
                    continue
                read[file], rows[name] = known, known[1]
        self._read = read
        self._rows = sorted(rows.values(), key=lambda row: (row.at, row.id))

    @property
    def classes(self) -> list[str]:
        """Names of what a label can be; [] where it is no class."""
        return list(self._goal.state().get("classes") or [])

    def inputs_of(self, row: KeptRow) -> NDArray[Any]:
        """What the network takes (1, ...) for a row.

        Raises
        ------
        ValueError
            If it does not fit the pipeline.
        """
        return self._inputs.transform(self._inputs.asked(self._inputs.requested(row.row)))

    @property
    def queue(self) -> list[int]:
        """Numbers of the rows without a label, those first of which the model is least sure."""
        without = [k for k, row in enumerate(self._rows) if row.label is None]
        return sorted(without, key=lambda k: self._rows[k].confidence or 0.0)

    def label(self, number: int, value: Any) -> None:
        """Say what a row's target is; that is on disk when this returns.

        Parameters
        ----------
        number : int
        value : str, float or list of float
            A class by its name, or a number; of a timeline the numbers that came, as many as the
            model tells.

        Raises
        ------
        IndexError
            If there is no such row.
        ValueError
            If the target cannot be that.
        """
        self._coded([value])
        row = replace(self._rows[number], label=value)
        for room in ("kept", LABELLED):
            find(self.folder, room)  # no link leads out of the folder
            (self.folder / room).mkdir(mode=0o700, exist_ok=True)
        with replacing(self.folder / LABELLED / f"{row.id}.json") as part:
            part.write_text(row.text(), encoding="utf-8")
        (self.folder / WAITING / f"{row.id}.json").unlink(missing_ok=True)
        self._rows[number] = row

    def forget(self, number: int) -> None:
        """Remove a row from the disk, labelled or not.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        for room in (WAITING, LABELLED):
            find(self.folder, room)
            (self.folder / room / f"{self._rows[number].id}.json").unlink(missing_ok=True)
        del self._rows[number]

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Labelled rows, as the run's network takes them.

        Returns
        -------
        x : ndarray (n, ...)
            Inputs.
        y : ndarray (n,) int64, or (n, outputs) float32
            Class numbers, or values less their mean and divided by their deviation.

        Raises
        ------
        ValueError
            If no row is labelled, or a row does not fit the pipeline.
        """
        labelled = self._labelled()
        if not labelled:
            raise ValueError(f"no request of {self.folder} is labelled; label(number, class) first")
        parts = [self.inputs_of(row) for row in labelled]
        return np.concatenate(parts), self._coded([row.label for row in labelled])

    def session(self, data: Any, model: Callable[..., Any] | None = None, **arguments: Any) -> Any:
        """A session that goes on with the run's network, on its data and the labelled rows.

        The rows are divided as they were: the test part is the same, and neither it nor the
        validation part gets a labelled row. A labelled row whose inputs equal those of a row in
        one of the two is left out, and how many were is printed. Fewer epochs are proposed than the
        first time; trees are grown anew, with as many rounds as the first time. The dashboard asks
        for the classes of the rows that have none; see `DataSession.to_label`.

        Parameters
        ----------
        data
            What `quickstart` was given for the run.
        model : callable, optional
            What made the network, where `quickstart` was given one.
        **arguments
            As of `quickstart`: ``run_dir``, ``batch_size``, ``config`` and those of `Session`.

        Returns
        -------
        DataSession
            Its run has the pipeline of the first, and can be served.

        Raises
        ------
        ValueError
            If no row was kept, the run is no run of quickstart, or the data are others.
        """
        to_come = self.classes and self.queue and not self._labelled()
        more = None if to_come else self.arrays()
        columns, seed, rule = remembered(self.folder)
        pipeline = Pipeline.of(self.folder, model)
        found = look(data)
        out = {column.name for column in found.speaking} - {*columns, self.target}
        lacking = [name for name in columns if name not in found.sheet.cells]
        if lacking:
            raise ValueError(f"the data have no column {lacking[0]!r}, with which the run was made")
        own = [column for column in found.columns if column.name in columns]
        if rule != RULE and len(set(groups(found.sheet, own).tolist())) < len(found.sheet):
            raise ValueError(
                f"{self.folder} divided equal rows by the rule of an earlier version: some that "
                "it was trained on would be among those to test; begin a run anew with "
                "coflect.quickstart"
            )
        choices = Choices(self.target, self._inputs.name, self._goal.name, tuple(out))
        decision = decide(found, choices)
        if isinstance(decision, Question):
            raise ValueError(f"the data are not those of the run: {decision.text}")
        session, said = build(decision, begin=pipeline, more=more, seed=seed, **arguments)
        if said:
            print("\n".join(said))  # noqa: T201 - how the data were prepared
        if pipeline.learner.goes_on:
            session.epochs = max(1, session.epochs // _SHORTER)
        if self.classes:
            session.to_label(self.folder)
        return session

    def _labelled(self) -> list[KeptRow]:
        return [row for row in self._rows if row.label is not None]

    def _coded(self, labels: list[Any]) -> NDArray[Any]:
        """Labels as the network is trained on them.

        Raises
        ------
        ValueError
            If one of them can be none.
        """
        goal, classes = self._goal, self._goal.state().get("classes")
        if not goal.needs_target:
            raise ValueError(f"{goal.noun} has no target: there is nothing to label")
        if classes is not None:
            for label in labels:
                if label not in classes:
                    known = ", ".join(map(repr, classes[:20]))
                    raise ValueError(f"{label!r} is no class; expected one of {known}")
            return goal.transform(np.array(labels, object))
        try:
            found = np.array(labels, np.float64).reshape(len(labels), -1)
        except (TypeError, ValueError):
            found = np.empty((0, 0))
        if found.shape != (len(labels), goal.outputs) or not np.isfinite(found).all():
            what = "a number" if goal.outputs == 1 else f"a list of {goal.outputs} numbers"
            raise ValueError(f"{labels[0]!r} is no target; expected {what}")
        return goal.transform(found)
