"""The same dashboard in JupyterLab's side panel, inline where that is not to be had."""

from __future__ import annotations

from typing import Any

from IPython.display import display


def show_in_sidebar(widget: Any, title: str, page: str = "") -> Any | None:
    """Open `widget` in the right side panel.

    Parameters
    ----------
    widget : Dashboard
    title : str
        Of the panel's tab.
    page : str
        What the browser's page calls itself; Notebook 7's has no panel that sidecar could use.

    Returns
    -------
    sidecar.Sidecar or None
        None where there is no panel or the package is missing: the widget is then shown below
        the cell.
    """
    try:
        from sidecar import Sidecar
    except ImportError:
        page = "notebooks"
    if page == "notebooks":
        display(widget)  # type: ignore[no-untyped-call]
        return None
    panel = Sidecar(title=title, anchor="right")
    with panel:
        display(widget)  # type: ignore[no-untyped-call]
    return panel
