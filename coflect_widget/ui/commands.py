"""What the dashboard's commands do to a session: handed to its desk, answered when done."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from coflect_widget.events import Command, SavePage
from coflect_widget.session.desk import Answer
from coflect_widget.session.parts import Parts

Reply = Callable[[bool, str, int | None], None]


class Commands:
    """Takes the commands of a dashboard, on any thread; nothing here waits.

    Parameters
    ----------
    parts : Parts
    save : callable () -> Path, optional
        Writes what the dashboard shows as one page, and gives its place.
    """

    def __init__(self, parts: Parts, save: Callable[[], Path] | None = None) -> None:
        # not held: a dashboard may be shown for longer than anybody needs the model
        self._parts = weakref.ref(parts)
        self._save = save

    def handle(self, command: Command, reply: Reply) -> None:
        """Hand one command on; `reply(ok, text, step)` is called once it is done and on disk.

        Raises
        ------
        ValueError, IndexError, RuntimeError
            What the person should read; nothing has changed then.
        """
        if isinstance(command, SavePage) and self._save is not None:
            # It takes seconds where there are many maps; whoever handles messages must not.
            threading.Thread(
                target=_save_page, args=(self._save, reply), name="coflect-saving", daemon=True
            ).start()
            return
        parts = self._parts()
        if parts is None or parts.closed:
            raise RuntimeError("the session is closed; make a new one to go on")

        def done(finished: Future[Answer]) -> None:
            error = finished.exception()
            if error is None:
                answer = finished.result()
                reply(True, answer.text, answer.step)
            else:
                reply(False, str(error) or repr(error), None)

        parts.desk.handle(command).add_done_callback(done)


def _save_page(save: Callable[[], Path], reply: Reply) -> None:
    try:
        path = save()
    except Exception as error:  # noqa: BLE001 - the person gets the reason
        reply(False, f"The page could not be written: {error}", None)
        return
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    reply(True, f"Saved {shown}", None)
