"""Runs that lie elsewhere, on S3 and alike: read through fsspec from a copy on this machine.

The copy is in the user's cache. A file is copied again when it has changed there, unless it was
changed here, as labels are by a person; nothing is ever written back. What is copied is a folder of
somebody else's and is read as such.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
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
_STREAM = "events.jsonl"  # which nobody adds to here; opening a run cuts a torn last line off
#: As `sinks.Upload` names them; the names of folders that a table does not need.
_HEAVY = (CHECKPOINTS, "overlays", "exports", "evaluations", "thumbnails")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

Wanted = Callable[[PurePosixPath], bool]
#: Of a copied file: what was said of it there, and its own size and time (ns) as it was copied;
#: None where the copying may have been cut off.
Mark = tuple[str, tuple[int, int] | None]


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


def is_copy(folder: Path) -> bool:
    """Whether a run folder is a copy of this module."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(_copies()))


def _copies() -> Path:
    return Path(pooch.os_cache("coflect")) / "runs"


def _cache(url: str) -> Path:
    return _copies() / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:20]


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
    there: dict[str, str] = {}
    stale: list[PurePosixPath] = []
    for name, facts in found.items():
        if wanted(name):
            mark = json.dumps([facts.get("size"), *(str(facts.get(one)) for one in _CHANGES)])
            there[name.as_posix()] = mark
            place = folder.joinpath(*name.parts)
            as_there = marks.get(name.as_posix(), ("", None))[0] == mark
            if not (as_there and place.is_file()) and not _is_own(place, marks, name):
                stale.append(name)
    for gone in set(marks) - set(there):
        place = folder.joinpath(*PurePosixPath(gone).parts)
        if not _is_own(place, marks, PurePosixPath(gone)):
            place.unlink(missing_ok=True)
        del marks[gone]
    # On disk first: what a killed process copied is then known to be no work of a person's.
    marks |= {name.as_posix(): ("", None) for name in stale}
    write_whole(folder / _MARKS, json.dumps(marks))
    try:
        for name in stale:
            stamp = _brought(files, found[name]["name"], folder.joinpath(*name.parts))
            marks[name.as_posix()] = (there[name.as_posix()], stamp)
    finally:
        write_whole(folder / _MARKS, json.dumps(marks))
    return list(found)


def _brought(files: Any, source: str, place: Path) -> tuple[int, int] | None:
    """Copy one file; the copy's size and time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.parent / f".{place.name}.{secrets.token_hex(6)}.part"
    try:
        files.get_file(source, str(part))
        stamp = _stamp(part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return stamp


def _is_own(place: Path, marks: Mapping[str, Mark], name: PurePosixPath) -> bool:
    """Whether a file was written here, and not as it was copied."""
    if name.name == _STREAM:
        return False
    known = marks.get(name.as_posix())
    now = _stamp(place)
    return now is not None and (known is None or known[1] not in (None, now))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


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


def _marks(folder: Path) -> dict[str, Mark]:
    """What was copied, by name; names in the file that lead elsewhere are left out."""
    try:
        found = json.loads((folder / _MARKS).read_text(encoding="utf-8"))
        return {
            str(name): (str(mark), None if stamp is None else (int(stamp[0]), int(stamp[1])))
            for name, (mark, stamp) in found.items()
            if ".." not in PurePosixPath(name).parts and not PurePosixPath(name).is_absolute()
        }
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return {}
