"""What a run shows of samples: PNG thumbnails, explanations as maps (npz) and a PNG beside it.

Of samples that a browser draws otherwise than as a picture, what it draws is kept as JSON.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coflect_widget.modalities.base import Rendering
from coflect_widget.records.cells import over
from coflect_widget.records.contents import Contents, on_picture
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import OutsideError, find, is_there, open_inside, read_thumbnail

MAPS = ("map", "livecam", "smoothgrad", "consensus")
#: Of segmentation, as large as the maps: class of each place, 255 for none, and what is explained.
MASKS = ("truth", "said", "region")
MAX_PIXELS = 2**24  # of a picture or map; what a damaged or hostile file claims is not believed
NEWEST_BYTES = 16_000_000  # of explanations that stay in memory once they are written
THUMBNAIL_SIDE = 96  # pixels; small inputs are enlarged without blur, large ones reduced
MAX_GLIMPSES = 256  # small pictures with a map that are kept in memory


class Maps(Protocol):
    """What is stored of an explanation: maps (E) float32 in [0, 1], and where it looked."""

    @property
    def index(self) -> int:
        """The sample."""

    @property
    def model_step(self) -> int:
        """Step of the weights that were explained."""

    @property
    def map(self) -> NDArray[np.float32]:
        """The map shown first."""

    @property
    def livecam(self) -> NDArray[np.float32]:
        """Class activation map."""

    @property
    def smoothgrad(self) -> NDArray[np.float32]:
        """SmoothGrad map."""

    @property
    def consensus(self) -> NDArray[np.float32]:
        """Blend of the two, whichever is shown first."""

    @property
    def truth(self) -> NDArray[np.uint8] | None:
        """Class of each place (E), where there is one."""

    @property
    def said(self) -> NDArray[np.uint8] | None:
        """The same, as the model says."""

    @property
    def region(self) -> NDArray[np.bool_] | None:
        """The places that are explained."""


def _small(picture: NDArray[np.uint8]) -> bytes:
    """A thumbnail as PNG."""
    image = Image.fromarray(picture)
    scale = THUMBNAIL_SIDE / max(image.size)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    image.resize(size, how).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def to_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map of values in [0, 1] as bytes."""
    clipped: NDArray[np.uint8] = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return clipped


class NoDataError(LookupError):
    """A picture was asked for where the samples are not at hand."""


