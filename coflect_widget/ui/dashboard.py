"""The dashboard widget: one model, shown in a cell, in the side panel, or in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent.parent / "static"


class Dashboard(anywidget.AnyWidget):
    """Streams kernel to browser; `Inbox` carries browser to kernel.

    The text of the front end is read once: a path would be watched, and leak each instance.
    """

    program = (_STATIC / "widget.js").read_text(encoding="utf-8")
    style = (_STATIC / "widget.css").read_text(encoding="utf-8")
    _esm = program
    _css = style

    #: What answers the browser, where the widget itself must keep it alive.
    inbox: Any = None
    #: Model id of the inbox; empty where there is no kernel side.
    _controls = traitlets.Unicode("").tag(sync=True)
    #: The last state, so that a saved notebook shows something; see ui.protocol.
    _snapshot = traitlets.Dict().tag(sync=True)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Refresh what a saved notebook shows."""
        self._snapshot = snapshot
