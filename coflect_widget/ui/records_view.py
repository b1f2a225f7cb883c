"""The widget of records: runs side by side, or a search; its bundle is not the dashboard's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

_STATIC = Path(__file__).parent.parent / "static"
#: Hidden where the widget is alive in the same cell's output.
_STYLE = (
    ".jp-OutputArea:has([data-testid=cr-root]) .jp-OutputArea-child:has(.coflect-flat),"
    ".jp-OutputArea:has([data-testid=cr-root]) .coflect-flat{display:none}"
)


class RecordsView(anywidget.AnyWidget):
    """Shows what `_kind` says: "compare", or "sweep".

    The text of the front end is read once: a path would be watched, and leak each instance.
    """

    _esm = (_STATIC / "records.js").read_text(encoding="utf-8")
    _css = (_STATIC / "records.css").read_text(encoding="utf-8")

    _kind = traitlets.Unicode("compare").tag(sync=True)
    #: JSON alone; ``js/src/records/`` reads it.
    _data = traitlets.Dict().tag(sync=True)
    #: Of a comparison the columns of all curves, float32 one after the other.
    _points = traitlets.Bytes().tag(sync=True)
    #: Of a comparison one sample in all runs, with small pictures; {} where no run keeps a map.
    _maps = traitlets.Dict().tag(sync=True)
    #: Model id of what takes a person's words; empty where there is nothing to say.
    _controls = traitlets.Unicode("").tag(sync=True)

    def bundle(self, words: str) -> dict[str, Any]:
        """The mime bundle of the widget, and `words` for who knows no widgets."""
        made = self._repr_mimebundle_()
        view = made[0] if isinstance(made, tuple) else made
        return {**(view or {}), "text/plain": words}


def show(view: RecordsView, words: str, flat: str) -> DisplayHandle | None:
    """Show the widget in the present cell, and below it `flat`, HTML for who has no widgets.

    It is an output of its own, because who knows the widget's type shows no other form of the
    same output, also where no kernel is. The handle is of `flat`, for `show_flat`; None where there
    is no page.
    """
    display(view.bundle(words), raw=True)  # type: ignore[no-untyped-call]
    if not in_notebook():
        return None
    handle = DisplayHandle()  # type: ignore[no-untyped-call]
    handle.display(_flat(words, flat), raw=True)  # type: ignore[no-untyped-call]
    return handle


def show_flat(handle: DisplayHandle, words: str, flat: str) -> None:
    """Show another `flat` where `show` put one."""
    handle.update(_flat(words, flat), raw=True)  # type: ignore[no-untyped-call]


def _flat(words: str, flat: str) -> dict[str, str]:
    html = f'<div class="coflect-flat"><style>{_STYLE}</style>{flat}</div>'
    return {"text/html": html, "text/plain": words}


def in_notebook() -> bool:
    """Whether cells are run here: their output is a page."""
    return getattr(get_ipython(), "kernel", None) is not None
