"""Copies a run folder to where it outlives the machine: S3 and alike, through fsspec."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

from coflect_widget.events import Event
from coflect_widget.records.sinks.base import RunFolder, Sink, without_password

logger = logging.getLogger("coflect.upload")
_EVENTS, _META = "events.jsonl", "meta.json"
#: Has the keys of a served training: its owner alone may read it.
_CONNECTION = "connection.json"
#: Requests to a served network are other people's, and stay where they were kept.
_KEPT = "kept"


class Upload(Sink):
    """Copies the run folder at the start, after each checkpoint, and when training or session ends.

    Files that changed are copied again; those that the run folder no longer has, such as old
    checkpoints, are removed from the copy. The connection file of a served training, which has its
    keys, is not copied. A copy that fails is tried again at the next occasion.

    Parameters
    ----------
    target : str
        A folder as fsspec names it: "s3://bucket/runs", "gcs://...", "memory://runs", or a path.
        The copy is a folder of the run's name in it.
    **options
        Of the file system, such as ``endpoint_url`` and ``key`` of S3. They are not written into
        the run.

    Raises
    ------
    ImportError
        If fsspec, or what it needs for such a target, is not installed.
    ValueError
        If there is no such kind of target.
    """

    types = frozenset({"checkpoint", "state"})

    def __init__(self, target: str, **options: Any) -> None:
        if importlib.util.find_spec("fsspec") is None:
            raise ImportError("coflect.sinks.Upload needs fsspec: pip install fsspec")
        from fsspec import get_filesystem_class
        from fsspec.core import split_protocol

        protocol, _ = split_protocol(target)
        try:
            get_filesystem_class(protocol or "file")
        except ImportError as error:
            raise ImportError(f"coflect.sinks.Upload({target!r}): {error}") from error
        except ValueError as error:
            raise ValueError(f"coflect.sinks.Upload({target!r}): {error}") from error
        self._target = target
        self._options = options
        self._open = False

    def open(self, run: RunFolder) -> None:
        """Copy what is there; a bucket without rights is said now, not at the end."""
        from fsspec.asyn import AsyncFileSystem
        from fsspec.core import url_to_fs

        self._open = False  # until the place is known to be this run's
        self._files, root = url_to_fs(self._target, **self._options)
        #: S3 and alike have none, and would make the bucket: of a misspelt name a new one.
        self._folders = not isinstance(self._files, AsyncFileSystem)
        self._folder = run.path
        #: Of the newest run, where the copy is.
        self.place = f"{str(root).rstrip('/')}/{run.id}"
        self._sent: dict[str, tuple[int, int]] = {}  # sizes and times of what was copied
        self._due = False
        self._refuse_another()
        self._open = True
        self._copy()

    def _refuse_another(self) -> None:
        """Two machines may give two runs one name within a minute."""
        there, here = f"{self.place}/{_META}", self._folder / _META
        mine = here.is_file() and not here.is_symlink()
        if mine and self._files.exists(there) and self._files.cat_file(there) != here.read_bytes():
            raise FileExistsError(f"{self.place!r} holds another run of this name")

    def on_event(self, event: Event) -> None:
        """Something is worth a copy."""
        self._due = True

    def flush(self) -> None:
        """Copy what changed."""
        if not self._due:
            return
        try:
            self._copy()
        except Exception as error:  # noqa: BLE001 - networks fail, and come back
            logger.warning(
                "%s could not be copied and is tried again: %s",
                self._folder,
                without_password(str(error)),
            )
        else:
            self._due = False

    def close(self) -> None:
        """Copy the rest; nothing where another run is in its place."""
        if self._open:
            self._open = False
            self._copy()

    def _copy(self) -> None:
        there = {name: _stamp(self._folder / name) for name in _files(self._folder)}
        # The record comes last: what it names is there by then.
        for name in sorted(there, key=lambda one: (one == _EVENTS, one)):
            stamp = there[name]
            if stamp is None or self._sent.get(name) == stamp:
                continue
            place = f"{self.place}/{name}"
            if self._folders:
                self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            try:
                self._files.put_file(str(self._folder / name), place)
            except FileNotFoundError:
                if (self._folder / name).exists():
                    raise
                continue  # it was replaced or removed meanwhile
            self._sent[name] = stamp
        for name in [one for one in self._sent if one not in there]:
            self._files.rm_file(f"{self.place}/{name}")
            del self._sent[name]


def _files(folder: Path) -> list[str]:
    """Names of plain files of a run folder; no links, keys, requests, nothing half written."""
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and ".part" not in path.suffixes
        and path.name != _CONNECTION
        and path.relative_to(folder).parts[0] != _KEPT
    ]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
