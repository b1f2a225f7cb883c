"""Browser to kernel: a widget model without a view, on which no thread ever publishes.

Because nothing is sent on it, the kernel handles its messages on a thread of its own, and Pause
works while a cell is busy. A message is checked, handed on and done; nothing waits here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets
from pydantic import ValidationError

from coflect_widget.events import COMMAND, Command, Explain

MAX_ID = 64  # characters of a message's id

Reply = Callable[[bool, str, int | None], None]


class Commandable(Protocol):
    """What takes a person's commands; `reply` is called once, on any thread."""

    def handle(self, command: Command, reply: Reply) -> None:
        """Check and enqueue one command; raises what the person should read."""


class Answers(Protocol):
    """Where answers go: the publisher of the dashboard."""

    def hello(self) -> None:
        """A browser asks for everything."""

    def select(self, index: int) -> None:
        """A person wants to see this sample."""

    def reply(self, identifier: str, *, ok: bool, text: str, step: int | None) -> None:
        """Answer the message of this id."""


class Controls(ipywidgets.Widget):  # type: ignore[misc]
    """The receiving end of the dashboard's buttons.

    Attributes
    ----------
    malformed : int
        Messages that were no valid command; they changed nothing.
    refused : int
        Valid commands that could not be carried out, such as a region outside the picture;
        they changed nothing either.
    """

    def __init__(self, target: Commandable, answers: Answers) -> None:
        super().__init__()
        self.malformed = self.refused = 0
        self._target = target
        self._answers = answers
        self.on_msg(self._receive)
        # ipykernel 7 sends a message to the shell that last published on its comm; opening the
        # comm counts, and ties it to the shell that runs the cells. Without that note each
        # message is handled where the browser sent it: on a subshell, also beside a busy cell.
        noted = getattr(self.comm, "__dict__", {})
        noted.pop("_reply_subshell_id", None)

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        identifier = content.get("id") if isinstance(content, dict) else None
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID:
            self.malformed += 1
            return
        fields = {key: value for key, value in content.items() if key != "id"}
        if fields == {"kind": "hello"}:
            self._answers.hello()
            return
        answers = self._answers

        def reply(ok: bool, text: str, step: int | None) -> None:  # noqa: FBT001 - see Reply
            answers.reply(identifier, ok=ok, text=text, step=step)

        try:
            command = COMMAND.validate_python(fields)
        except ValidationError as error:
            self.malformed += 1
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "message"
            reply(False, f"Not understood: {where}: {first['msg']}", None)
            return
        try:
            self._target.handle(command, reply)
        except Exception as error:  # noqa: BLE001 - the person gets the reason
            self.refused += 1
            reply(False, str(error) or repr(error), None)
            return
        if isinstance(command, Explain):
            answers.select(command.index)
