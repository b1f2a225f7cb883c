"""Where a session's record goes beside its folder: sinks; and what logging brings into it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from coflect_widget import events
from coflect_widget.records.logs import RunLog
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.base import EventHandler
from coflect_widget.records.sinks.feed import Sinks
from coflect_widget.records.summary import write_summary
from coflect_widget.records.tracks import write_tracks
from coflect_widget.session import at_exit
from coflect_widget.session.parts import Parts


class Outlets:
    """The sinks and the log of one session.

    Parameters
    ----------
    parts : Parts
        Which end it when they end.
    run : Run
    handlers : iterable of EventHandler
        Checked already.
    """

    def __init__(self, parts: Parts, run: Run, handlers: Iterable[EventHandler]) -> None:
        tell, stream = parts.tell, parts.stream

        def say(notice: events.Notice, step: int, epoch: int) -> None:
            stream.emit(notice, step, epoch)

        self.log = RunLog(run.id, tell.emit, tell.place)
        self._path, self._settle = run.path, stream.flush
        self._sinks = Sinks(handlers, run, say, stream.flush, at_exit.first)
        parts.outlets = self

    def open(self) -> None:
        """Begin; what the session began with is in the stream."""
        self.log.open()
        self._sinks.start()

    def close(self) -> None:
        """End; the stream is still open, and takes what goes wrong."""
        with ExitStack() as closing:
            closing.callback(self.log.close)
            if self._sinks:
                self._settle()
                for write in (write_summary, write_tracks):
                    write(self._path)  # a copy of the folder has them too
            self._sinks.close()
