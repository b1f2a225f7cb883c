"""The dashboard of a training elsewhere: the messages of its two models go over the link."""

from __future__ import annotations

import threading
from typing import Any

from coflect_widget.elsewhere.link import Link
from coflect_widget.ui.dashboard import Dashboard
from coflect_widget.ui.inbox import Receiver

FIRST = 10.0  # seconds that the first picture of the training may take


class Relay:
    """Shows a training elsewhere as its own process would.

    Attributes
    ----------
    widget : Dashboard
    page : str
        What the page that said hello last calls itself; see `Intake`.
    """

    def __init__(self, link: Link) -> None:
        self.widget = Dashboard()
        self.page = ""
        self._link = link
        self._kept: dict[str, Any] = {}
        self._came = threading.Event()
        self._receiver = Receiver(self._take)
        self.widget._controls = self._receiver.model_id
        self.widget.inbox = self._receiver
        link.listen(self._screen, self._lost)

    def show(self) -> None:
        """Show the widget in the present cell."""
        self._came.wait(FIRST)
        if self._kept:
            self.widget.show(self._kept)
        else:
            from IPython.display import display

            display(self.widget.view(), raw=True)  # type: ignore[no-untyped-call]

    def _screen(self, data: dict[str, Any], buffers: list[bytes]) -> None:
        """What a browser gets; on the link's thread."""
        if data["kind"] == "screen":
            self.widget.send(data["content"], buffers)
            return
        self._kept = {"update": data["update"], "buffers": buffers}
        self.widget.keep(self._kept)
        self._came.set()

    def _take(self, content: Any) -> None:
        """What a browser says; on a thread of this kernel."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            self.page = str(content.get("page"))
        if self._link.lost is None:
            self._link.say({"kind": "page", "content": content})
            return
        if kind == "hello" and self._kept:  # a page that was loaded anew
            self.widget.send(self._kept["update"], self._kept["buffers"])
            self._lost(self._link.lost)
        elif kind not in ("hello", "ack", "look", "compare") and isinstance(content, dict):
            self.widget.send(
                {
                    "kind": "reply", "id": str(content.get("id")), "ok": False,
                    "text": self._link.lost, "step": None,
                }
            )  # fmt: skip

    def _lost(self, why: str) -> None:
        self.widget.send({"kind": "lost", "text": why})
        self._came.set()