class Gallery:
    """Writes and reads the pictures of one run; safe from several threads.

    Parameters
    ----------
    path : Path
        The run folder.
    render : callable (index) -> Rendering, or None where there is no data
        Used for thumbnails that are not on disk yet. It raises `NoDataError` where there are
        none any more.
    """

    def __init__(self, path: Path, render: Callable[[int], Rendering] | None = None) -> None:
        self.path = path
        self._render = render
        self._thumbnails: dict[int, bytes] = {}
        self._glimpses: dict[str, bytes] = {}  # by the maps' file, oldest first
        self._newest: dict[str, dict[str, NDArray[np.uint8]]] = {}
        self._contents = Contents(path)
        #: Draws a request that waits for its class, by its name; None where nobody has any.
        self.requests: Callable[[str], Rendering] | None = None
        self._lock = threading.Lock()

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One sample as RGB bytes (h, w, 3)."""
        return self._rendering(index).picture

    def _rendering(self, index: int) -> Rendering:
        if self._render is None:
            raise NoDataError("a run opened from disk has no data to make pictures from")
        rendering = self._render(index)
        self._contents.take(index, rendering.content)
        return rendering

    def content(self, index: int, most: int | None = None) -> dict[str, Any] | None:
        """What a browser draws in place of one sample's picture, as JSON.

        None where the picture is all, where nobody has it any more, or where its text has more
        than `most` bytes.
        """
        if self._render is not None and not self._contents.knows(index):
            with contextlib.suppress(NoDataError):
                self._rendering(index)
        return self._contents.of(index, most)

    def request(self, name: str) -> tuple[dict[str, Any] | None, bytes | None]:
        """What a browser draws of a request: its content, or else a small PNG; nothing is kept."""
        if self.requests is None:
            return None, None
        try:
            found = self.requests(name)
        except (LookupError, ValueError, OSError):
            return None, None  # it was labelled or removed meanwhile
        if found.content is not None:
            return dict(found.content), None
        return None, found.thumbnail or _small(found.picture)

    def thumbnail(self, index: int) -> bytes | None:
        """One sample as PNG, from memory, disk or data; None if it is in none of them."""
        known = self._thumbnails.get(index)
        if known is not None:
            return known
        name = f"overlays/thumbnails/sample_{index:06d}.png"
        recorded = read_thumbnail(self.path, name)
        # Not under the lock: a data set may have to wait for the training's next step.
        rendered = None
        if recorded is None:
            try:
                rendered = self._rendering(index)
            except NoDataError:
                return None
        with self._lock:
            if index not in self._thumbnails:
                if rendered is None:
                    assert recorded is not None  # noqa: S101 - narrows the type
                    self._thumbnails[index] = recorded
                else:
                    self._thumbnails[index] = rendered.thumbnail or _small(rendered.picture)
                    self._keep(name, self._thumbnails[index])
            return self._thumbnails[index]

    def glimpse(self, maps: str) -> bytes | None:
        """One explanation as a small PNG, the map over the picture; None where it is not kept.

        Parameters
        ----------
        maps : str
            Its npz file, relative to the run folder.
        """
        known = self._glimpses.get(maps)
        if known is not None:
            return known
        try:
            found = self.load(maps)
        except (OSError, ValueError):
            return None
        picture = found["picture"]
        own = on_picture(self.content(_sample_of(maps)), found["map"])
        heat = laid_on(own.astype(np.float32) / np.float32(255), picture.shape[:2])
        made = _small(over(picture, heat))
        with self._lock:
            while len(self._glimpses) >= MAX_GLIMPSES:
                del self._glimpses[next(iter(self._glimpses))]
            self._glimpses[maps] = made
        return made

    def _keep(self, name: str, thumbnail: bytes) -> None:
        # A full disk costs the copy in the run folder, not the queue on the screen.
        with contextlib.suppress(OSError, ValueError):
            file = find(self.path, name)
            file.parent.mkdir(exist_ok=True)  # a run folder that is gone is not made again
            file.write_bytes(thumbnail)

    def save(self, maps: Maps) -> tuple[str, str]:
        """Write one explanation; returns the npz and the PNG file, relative to the run folder.

        The newest ones stay in memory too, for a screen that shows them now.
        """
        stem = _stem(maps.index, maps.model_step)
        folder = self.path / "overlays"
        picture = self.picture(maps.index)
        arrays = {name: to_bytes(getattr(maps, name)) for name in MAPS} | {"picture": picture}
        masks = {name: getattr(maps, name) for name in MASKS}
        arrays |= {name: m.astype(np.uint8) for name, m in masks.items() if m is not None}
        # Under another name until it is whole: a screen may be reading the file of that name.
        whole = replacing(folder / f"{stem}.npz", lasting=False)
        with whole as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stubs: a bool
        self._remember(f"overlays/{stem}.npz", arrays)
        # For people who browse the folder: the picture with the map glowing on it.
        own = on_picture(self._contents.of(maps.index), maps.map)
        heat = laid_on(own, picture.shape[:2])[..., None]
        glow = np.array([255, 200, 40], dtype=np.float32)
        blend = picture * (1 - 0.65 * heat) + glow * 0.65 * heat
        image = Image.fromarray(blend.clip(0, 255).astype(np.uint8))
        enlarge = max(1, 256 // max(image.size))
        large = (image.width * enlarge, image.height * enlarge)
        with replacing(folder / f"{stem}.png", lasting=False) as part:
            image.resize(large, Image.Resampling.NEAREST).save(part, "PNG")
        return f"overlays/{stem}.npz", f"overlays/{stem}.png"

    def explained(self, index: int, model_step: int) -> NDArray[np.uint8] | None:
        """The picture (H, W, 3) that was kept beside a sample's maps; None where it is gone."""
        try:
            return self.load(f"overlays/{_stem(index, model_step)}.npz")["picture"]
        except (OSError, ValueError):
            return None

    def _remember(self, file: str, arrays: dict[str, NDArray[np.uint8]]) -> None:
        with self._lock:
            self._newest.pop(file, None)
            self._newest[file] = arrays
            while len(self._newest) > 1 and sum(map(_size, self._newest.values())) > NEWEST_BYTES:
                del self._newest[next(iter(self._newest))]

    def remove(self, file: str) -> None:
        """Delete one explanation's npz file and the PNG beside it, if they are there."""
        with self._lock:
            self._newest.pop(file, None)
        path = self.path / file
        for each in (path, path.with_suffix(".png")):
            with contextlib.suppress(OSError):  # another system may hold it open; it just stays
                each.unlink(missing_ok=True)

    def has(self, file: str) -> bool:
        """Whether there is a file of that name in the run folder."""
        return is_there(self.path, file)

    def load(self, file: str) -> dict[str, NDArray[np.uint8]]:
        """Arrays of one explanation, as `save` named them; from memory where it is a new one.

        Nothing is unpickled.

        Raises
        ------
        ValueError
            If the file is outside the run folder.
        OSError
            If it is missing or damaged.
        """
        with self._lock:
            if file in self._newest:
                return dict(self._newest[file])
        try:
            with open_inside(self.path, file) as opened, zipfile.ZipFile(opened) as archive:
                there = archive.namelist()
                found = {
                    name: _read_bytes(archive, f"{name}.npy", picture=name == "picture")
                    for name in ("picture", *MAPS, *MASKS)
                    # runs of before have no consensus
                    if name not in ("consensus", *MASKS) or f"{name}.npy" in there
                }
            if len({found[name].shape for name in (*MAPS, *MASKS) if name in found}) > 1:
                raise ValueError("its maps are of different sizes")
        except OutsideError:
            raise
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise OSError(f"{file!r} is damaged: {error}") from error
        return found


