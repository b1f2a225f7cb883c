"""What the dashboard's commands do to a session: handed to its desk, answered when done."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future

from coflect_widget.events import Command
from coflect_widget.session.desk import Answer
from coflect_widget.session.parts import Parts

Reply = Callable[[bool, str, int | None], None]


class Commands:
    """Takes the commands of a dashboard, on any thread; nothing here waits."""

    def __init__(self, parts: Parts) -> None:
        # not held: a dashboard may be shown for longer than anybody needs the model
        self._parts = weakref.ref(parts)

    def handle(self, command: Command, reply: Reply) -> None:
        """Hand one command on; `reply(ok, text, step)` is called once it is done and on disk.

        Raises
        ------
        ValueError, IndexError, RuntimeError
            What the person should read; nothing has changed then.
        """
        parts = self._parts()
        if parts is None or parts.closed:
            raise RuntimeError("the session is closed; make a new one to go on")

        def done(finished: Future[Answer]) -> None:
            error = finished.exception()
            if error is None:
                reply(True, *finished.result())
            else:
                reply(False, str(error) or repr(error), None)

        parts.desk.handle(command).add_done_callback(done)
