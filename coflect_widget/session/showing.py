"""How a session is shown: by import paths that are given to it, because it knows no browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from coflect_widget.backends.registry import resolve
from coflect_widget.screens import screen
from coflect_widget.session.held import Held


def _way(name: str) -> Any:
    return resolve(screen(name))


class Screen(Protocol):
    """A dashboard on a session.

    Attributes
    ----------
    widget : object
        What a notebook shows.
    """

    widget: Any

    @property
    def page(self) -> str:
        """What the browser's page calls itself; "" where it has said nothing."""

    def show(self) -> None:
        """Show the widget in the present cell, and below it what is left without a kernel."""

    def close(self) -> None:
        """Show the session's last state and end every thread."""


class Served(Protocol):
    """A session that other processes may show and steer.

    Attributes
    ----------
    path : Path
        The connection file.
    """

    path: Path

    def close(self) -> None:
        """Tell those who are connected, and end every thread."""


class Shows(Held):
    """Mixed into `Session`: in a cell, in the side panel, in a file, in another process."""

    _served: Served | None = None

    _dashboard: Screen | None = None
    _replayed: Any = None  # where it is first shown after it was closed

    def dashboard(self) -> Any:
        """The dashboard widget; one per session, however often it is shown."""
        if self._dashboard is not None:
            return self._dashboard.widget
        if self._made().closed:
            self._replayed = self._replayed or _way("recorded")(self._run)
            return self._replayed
        self._dashboard = _way("live")(self._open(), self._run)
        return self._dashboard.widget

    def sidebar(self) -> Any:
        """Show the dashboard in JupyterLab's right side panel; below the cell elsewhere.

        Notebook 7 is recognised once the dashboard has been shown there in a cell.
        """
        widget = self.dashboard()
        page = "" if self._dashboard is None else self._dashboard.page
        return _way("sidebar")(widget, f"Coflect {self._run.id}", page)

    def serve(self) -> Path:
        """Let other processes of this user show and steer the training, until it is closed.

        Returns
        -------
        Path
            The connection file in the run folder; ``coflect.connect(session.run.path)`` reads it.

        Raises
        ------
        RuntimeError
            If the session is closed, or what it takes is not installed.
        OSError
            If the file cannot be written.
        """
        self._led(steers=False)
        if self._served is None:
            self._served = _way("served")(self)
        return self._served.path

    def _ipython_display_(self) -> None:
        widget = self.dashboard()
        if self._dashboard is not None and not self._made().closed:
            self._dashboard.show()
        else:
            widget.show()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.dashboard()._repr_mimebundle_(**kwargs)

    def _display_(self) -> Any:
        return self.dashboard()  # marimo shows what this returns

    def save_html(self, path: str | Path) -> Path:
        """Write what the dashboard shows to one file that needs no kernel and no network.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self._on_disk()
        written: Path = _way("page")(self._run, path)
        return written
