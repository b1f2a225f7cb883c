"""Runs that lie elsewhere, on S3 and alike: read through fsspec from a copy on this machine.

The copy is in the user's cache. A file is copied again when it has changed there; nothing is ever
written back. What is copied is a folder of somebody else's and is read as such.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pooch

from coflect_widget.records.checkpoint_files import FOLDER as CHECKPOINTS
from coflect_widget.records.checkpoint_files import MANIFEST
from coflect_widget.records.folder import write_whole
from coflect_widget.records.sinks.base import without_password

_MARKS = ".coflect_copied.json"
#: As `sinks.Upload` names them; the names of folders that a table does not need.
_HEAVY = (CHECKPOINTS, "overlays", "exports", "evaluations", "thumbnails")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

Wanted = Callable[[PurePosixPath], bool]


def is_remote(path: Any) -> bool:
    """Whether it names a folder as fsspec does, such as "s3://bucket/runs"."""
    return isinstance(path, str) and _URL.match(path) is not None


def fetched_run(url: str, options: Mapping[str, Any] | None = None) -> Path:
    """A copy of one run folder, all of it.

    Raises
    ------
    FileNotFoundError
        If there is nothing at that place.
    ImportError, ValueError
        If fsspec, or what it needs for such a place, is not there.
    OSError
        If the place cannot be read.
    """
    name = url.rstrip("/").rpartition("/")[2]
    folder = _cache(url) / name
    _copy(url, folder, options, lambda _: True)
    return folder


def fetched_table(
    url: str, options: Mapping[str, Any] | None = None
) -> tuple[Path, dict[str, int]]:
    """A copy of what a table needs of the runs in a folder, and each run's count of checkpoints.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError, OSError
        As of `fetched_run`.
    """
    folder = _cache(url) / "table"
    names = _copy(url, folder, options, lambda name: not any(p in _HEAVY for p in name.parts[:-1]))
    counts: dict[str, int] = {}
    for name in names:
        if name.name == MANIFEST and name.parts[-3:-2] == (CHECKPOINTS,):
            run = PurePosixPath(*name.parts[:-3]).as_posix()
            counts[run] = counts.get(run, 0) + 1
    return folder, counts


def _cache(url: str) -> Path:
    known = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:20]
    return Path(pooch.os_cache("coflect")) / "runs" / known


def _copy(
    url: str, folder: Path, options: Mapping[str, Any] | None, wanted: Wanted
) -> list[PurePosixPath]:
    """Bring a folder up to date; the names of all files there, copied or not."""
    files, root = _opened(url, options)
    try:
        found = dict(_listed(files, root))
    except OSError as error:
        raise type(error)(f"{url!r} cannot be read: {without_password(str(error))}") from error
    if not found:
        raise FileNotFoundError(
            f"there is nothing at {url!r}; coflect.sinks.Upload leaves runs as "
            "'s3://bucket/runs/run_001_...'"
        )
    folder.mkdir(parents=True, exist_ok=True)
    marks = _marks(folder)
    kept: dict[str, str] = {}
    for name, facts in found.items():
        if not wanted(name):
            continue
        mark = json.dumps([facts.get("size"), *(str(facts.get(one)) for one in _CHANGES)])
        place = folder.joinpath(*name.parts)
        if marks.get(name.as_posix()) != mark or not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.parent / f".{name.name}.{secrets.token_hex(6)}.part"
            try:
                files.get_file(facts["name"], str(part))
                part.replace(place)
            finally:
                part.unlink(missing_ok=True)
        kept[name.as_posix()] = mark
    for gone in set(marks) - set(kept):
        folder.joinpath(*PurePosixPath(gone).parts).unlink(missing_ok=True)
    write_whole(folder / _MARKS, json.dumps(kept))
    return list(found)


#: What file systems say of a file that changes with it; each has some of them.
_CHANGES = ("ETag", "LastModified", "mtime", "updated", "created")


def _opened(url: str, options: Mapping[str, Any] | None) -> tuple[Any, str]:
    if importlib.util.find_spec("fsspec") is None:
        raise ImportError(f"reading {url!r} needs fsspec: pip install fsspec")
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url, **dict(options or {}))
    except (ImportError, ValueError) as error:
        raise type(error)(f"{url!r}: {error}") from error
    return files, str(root).rstrip("/")


def _listed(files: Any, root: str) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Files below the root by their names in it; none that leads out of it or is hidden."""
    files.invalidate_cache()
    for place, facts in files.find(root, detail=True).items():
        name = PurePosixPath(place.removeprefix(root).lstrip("/"))
        plain = all(not part.startswith(".") and not {*"\\:"} & {*part} for part in name.parts)
        if place.startswith(root) and name.parts and plain and not name.is_absolute():
            yield name, facts


def _marks(folder: Path) -> dict[str, str]:
    """What was copied, by name; names in the file that lead elsewhere are left out."""
    try:
        found = json.loads((folder / _MARKS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(name): str(mark)
        for name, mark in found.items()
        if ".." not in PurePosixPath(name).parts and not PurePosixPath(name).is_absolute()
    }
