"""A model under a name and a version, which nothing overwrites."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from coflect_widget.records.durable import sync_folder

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")


def promote(
    export: Path, files: Sequence[Path], name: str, project: str, root: Path, version: int | None
) -> Path:
    """Copy files of an export to ``{root}/{project}/{name}_v{version}``; see `Export.promote`.

    Whoever makes ``{name}_v{version}.json`` first has the version; each file appears whole.
    """
    for what, given in (("name", name), ("project", project)):
        if not isinstance(given, str) or not _NAME.match(given):
            raise ValueError(
                f"{what}={given!r} must be 1 to 64 letters, digits, '-', '_' or '.', for example "
                f"{what}='digits'"
            )
    if version is not None and (not isinstance(version, int) or version < 1):
        raise ValueError(f"version={version!r} must be a whole number of at least 1")
    folder = root.expanduser() / project
    folder.mkdir(parents=True, exist_ok=True)
    number = _claim(export / "export.json", folder, name, version)
    stem = f"{name}_v{number}"
    _put(export / "README.md", folder / f"{stem}.md")
    # The model last: where it is, all of it is.
    for file in reversed(files):
        _put(file, folder / file.name.replace("model", stem, 1))
    sync_folder(folder)
    return folder / files[0].name.replace("model", stem, 1)


def _claim(facts: Path, folder: Path, name: str, version: int | None) -> int:
    number = _newest(folder, name) + 1 if version is None else version
    while True:
        try:
            _put(facts, folder / f"{name}_v{number}.json")
        except FileExistsError:
            if version is not None:
                raise FileExistsError(
                    f"{str(folder / f'{name}_v{version}')!r} is there already and is not "
                    "overwritten; leave version= out for the next that is free"
                ) from None
            number += 1
            continue
        return number


def _newest(folder: Path, name: str) -> int:
    of_name = re.compile(rf"{re.escape(name)}_v(\d+)[._]")
    found = [int(match[1]) for path in folder.iterdir() if (match := of_name.match(path.name))]
    return max(found, default=0)


def _put(file: Path, to: Path) -> None:
    """Copy a file to a name that nothing has; it is there whole or not at all.

    Raises
    ------
    FileExistsError
        If something has the name.
    """
    part = to.parent / f".{to.name}.{secrets.token_hex(6)}.part"
    try:
        shutil.copyfile(file, part)
        with part.open("r+b") as written:
            os.fsync(written.fileno())
        try:
            os.link(part, to)  # unlike a renaming it fails where there is such a file
        except FileExistsError:
            raise
        except OSError:  # some network disks have no second names: then not whole at once
            with part.open("rb") as content, to.open("xb") as target:
                shutil.copyfileobj(content, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
