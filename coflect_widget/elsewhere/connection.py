"""The connection file in a run folder: where a training listens, and the keys to it."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = "connection.json"
VERSION = 1  # of the messages on the comm
MOST_BYTES = 65_536

Port = Field(ge=1, le=65_535)


class Served(BaseModel):
    """What the file says beside Jupyter's own fields."""

    model_config = ConfigDict(strict=True)

    run: str
    pid: int
    host: str
    version: int


class Connection(BaseModel):
    """A connection file of Jupyter, with what a training adds."""

    model_config = ConfigDict(strict=True)

    ip: str
    shell_port: int = Port
    iopub_port: int = Port
    key: str = Field(min_length=16)
    curve_publickey: str = Field(min_length=40, max_length=40)
    coflect: Served


def write(folder: Path, connection: dict[str, Any]) -> Path:
    """Write the file into a run folder, readable for nobody but its owner.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path, part = folder / NAME, folder / f".{NAME}.{os.getpid()}"
    said = {
        "run": folder.name, "pid": os.getpid(), "host": socket.gethostname(), "version": VERSION,
    }  # fmt: skip
    with suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump({**connection, "coflect": said}, file, indent=1)
    part.replace(path)
    return path


def remove(path: Path) -> None:
    """Take away the file that this process wrote."""
    with suppress(OSError, ValueError):
        if json.loads(path.read_text("utf-8"))["coflect"]["pid"] == os.getpid():
            path.unlink()


def read(place: str | Path) -> tuple[Path, Connection]:
    """The connection file of a run folder, or the file itself.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If there is none that can be used; the message says what to do.
    """
    given = Path(place).expanduser()
    path = given / NAME if given.is_dir() else given
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(given)!r} is not served: there is no {NAME}. In the script that trains, call "
            "coflect.serve(session), or start the script with `coflect run train.py`; what an "
            "ended training recorded is shown by coflect.open_run(path)"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        connection = Connection.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ConnectionError(
            f"{str(path)!r} is no connection file of a training ({first}); copy it anew from the "
            "run folder"
        ) from None
    if connection.coflect.version != VERSION:
        raise ConnectionError(
            f"{str(path)!r} was written by another version of coflect-widget (messages of version "
            f"{connection.coflect.version}, here {VERSION}); install the same version in both "
            "places"
        )
    return path, connection


def why_silent(path: Path, connection: Connection) -> str:
    """One sentence on why nobody answers there, with what to do."""
    at, there = f"{connection.ip}:{connection.shell_port}", connection.coflect
    here = there.host == socket.gethostname()
    recorded = "coflect.open_run(path) shows what it recorded"
    if here and not psutil.pid_exists(there.pid):
        return f"The process {there.pid} that trained {there.run} has ended; {recorded}."
    if not listens(connection):
        if here:
            return (
                f"Nothing listens at {at}: the training {there.run} is not served any more; "
                f"{recorded}."
            )
        return (
            f"Nothing listens at {at}: the training {there.run} runs on {there.host!r}. Open a "
            f"tunnel first: `{tunnel(connection)}`; if it is open, the training has ended."
        )
    return (
        f"Something listens at {at} but does not take the key in {str(path)!r}: the file is old, "
        "or of another training; copy it anew from the run folder."
    )


def tunnel(connection: Connection) -> str:
    """The command that brings the ports of another machine to this one."""
    ports = (connection.shell_port, connection.iopub_port)
    ways = " ".join(f"-L {port}:{connection.ip}:{port}" for port in ports)
    return f"ssh -N {ways} {connection.coflect.host}"


def listens(connection: Connection) -> bool:
    """Whether anything listens at the port."""
    try:
        with socket.create_connection((connection.ip, connection.shell_port), timeout=2):
            return True
    except OSError:
        return False
