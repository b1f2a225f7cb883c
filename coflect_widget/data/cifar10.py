"""Cats and dogs out of CIFAR-10, read from the official *binary* archive's files.

The binary layout is rows of 3,073 bytes: one label, then 32 x 32 pixels of red, of green and
of blue (https://www.cs.toronto.edu/~kriz/cifar.html). Unlike the Python archive it holds no
pickle, so that reading it cannot execute anything.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.data.arrays import ArrayDataset

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
#: Of the archive at `URL`, whose page gives md5 c32a1d4ab5d03f1284b67883e8d87530.
KNOWN_HASH = "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

FOLDER = "cifar-10-batches-bin"
_FILES = {
    "train": [f"data_batch_{number}.bin" for number in range(1, 6)],
    "test": ["test_batch.bin"],
}
_CAT, _DOG = 3, 5
_ROW = 1 + 3 * 32 * 32


def cifar10_catsdogs(
    root: str | os.PathLike[str],
    split: Literal["train", "test"] = "train",
    *,
    download: bool = False,
    url: str | None = None,
    known_hash: str = KNOWN_HASH,
) -> ArrayDataset:
    """Photographs of cats (0) and dogs (1), 32 x 32 pixels; the other classes are left out.

    Parameters
    ----------
    root : path
        Folder that holds ``cifar-10-batches-bin``, or that folder itself.
    split : {"train", "test"}
    download : bool
        Fetch the archive (162 MB) if files are missing. Nothing is fetched otherwise.
    url : str, optional
        A mirror of ``cifar-10-binary.tar.gz``; the official address if None.
    known_hash : str
        Checksum of the archive as "algorithm:hex"; give the mirror's own where its archive
        is not byte for byte the official one.

    Returns
    -------
    ArrayDataset
        Images (N, 3, 32, 32) float32 in [0, 1]; N is 10,000 and 2,000 in the official files.

    Raises
    ------
    FileNotFoundError
        If files are missing and `download` is False, or the archive lacks them.
    ConnectionError
        If the archive cannot be fetched.
    ValueError
        If `split` is unknown, the checksum is wrong, a file is not in the binary layout, or
        there is no cat and no dog.
    """
    if split not in _FILES:
        raise ValueError(f'split = {split!r}; expected "train" or "test"')
    folder = _folder(Path(root).expanduser())
    missing = _missing(folder, _FILES[split])
    if missing and download:
        _download(folder, url or URL, known_hash)
        missing = _missing(folder, _FILES[split])
        if missing:
            raise FileNotFoundError(f"the archive at {url or URL} has no {', '.join(missing)}")
    if missing:
        raise FileNotFoundError(
            f"{folder} has no {', '.join(missing)}; give the folder that holds {FOLDER}, or "
            "cifar10_catsdogs(root, download=True) to fetch the archive (162 MB)"
        )
    rows = np.concatenate([_read(folder / name) for name in _FILES[split]])  # (N, 3073)
    if not len(rows):
        raise ValueError(f"the {split} files in {folder} hold no cat (label 3) and no dog (5)")
    images = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
    images /= 255
    return ArrayDataset(images, rows[:, 0] == _DOG, ["cat", "dog"])


def _folder(root: Path) -> Path:
    if root.name == FOLDER or any((root / name).is_file() for name in _all_files()):
        return root
    return root / FOLDER


def _all_files() -> list[str]:
    return [name for names in _FILES.values() for name in names]


def _missing(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


def _read(path: Path) -> NDArray[np.uint8]:
    """Rows (N, 3073) of cats and dogs; the file's other rows are dropped at once."""
    size = path.stat().st_size
    if size % _ROW:
        raise ValueError(
            f"{path} has {size:,} bytes, which is not a multiple of {_ROW:,}: it is truncated "
            "or no CIFAR-10 binary file; delete it and fetch it again with download=True"
        )
    rows = np.fromfile(path, np.uint8).reshape(-1, _ROW)
    kept: NDArray[np.uint8] = rows[(rows[:, 0] == _CAT) | (rows[:, 0] == _DOG)]
    return kept


def _download(folder: Path, url: str, known_hash: str) -> None:
    import pooch  # only who downloads pays for the import

    folder.mkdir(parents=True, exist_ok=True)
    # Beside the target: the same file system, so that the last step is a mere renaming.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        try:
            archive = pooch.retrieve(url, known_hash, fname="archive.tar.gz", path=scratch)
        except OSError as error:  # requests' errors are OSErrors too
            raise ConnectionError(
                f"could not fetch {url} ({error}); give a mirror with url=..., or unpack "
                f"cifar-10-binary.tar.gz by hand so that {folder} holds its files"
            ) from error
        _unpack(Path(archive), folder, Path(scratch))


def _unpack(archive: Path, folder: Path, scratch: Path) -> None:
    """Put the six data files of `archive` into `folder`, and nothing else.

    Paths and kinds of the archive's members are never trusted: a member is only read when it
    is a plain file under one of the six known names, and is written under that name.
    """
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            directory, _, name = member.name.removeprefix("./").rpartition("/")
            if directory != FOLDER or name not in _all_files() or not member.isreg():
                continue
            source = tar.extractfile(member)
            if source is None:
                continue
            partial = scratch / name
            with source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
            partial.replace(folder / name)  # whole or not at all
