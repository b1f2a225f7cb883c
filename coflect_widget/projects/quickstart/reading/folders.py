"""A folder: a folder of pictures or texts for each class, or one file of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import PICTURES
from coflect_widget.projects.quickstart.reading.files import ENDINGS, from_file
from coflect_widget.projects.quickstart.reading.text_of_file import decoded
from coflect_widget.projects.quickstart.sheet import TEST, TRAIN, VALIDATION, Sheet

#: Folders that are parts of the data rather than classes.
_PARTS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
    "validation": VALIDATION, "dev": VALIDATION, "test": TEST, "testing": TEST,
}  # fmt: skip
CLASS = "class"
_MOST_FILES = 2_000_000


def from_folder(folder: Path) -> Sheet:
    """Its files as rows.

    Raises
    ------
    ValueError
        If there is nothing to read, or several files of rows and no telling which.
    """
    files = _files(folder)
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    texts = [file for file in files if file.suffix.lower() == ".txt" and file.parent != folder]
    rows = [file for file in files if file.suffix.lower() in ENDINGS and file.parent == folder]
    of_rows = [file for file in rows if not _is_note(file)]
    starts = [file for file in of_rows if not file.name.endswith("_TEST.ts")]
    if pictures and (any(file.parent != folder for file in pictures) or not starts):
        if len(starts) == 1 and starts[0].suffix != ".txt":  # a table that names the pictures
            named = from_file(starts[0])
            if _names_files(named, folder):
                return replace(named, folder=folder)
        return _classes(folder, pictures, "file")
    if texts and not starts:
        return _classes(folder, texts, "text")
    if len(starts) == 1:
        return replace(from_file(starts[0]), folder=folder)
    if not starts:
        raise ValueError(
            f"{folder} holds nothing that is read: no pictures ({', '.join(PICTURES)}), no texts, "
            f"and no file of rows ({', '.join(ENDINGS)})"
        )
    shown = ", ".join(file.name for file in starts[:8])
    raise ValueError(f"{folder} holds several files: {shown}; give the path of one of them")


def _files(folder: Path) -> list[Path]:
    """Files below it, sorted; no hidden ones, and none that a link leads out of it to."""
    base = folder.resolve()
    found = []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if any(part.startswith((".", "__MACOSX")) for part in inside) or not file.is_file():
            continue
        if file.is_symlink() and not file.resolve().is_relative_to(base):
            continue
        found.append(file)
        if len(found) > _MOST_FILES:
            raise ValueError(f"{folder} holds more than {_MOST_FILES} files; give a part of it")
    return found


def _is_note(file: Path) -> bool:
    return file.suffix.lower() == ".txt" and file.stem.lower().startswith(("licen", "readme"))


def _names_files(sheet: Sheet, folder: Path) -> bool:
    for values in sheet.cells.values():
        first = [cell for cell in values[:50] if isinstance(cell, str)]
        if first and all(cell.lower().endswith(PICTURES) for cell in first):
            return any((folder / cell).is_file() for cell in first)
    return False


def _classes(folder: Path, files: Sequence[Path], column: str) -> Sheet:
    """The folder that a file lies in is its class; train, val and test are parts."""
    said: list[str] = []
    tops = {file.relative_to(folder).parts[0].lower() for file in files}
    parted = tops <= set(_PARTS) and TRAIN in {_PARTS[top] for top in tops}
    depth = 1 if parted else 0
    if parted:
        said.append(f"The folders {', '.join(sorted(tops))} are parts of the data.")
    inside = [file.relative_to(folder).parts for file in files]
    loose = sum(len(parts) <= depth + 1 for parts in inside)
    if loose and loose < len(files):
        said.append(f"{loose} files lie in no folder of a class: left out.")
        kept = [k for k, parts in enumerate(inside) if len(parts) > depth + 1]
        files, inside = [files[k] for k in kept], [inside[k] for k in kept]
        loose = 0
    cells: dict[str, NDArray[np.object_]] = {column: np.empty(len(files), object)}
    cells[column][:] = (
        ["/".join(parts) for parts in inside]
        if column == "file"
        else [" ".join(decoded(file)[0].split()) or None for file in files]
    )
    if not loose:
        cells[CLASS] = np.array([parts[depth] for parts in inside], object)
    part = None
    if parted:
        part = np.array([_PARTS[parts[0].lower()] for parts in inside], np.int64)
    return Sheet(
        folder.name,
        cells,
        tuple(said),
        folder=folder.resolve(),
        target=None if loose else CLASS,
        part=part,
    )
