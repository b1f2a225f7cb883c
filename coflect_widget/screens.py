"""With what sessions are shown: import paths that are given, so that no session knows a browser.

Imports nothing, so that the package can say how sessions are shown before there is one.
"""

from __future__ import annotations

_paths: dict[str, str] = {}


def show_with(*, live: str, recorded: str, sidebar: str, page: str, served: str) -> None:
    """Say with what sessions are shown; each is imported when it is first used.

    Parameters
    ----------
    live : str
        Import path "module:name" of what makes a `Screen` from the session's parts and its run.
    recorded : str
        Of what makes a widget from a run alone.
    sidebar : str
        Of what shows a widget beside the cells: ``(widget, title, page) -> object``.
    page : str
        Of what writes one file that shows a run: ``(run, path) -> Path``.
    served : str
        Of what lets other processes show and steer a session: ``(session) -> Served``.
    """
    _paths.update(live=live, recorded=recorded, sidebar=sidebar, page=page, served=served)


def screen(name: str) -> str:
    """Import path of one of them.

    Raises
    ------
    RuntimeError
        If nothing shows sessions.
    """
    if name not in _paths:
        raise RuntimeError("nothing shows sessions here; import coflect_widget as a whole")
    return _paths[name]