def _stem(index: int, model_step: int) -> str:
    """Name of an explanation's files."""
    return f"sample_{index:06d}_step_{model_step:08d}"


def _sample_of(file: str) -> int:
    """The sample whose maps are in a file of that name; -1 where the name does not tell."""
    _, _, rest = file.rpartition("sample_")
    digits = rest.partition("_")[0]
    return int(digits) if digits.isdecimal() else -1


def _size(arrays: dict[str, NDArray[np.uint8]]) -> int:
    return sum(array.nbytes for array in arrays.values())


def laid_on(values: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """A map or mask at the size (h, w) of its picture; of one axis it lies along the columns."""
    cells = np.atleast_2d(values)
    if cells.shape == size:
        return cells
    rows, columns = (
        np.arange(side) * length // side for side, length in zip(size, cells.shape, strict=True)
    )
    found: NDArray[Any] = cells[rows][:, columns]
    return found


def _read_bytes(archive: zipfile.ZipFile, name: str, *, picture: bool) -> NDArray[np.uint8]:
    """One array of an npz file; what its header says is checked before anything is read."""
    with archive.open(name) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is of an unknown format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    fits = shape[2:] == (3,) if picture else len(shape) in (1, 2)
    if dtype != np.uint8 or not fits:
        raise ValueError(f"{name} is {dtype} of shape {shape}, not a picture or map of bytes")
    if min(shape) < 1 or math.prod(shape[:2]) > MAX_PIXELS:
        raise ValueError(f"{name} is of shape {shape}; more than {MAX_PIXELS} pixels are not read")
    with archive.open(name) as file:
        array: NDArray[np.uint8] = np.lib.format.read_array(file, allow_pickle=False)
    return array
