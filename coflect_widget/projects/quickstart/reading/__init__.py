"""Anything that a person has as data, read into a `Sheet`; no file is executed or unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coflect_widget.projects.quickstart.reading.arrays import from_arrays
from coflect_widget.projects.quickstart.reading.files import from_file
from coflect_widget.projects.quickstart.reading.folders import from_folder
from coflect_widget.projects.quickstart.reading.frames import from_frame, is_frame
from coflect_widget.projects.quickstart.sheet import Sheet

__all__ = ["read"]


def read(data: Any) -> Sheet:
    """What was given as columns.

    Parameters
    ----------
    data : path, DataFrame, pair of arrays, data set, mapping or Sheet
        A file: .csv, .tsv, .txt, .json, .jsonl, .ndjson or .ts (UCR). A folder: with one folder of
        pictures or of .txt files for each class, or with one such file. A DataFrame of pandas or
        polars. Arrays (inputs, targets), or what has ``.images``, ``.series`` or ``.rows`` and
        ``.labels``, as the sets in `coflect.data`. A mapping of names to columns, a list of
        mappings; an array or a list of texts, without targets.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    TypeError, ValueError
        If it cannot be read; the message says what can.
    """
    if isinstance(data, Sheet):
        return data
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        if path.is_dir():
            return from_folder(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
        return from_file(path)
    if is_frame(data):
        return from_frame(data)
    return from_arrays(data)
