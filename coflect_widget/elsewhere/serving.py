"""`coflect.serve`, `coflect.connect` and `coflect run`: what a person calls."""

from __future__ import annotations

import getpass
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from coflect_widget.session.kernel import SERVE

if TYPE_CHECKING:
    from coflect_widget.elsewhere.remote import RemoteSession
    from coflect_widget.session import Session

_NEEDED = ("jupyter_client", "zmq")


def serve(session: Session) -> Path:
    """Let other processes of this user show and steer a training, until its session is closed.

    A thread listens on the loopback address. What goes over the connection is encrypted; the keys
    are in ``connection.json`` in the run folder, which only its owner can read.

    Parameters
    ----------
    session : Session
        Serving a session again changes nothing.

    Returns
    -------
    Path
        The connection file. ``coflect.connect`` takes the file or the run folder.

    Raises
    ------
    RuntimeError
        If the session is closed, or what it takes is not installed.
    OSError
        If the file cannot be written.
    """
    _check_installed()
    return session.serve()


def connect(place: str | Path, *, by: str | None = None, timeout: float = 15.0) -> RemoteSession:
    """Connect to a training of another process that is served.

    Parameters
    ----------
    place : path
        The run folder, or a copy of its connection file.
    by : str, optional
        Who is recorded as the author of what is asked here, at most 64 characters; your user name
        on this machine if left out.
    timeout : float
        Seconds to wait for an answer.

    Returns
    -------
    RemoteSession
        In a cell it shows the dashboard; its methods are those of a session.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If nothing is served there, or it cannot be reached; the message says what to do.
    RuntimeError
        If what it takes is not installed.
    """
    _check_installed()
    from coflect_widget.elsewhere.remote import RemoteSession

    name = getpass.getuser() if by is None else by
    if not isinstance(name, str) or not 0 < len(name) <= 64:
        raise ValueError(f"by={by!r} must be a name of 1 to 64 characters, such as by='ada'")
    return RemoteSession(place, name, timeout)


def run_served(script: str, arguments: Sequence[str] = ()) -> int:
    """Run a script unchanged, with each session in it served; its exit status.

    On POSIX systems the script takes the place of this process, with its number and its signals.

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    RuntimeError
        If what it takes is not installed.
    """
    _check_installed()
    if not Path(script).is_file():
        raise FileNotFoundError(f"there is no script {script!r}")
    command = [sys.executable, script, *arguments]
    environment = {**os.environ, SERVE: "1"}
    if sys.platform == "win32":
        return subprocess.call(command, env=environment)  # noqa: S603 - the user's own script
    return _become(command, environment)


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - the user's own script


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"a training is served over Jupyter's messages, and {missing[0]} is not installed: "
            f"`{sys.executable} -m pip install 'coflect-widget[serve]'`"
        )
