"""Requests that a service kept, as a queue in a session's dashboard: a person says their classes.

A class is on disk before the screen says so, and the sample joins the training that is under way.
"""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import wait
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.modalities.base import Rendering
from coflect_widget.projects.endpoint.keeping import LABELLED, WAITING, KeptRow, names_in
from coflect_widget.projects.endpoint.kept import Kept, kept
from coflect_widget.projects.quickstart.held import names_of
from coflect_widget.records.pictures import NoDataError
from coflect_widget.session.desk import Answer

#: Requests that the dashboard holds at once, the least sure first.
_SHOWN = 12
#: Seconds between two looks at the folder.
_EVERY = 1.0
#: Seconds that an answer waits for a step to end.
_APPLIED = 60.0


class Labelling:
    """Watches the requests of one run, on a thread of its own, until it is closed.

    Parameters
    ----------
    session : DataSession
        Whose dashboard asks; not held.
    kept : Kept
        Of a run with the classes of the session.

    Raises
    ------
    ValueError
        If the run tells no classes, or others.
    """

    def __init__(self, session: Any, kept: Kept) -> None:
        classes = kept.classes
        if not classes:
            raise ValueError(
                "the dashboard asks for classes, and this run tells none; give values with "
                "coflect.kept(run).label(number, value)"
            )
        if classes != session.pipeline.goal.state().get("classes"):
            raise ValueError("the run tells other classes than this session")
        self._session = weakref.ref(session)
        self._kept, self._classes = kept, classes
        self._lock = threading.Lock()
        self._seen: object = None  # what was in the folder
        self._said: events.Requests | None = None
        self._held: set[bytes] | None = None
        self._ended = threading.Event()
        parts = session._open()
        parts.gallery.requests = self._drawn
        parts.desk.label_request = self.label
        self._look()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="coflect-requests")
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def label(self, name: str, label: int | None) -> Answer:
        """Take the class of a request, or remove it; waits until that is on disk.

        Parameters
        ----------
        name : str
            `KeptRow.id`.
        label : int or None
            The class by its number; None removes the request from the disk.

        Raises
        ------
        ValueError
            If nobody waits for it; nothing has changed then.
        """
        most = len(self._classes) - 1
        if label is not None and not 0 <= label <= most:
            raise ValueError(f"label={label} is no class; expected 0 to {most}")
        with self._lock:
            self._kept.refresh()
            number = self._number(name)
            row = self._kept[number]
            if label is None:
                self._kept.forget(number)
            else:
                self._kept.label(number, self._classes[label])
            self._tell()
        # Not under the lock: a training takes the sample at its next step boundary.
        return Answer("Removed from the disk") if label is None else self._join(row, label)

    def _number(self, name: str) -> int:
        for number in self._kept.queue:
            if self._kept[number].id == name:
                return number
        raise ValueError("this request waits no more: it is labelled, or the service made room")

    def _join(self, row: KeptRow, label: int) -> Answer:
        """Have a labelled row trained on; the label is on disk, whatever comes of it."""
        said = f"Labelled {self._classes[label]}"
        session = self._session()
        if session is None:
            return Answer(said)
        try:
            x = _inputs_of(session, row)
            if names_of(x)[0] in self._held_by(session):
                why = "equal to a row that the training is judged by"
                return Answer(f"{said}; not trained on: {why}")
            joining = session._open().data.add(x, np.array([label]))
            if not wait([joining], _APPLIED).done:
                return Answer(f"{said}; the training takes the sample at its next step boundary")
            entry = joining.result()
        except Exception as error:  # noqa: BLE001 - what a person has said stays
            return Answer(f"{said}, and not trained on here: {error}")
        return Answer(f"{said}: {entry.record.understood}", entry.step, entry)

    def _held_by(self, session: Any) -> set[bytes]:
        if self._held is None:
            split = session.split
            rows = session.sheet.rows(np.concatenate([split.validation, split.test]))
            self._held = set(names_of(session.pipeline.inputs.transform(rows)))
        return self._held

    def _drawn(self, name: str) -> Rendering:
        """A request as the browser draws it."""
        session = self._session()
        if session is None:
            raise NoDataError("the session is gone")
        parts = session._made()
        with self._lock:
            row = self._kept[self._number(name)]
        x = _inputs_of(session, row)[0]
        display = parts.config.display
        found: Rendering = parts.modality.render(x, display)
        return replace(found, content=parts.modality.content(x, display))

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY):
            if self._session() is None:
                return
            self._look()

    def _look(self) -> None:
        """Tell what has come into the folder or gone."""
        found = [names_in(self._kept.folder, room) for room in (WAITING, LABELLED)]
        if found == self._seen:
            return
        self._seen = found
        with self._lock:
            self._kept.refresh()
            self._tell()

    def _tell(self) -> None:
        session, kept = self._session(), self._kept
        if session is None:
            return
        queue = kept.queue
        first = [kept[number] for number in queue[:_SHOWN]]
        said = events.Requests(
            waiting=len(queue),
            labelled=len(kept) - len(queue),
            id=[row.id for row in first],
            told=[self._told(row) for row in first],
            confidence=[row.confidence for row in first],
        )
        if said != self._said:
            self._said = said
            session._made().tell.emit(said)

    def _told(self, row: KeptRow) -> int | None:
        name = row.told.get("class")
        return self._classes.index(name) if name in self._classes else None


def _inputs_of(session: Any, row: KeptRow) -> NDArray[Any]:
    """What the session's network takes (1, ...) for a row, whatever scales the served run has.

    Raises
    ------
    ValueError
        If it does not fit the session's data.
    """
    inputs = session.pipeline.inputs
    found: NDArray[Any] = inputs.transform(inputs.asked(inputs.requested(row.row)))
    return found


def labelling(session: Any, run: Any) -> Labelling:
    """Have a session's dashboard ask for the requests of a run, or of its path; see `Labelling`."""
    return Labelling(session, kept(run))
