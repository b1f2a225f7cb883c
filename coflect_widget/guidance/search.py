"""Goes through the training data for an artefact, beside the training and without its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Hits
from coflect_widget.guidance.hits import Hit
from coflect_widget.modalities.base import Corners, Modality, Region
from coflect_widget.workers.idle_worker import IdleWorker

#: Samples that are read and looked through at once.
CHUNK = 128
#: Other samples that tell how different places usually are.
OTHERS = 32
#: Hits that an event names; the page that is shown.
SHOWN = 60
_TELL_SECONDS = 1.0

ReadInput = Callable[[int], NDArray[np.float32]]


class ArtefactSearch:
    """Searches, one after the other, in a thread of its own.

    Parameters
    ----------
    worker : IdleWorker
        Does the comparing.
    modality : Modality
        What is alike.
    read_input : callable (index) -> ndarray
    count : int
        Samples in the training data.
    tell : callable (Hits)
        Called on the search's thread as it goes on, and at its end.
    """

    def __init__(
        self,
        worker: IdleWorker,
        modality: Modality,
        read_input: ReadInput,
        count: int,
        tell: Callable[[Hits], Any],
    ) -> None:
        self._worker = worker
        self._modality = modality
        self._read_input = read_input
        self._count = count
        self._tell = tell
        self._found: dict[str, list[Hit]] = {}
        self._running: dict[str, Future[list[Hit]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, intervention: str, sample: int, region: Region) -> Future[list[Hit]]:
        """Look for what `region` marks in `sample`; a search that goes on is not begun twice.

        Returns
        -------
        Future of list of Hit
            Best first, without the sample itself.
        """
        with self._lock:
            if intervention in self._running:
                return self._running[intervention]
            future: Future[list[Hit]] = Future()
            self._running[intervention] = future
        threading.Thread(
            target=self._serve,
            args=(future, intervention, sample, region),
            name="coflect-search",
            daemon=True,
        ).start()
        return future

    def found(self, intervention: str) -> list[Hit] | None:
        """What the last search for it found; None where none has ended."""
        return self._found.get(intervention)

    def close(self) -> None:
        """End what goes on at the next chunk."""
        self._closed = True

    def _serve(self, future: Future[list[Hit]], name: str, sample: int, region: Region) -> None:
        try:
            hits = self._search(name, sample, region)
        except BaseException as error:  # noqa: BLE001 - whoever asked gets the reason
            with self._lock:
                self._running.pop(name, None)
            if not self._closed:
                text = str(error) or repr(error)
                failed = Hits(
                    intervention=name, count=0, searched=0, total=self._count, done=True, error=text
                )
                self._tell(failed)
            future.set_exception(error)
            return
        with self._lock:
            self._found[name] = hits
            self._running.pop(name, None)
        future.set_result(hits)

    def _search(self, name: str, sample: int, region: Region) -> list[Hit]:
        x = self._read_input(sample)
        spread = np.linspace(0, self._count - 1, min(OTHERS, self._count)).round()
        others = np.stack([self._read_input(int(k)) for k in spread])
        template = self._modality.template(x, region, others)
        hits: list[Hit] = []
        told = time.monotonic()
        for start in range(0, self._count, CHUNK):
            if self._closed:
                raise RuntimeError("the session was closed")
            indices = range(start, min(start + CHUNK, self._count))
            inputs = np.stack([self._read_input(k) for k in indices])
            score, box, same = self._worker.run(self._modality.find, inputs, template)
            hits += [
                Hit(indices[k], _rounded(box[k]), round(float(score[k]), 4))
                for k in np.flatnonzero(same)
                if indices[k] != sample
            ]
            if time.monotonic() - told > _TELL_SECONDS and indices.stop < self._count:
                told = time.monotonic()
                self._tell(_hits(name, hits, indices.stop, self._count, done=False))
        hits.sort(key=lambda hit: -hit.score)
        self._tell(_hits(name, hits, self._count, self._count, done=True))
        return hits


def _rounded(box: NDArray[np.float32]) -> Corners:
    return tuple(round(float(v), 5) for v in box)


def _hits(name: str, hits: Sequence[Hit], searched: int, total: int, *, done: bool) -> Hits:
    shown = sorted(hits, key=lambda hit: -hit.score)[:SHOWN]
    return Hits(
        intervention=name,
        count=len(hits),
        searched=searched,
        total=total,
        done=done,
        index=[hit.index for hit in shown],
        box=[hit.box for hit in shown],
        score=[hit.score for hit in shown],
    )
