"""What a browser draws in place of samples' pictures: JSON, in memory and in the run folder."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from coflect_widget.records.inside import find, is_there, read_text

FOLDER = "overlays/contents"
MOST_BYTES = 4 * 2**20  # of one sample's
MOST_KEPT = 512  # samples in memory

Content = dict[str, Any]


class Contents:
    """Keeps and reads the contents of one run; safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[int, tuple[Content, int]] = {}  # with the bytes of their text
        self._plain = False  # the samples of this run are pictures
        self._lock = threading.Lock()

    def knows(self, index: int) -> bool:
        """Whether a sample has to be rendered no more for `of` to answer."""
        return self._plain or index in self._known or is_there(self._path, _file(index))

    def take(self, index: int, content: Mapping[str, Any] | None) -> None:
        """Keep what was made of a sample; NaN and infinite numbers become null."""
        if content is None:
            self._plain = True
            return
        if index in self._known:
            return
        text = json.dumps(content, default=_listed, separators=(",", ":"), ensure_ascii=False)
        found = self._remember(index, text)
        # A full disk costs the copy in the run folder, not what is on the screen.
        with contextlib.suppress(OSError, ValueError):
            file = find(self._path, _file(index))
            if file.parent.parent.is_dir():  # a run folder that is gone is not made again
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(found), encoding="utf-8", newline="\n")

    def of(self, index: int, most: int | None = None) -> Content | None:
        """From memory or disk; None where there is none, or none of at most `most` bytes."""
        known = self._known.get(index)
        if known is None and not self._plain and is_there(self._path, _file(index)):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                self._remember(index, read_text(self._path, _file(index), MOST_BYTES))
            known = self._known.get(index)
        if known is None or (most is not None and known[1] > most):
            return None
        return known[0]

    def _remember(self, index: int, text: str) -> Content:
        found = json.loads(text, parse_constant=lambda _: None)
        if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
            raise ValueError("what is drawn of a sample is an object that names its kind")
        with self._lock:
            while len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[index] = found, len(text.encode("utf-8", "replace"))
        return found


def _file(index: int) -> str:
    return f"{FOLDER}/sample_{index:06d}.json"


def _listed(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's own."""
    return value.tolist()


def parts_of(content: Mapping[str, Any] | None, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """A map of a sample with several inputs as one for each, by name; {} for other samples.

    What is drawn first in small is the first one.
    """
    if content is None or content.get("kind") != "parts":
        return {}
    found = {}
    try:
        for part in sorted(content["parts"], key=lambda one: not one["shown"]):
            first, last = (int(place) for place in part["units"])
            cut = values.ravel()[first:last]
            found[str(part["name"])] = cut.reshape([int(side) for side in part["extent"]])
    except (KeyError, TypeError, ValueError):  # a run folder of anybody's
        return {}
    return found


def on_picture(content: Mapping[str, Any] | None, values: NDArray[Any]) -> NDArray[Any]:
    """What of a map (E) lies on the picture of a sample: of several inputs that of one part."""
    return next(iter(parts_of(content, values).values()), values)
