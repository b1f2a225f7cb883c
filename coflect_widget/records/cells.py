"""What a cell shows without the widget: pictures inside HTML, with every text escaped.

The HTML fetches nothing and runs nothing: pictures are PNG in ``data:`` addresses, styles stand at
the elements. nbconvert, GitHub and a notebook that is opened without a kernel show it alike.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

T = TypeVar("T")
Tone = Literal["good", "bad", "quiet"]

#: Colours of a map from 0 to 1, those of matplotlib's "inferno" at five places.
_INFERNO = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32
)
_TONES = {"good": "#1a7f37", "bad": "#c62828", "quiet": "#6e7781"}
_FONT = "font:13px/1.4 system-ui,-apple-system,'Segoe UI',sans-serif"
#: Items of a list that are shown, at most.
MOST = 24


def png(picture: NDArray[np.uint8]) -> bytes:
    """RGB bytes (H, W, 3) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def pixels(file: bytes) -> NDArray[np.uint8]:
    """RGB bytes (H, W, 3) of a PNG file that this package wrote."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def fitted(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture with its longer side near `side` pixels: small ones enlarged without blur."""
    image = Image.fromarray(picture)
    scale = side / max(image.size)
    if scale >= 1:
        times = max(1, int(scale))
        size, how = (image.width * times, image.height * times), Image.Resampling.NEAREST
    else:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        how = Image.Resampling.BOX
    return np.asarray(image.resize(size, how))


def heat(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A map (H, W) in [0, 1] in colours, (H, W, 3)."""
    places = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(values, places, _INFERNO[:, k]) for k in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def over(
    picture: NDArray[np.uint8], values: NDArray[np.floating], opacity: float = 0.7
) -> NDArray[np.uint8]:
    """The map (h, w) in [0, 1] over the picture (H, W, 3)."""
    if values.shape != picture.shape[:2]:
        size = (picture.shape[1], picture.shape[0])
        values = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size))
    share = opacity * values.clip(0, 1)[..., None]
    return (picture * (1 - share) + heat(values) * share).round().astype(np.uint8)


def outlined(
    picture: NDArray[np.uint8], mask: NDArray[np.integer], colour: tuple[int, int, int], side: int
) -> NDArray[np.uint8]:
    """The picture, `fitted` to `side`, with the borders between the classes of a mask (h, w)."""
    large = fitted(picture, side).copy()
    rows, columns = (
        np.arange(length) * cells // length
        for length, cells in zip(large.shape[:2], mask.shape, strict=True)
    )
    classes = mask[rows][:, columns]
    border = np.zeros(classes.shape, np.bool_)
    border[1:] |= classes[1:] != classes[:-1]
    border[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    border[:-1] |= border[1:]  # two pixels wide
    large[border] = colour
    return large


def picture_tag(file: bytes, alt: str, width: int | None = None) -> str:
    """An ``<img>`` that holds a PNG file."""
    data = base64.b64encode(file).decode()
    size = "" if width is None else f' width="{width}"'
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}"{size} '
        'style="display:block;margin:0;image-rendering:pixelated">'
    )


def chip(words: str, tone: Tone) -> str:
    """A short verdict in a coloured frame."""
    colour = _TONES[tone]
    return (
        f'<span style="border:1px solid {colour};color:{colour};border-radius:9px;'
        f'padding:0 7px;white-space:nowrap">{html.escape(words)}</span>'
    )


def tile(picture: str, lines: Iterable[str], verdict: str = "", width: int = 150) -> str:
    """A picture (`picture_tag`, or nothing) with lines of text and a `chip` below it."""
    text = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    return (
        f'<div style="display:inline-block;vertical-align:top;width:{width}px;margin:0 12px 12px 0;'
        f'overflow-wrap:anywhere">{picture}{text}{verdict}</div>'
    )


def block(title: str, tiles: Sequence[str], note: str = "") -> str:
    """Tiles in rows below a title; an empty one says `note`."""
    head = f'<div style="font-weight:600;margin:0 0 6px">{html.escape(title)}</div>'
    foot = f'<div style="opacity:.75">{html.escape(note)}</div>' if note else ""
    return f'<div style="{_FONT};margin:4px 0 8px">{head}{"".join(tiles)}{foot}</div>'


class Pictured(list[T]):
    """A list that a cell shows as pictures; otherwise a list like any other.

    Parameters
    ----------
    items : iterable
    draw : callable (item) -> str
        A `tile`.
    title : callable (number of items) -> str
    """

    def __init__(
        self, items: Iterable[T], draw: Callable[[T], str], title: Callable[[int], str]
    ) -> None:
        super().__init__(items)
        self._draw = draw
        self._title = title

    @overload
    def __getitem__(self, place: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Pictured[T]: ...
    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return Pictured(found, self._draw, self._title) if isinstance(place, slice) else found

    def _repr_html_(self) -> str:
        more = len(self) - MOST
        note = f"and {more} more" if more > 0 else ""
        return block(self._title(len(self)), [self._draw(item) for item in self[:MOST]], note)
