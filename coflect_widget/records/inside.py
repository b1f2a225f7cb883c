"""Reading files of a run folder that somebody else may have made.

A link may point anywhere, a sparse file may claim any size, a pipe never ends. Every file of a run
folder is opened here: it lies inside the folder after links are followed, it is a plain file, and
no more than a stated number of bytes is read.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image

LINE_BYTES = 16 * 2**20  # of one event; longer lines are skipped, not kept in memory
TEXT_BYTES = 64 * 2**20  # of config.yaml and meta.json
TABLE_BYTES = 2 * 2**30  # of scalars.csv
PICTURE_BYTES = 2**20  # of one thumbnail
PICTURE_SIDE = 1024  # pixels of one thumbnail


class OutsideError(ValueError):
    """A file of a run folder leads outside it."""


def find(folder: Path, name: str) -> Path:
    """Where the file `name` of a run folder is, links followed.

    Raises
    ------
    OutsideError
        If it is outside the folder.
    OSError
        If the path cannot be followed, as with a circle of links.
    """
    root = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(root):
        raise OutsideError(
            f"{name!r} of {str(folder)!r} leads outside the run folder and is not read; "
            "replace the link by a copy of the file if you trust it"
        )
    return path


def open_inside(
    folder: Path, name: str, most: int | None = None, mode: Literal["rb", "r+b"] = "rb"
) -> BinaryIO:
    """Open a plain file of a run folder for reading, or with "r+b" for repair.

    Parameters
    ----------
    folder : Path
        The run folder; it may itself be a link.
    name : str
        Relative to the folder.
    most : int, optional
        Bytes; a larger file is refused.

    Raises
    ------
    OutsideError
        If it leads outside the folder.
    OSError
        If it is missing, no plain file, or too large.
    """
    path = find(folder, name)
    access = os.O_RDWR if "+" in mode else os.O_RDONLY
    # Without O_NONBLOCK a pipe of that name would hold up the reader for ever.
    flags = access | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{name!r} is no plain file")
        if most is not None and facts.st_size > most:
            raise OSError(f"{name!r} has {facts.st_size:,} bytes; at most {most:,} are read")
        return os.fdopen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise


def is_there(folder: Path, name: str) -> bool:
    """Whether a plain file of that name lies in the run folder."""
    try:
        # The first look is quick, and most that are asked for and missing end with it.
        return os.path.lexists(folder / name) and find(folder, name).is_file()
    except (ValueError, OSError):
        return False


def read_text(folder: Path, name: str, most: int = TEXT_BYTES) -> str:
    """A text of the run folder; bytes that are no UTF-8 become "\N{REPLACEMENT CHARACTER}"."""
    with open_inside(folder, name, most) as file:
        return file.read(most).decode("utf-8", "replace")


def whole_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines that end with a newline, one at a time; None for one that is too long to be read.

    The last line of a file that is being written may lack its end; it is left out.
    """
    while line := file.readline(LINE_BYTES):
        if line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES)
        if not line:
            return
        yield None


def read_thumbnail(folder: Path, name: str) -> bytes | None:
    """A small PNG of the run folder; None if it is missing or is something else."""
    try:
        with open_inside(folder, name, PICTURE_BYTES) as file:
            data = file.read(PICTURE_BYTES)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > PICTURE_SIDE:
                return None
            image.load()  # the bytes are a picture to their end, not only in their first words
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return data
