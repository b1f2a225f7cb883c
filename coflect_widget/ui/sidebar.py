"""The same dashboard in JupyterLab's side panel, inline where that is not to be had."""

from __future__ import annotations

from typing import Any

from IPython.display import display


def show_in_sidebar(widget: Any, title: str) -> Any | None:
    """Open `widget` in the right side panel.

    Returns
    -------
    sidecar.Sidecar or None
        None where the package is missing: the widget is then shown below the cell.
    """
    try:
        from sidecar import Sidecar
    except ImportError:
        display(widget)  # type: ignore[no-untyped-call]
        return None
    panel = Sidecar(title=title, anchor="right")
    with panel:
        display(widget)  # type: ignore[no-untyped-call]
    return panel
