"""Requests that wait are answered together by one thread; none waits for others to come."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class BusyError(Exception):
    """More rows wait than will be answered soon."""


@dataclass(slots=True)
class _Waiting:
    item: Any
    rows: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class Batcher:
    """Answers on a thread of its own, which begins with the first request.

    The thread takes all that waits, up to `most` rows, and answers it in one call. A request that
    comes alone is answered alone and at once; the busier the service, the larger its batches.

    Parameters
    ----------
    together : callable
        Takes a sequence of items; gives an answer, or an exception, for each.
    most : int
        Rows of one call, from which on no further item is added.
    most_waiting : int
        Rows that may wait.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        most: int = 64,
        most_waiting: int = 4096,
    ) -> None:
        self._together = together
        self._most, self._most_waiting = most, most_waiting
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._rows = 0
        self._lock = threading.Lock()  # of _rows and _thread
        self._thread: threading.Thread | None = None

    async def ask(self, item: Any, rows: int = 1) -> Any:
        """The answer to one item, which holds so many rows, or takes as long as they do.

        Raises
        ------
        BusyError
            If too many rows wait already.
        Exception
            What `together` gave as the answer.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item, rows, loop, loop.create_future())
        with self._lock:
            if self._rows and self._rows + rows > self._most_waiting:
                raise BusyError("too many requests wait; try again later")
            self._rows += rows
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, daemon=True, name="coflect-answers"
                )
                self._thread.start()
        self._queue.put(waiting)
        return await waiting.answer

    def close(self) -> None:
        """Answer what waits, and end the thread; a later request begins another."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _serve(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            taken, rows, ended = [first], first.rows, False
            while rows < self._most and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    taken.append(more)
                    rows += more.rows
            self._answer(taken)
            with self._lock:
                self._rows -= rows
            if ended:
                return

    def _answer(self, taken: list[_Waiting]) -> None:
        try:
            answers = self._together([one.item for one in taken])
        except Exception as error:  # noqa: BLE001 - each request is told, and the thread goes on
            answers = [error] * len(taken)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for one, answer in zip(taken, answers, strict=True):
            loops.setdefault(one.loop, []).append((one.answer, answer))
        for loop, told in loops.items():
            try:
                loop.call_soon_threadsafe(_deliver, told)
            except RuntimeError:  # the loop has ended, and nobody waits
                continue


def _deliver(told: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in told:
        if future.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
