"""Browser to kernel: a widget model without a view, on which no thread ever publishes.

Because nothing is sent on it, its messages need not be handled where cells run (`beside_cells`),
and Pause works while a cell is busy. A message is checked, handed on and done; nothing waits here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets
from pydantic import ValidationError

from coflect_widget.events import Command, Explain
from coflect_widget.ui.beside_cells import answer_beside_cells
from coflect_widget.ui.protocol import FROM_BROWSER
from coflect_widget.ui.screen_messages import Ack, Compare, Hello, Look

MAX_ID = 64  # characters of a message's id

Reply = Callable[[bool, str, int | None], None]


def not_understood(error: ValidationError) -> str:
    """What a page is told of a message that has not the form of one."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"Not understood: {where}: {first['msg']}"


class Commandable(Protocol):
    """What takes a person's commands; `reply` is called once, on any thread."""

    def handle(self, command: Command, reply: Reply) -> None:
        """Check and enqueue one command; raises what the person should read."""


class Answers(Protocol):
    """Where answers go: the publisher of the dashboard."""

    def hello(self, client: str) -> None:
        """A browser asks for everything."""

    def ack(self, client: str, seq: int, *, seen: bool, attended: bool) -> None:
        """A browser has shown the update `seq`; `seen`: somebody looks at it."""

    def look(self, index: int, step: int | None) -> None:
        """A person looks at an earlier map of a sample; with None at the sample itself."""

    def compare(self, run: str) -> None:
        """Draw another run behind the charts; "" for none."""

    def select(self, index: int) -> None:
        """A person wants to see this sample."""

    def reply(self, identifier: str, *, ok: bool, text: str, step: int | None) -> None:
        """Answer the message of this id."""


class Receiver(ipywidgets.Widget):  # type: ignore[misc]
    """A model that takes the messages of a page: `take(content)`, beside the cells, unchecked."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        super().__init__()
        self.on_msg(lambda _widget, content, _buffers: take(content))
        answer_beside_cells(self.comm)


class Intake:
    """Checks the messages of pages and hands them on; any thread, nothing here waits.

    Attributes
    ----------
    malformed : int
        Messages that were no valid command; they changed nothing.
    refused : int
        Valid commands that could not be carried out, such as a region outside the picture;
        they changed nothing either.
    page : str
        What the page that said hello last calls itself: "notebooks" in Notebook 7, "" elsewhere.
    """

    def __init__(self, target: Commandable, answers: Answers) -> None:
        self.malformed = self.refused = 0
        self.page = ""
        self._target = target
        self._answers = answers

    def take(self, content: Any) -> None:
        """One message, as it came from a page."""
        identifier = content.get("id") if isinstance(content, dict) else None
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID:
            self.malformed += 1
            return
        fields = {key: value for key, value in content.items() if key != "id"}
        answers = self._answers

        def reply(ok: bool, text: str, step: int | None) -> None:  # noqa: FBT001 - see Reply
            answers.reply(identifier, ok=ok, text=text, step=step)

        try:
            message = FROM_BROWSER.validate_python(fields)
        except ValidationError as error:
            self.malformed += 1
            reply(False, not_understood(error), None)
            return
        if self._of_the_view(identifier, message):
            return
        try:
            self._target.handle(message, reply)
        except Exception as error:  # noqa: BLE001 - the person gets the reason
            self.refused += 1
            reply(False, str(error) or repr(error), None)
            return
        if isinstance(message, Explain):
            answers.select(message.index)

    def _of_the_view(self, client: str, message: object) -> bool:
        """Messages about what is on the screen; they change nothing of the run."""
        match message:
            case Hello():
                self.page = message.page
                self._answers.hello(client)
            case Ack():
                self._answers.ack(client, message.seq, seen=message.seen, attended=message.attended)
            case Look():
                self._answers.look(message.index, message.step)
            case Compare():
                self._answers.compare(message.run)
            case _:
                return False
        return True


class Inbox(Receiver):
    """The receiving end of the dashboard's buttons.

    Attributes
    ----------
    intake : Intake
        What checks the messages; it counts those that could not be used.
    """

    def __init__(self, target: Commandable, answers: Answers) -> None:
        self.intake = Intake(target, answers)
        super().__init__(self.intake.take)

    @property
    def malformed(self) -> int:
        """See `Intake`."""
        return self.intake.malformed

    @property
    def refused(self) -> int:
        """See `Intake`."""
        return self.intake.refused

    @property
    def page(self) -> str:
        """See `Intake`."""
        return self.intake.page

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:
        self.intake.take(content)
