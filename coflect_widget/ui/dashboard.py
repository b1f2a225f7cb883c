"""The dashboard widget: one model, shown in a cell, in the side panel, or in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from coflect_widget.ui.still import Still, bundle

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

    def view(self) -> dict[str, Any]:
        """The mime bundle of the widget alone."""
        made = super()._repr_mimebundle_()
        return dict(made[0] if isinstance(made, tuple) else made or {})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and its last state as HTML for who knows no widgets."""
        del kwargs
        return {**self.view(), **(bundle(self._snapshot) if self._snapshot else {})}

    def show(self, kept: dict[str, Any] | None = None, still: Still | None = None) -> None:
        """Show it in the present cell, and below it its last state (`kept`) as HTML (`still`)."""
        kept = kept or self._snapshot
        words = f"Dashboard of {bundle(kept)['text/plain']}"
        display({**self.view(), "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]
        (still or Still()).show(kept)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Refresh what a saved notebook shows."""
        self._snapshot = snapshot
