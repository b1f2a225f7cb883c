"""One sample with its picture, its maps and what is said of them, as a section of an update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.records.pictures import MASKS, Gallery
from coflect_widget.ui import protocol

#: Maps that stand in the place of another, for kinds or settings that have them instead.
_FIRST = {
    **dict.fromkeys(("gradcam", "integrated", "occlusion"), "livecam"), "shapley": "smoothgrad",
}  # fmt: skip


def explained(
    gallery: Gallery,
    index: int,
    shown: events.Overlay | events.OverlayFailed | None,
    buffers: list[bytes],
) -> dict[str, Any]:
    """Of a sample: picture, maps and what is said of them, or why there are none."""
    section: dict[str, Any] = {
        "index": index,
        "failed": None,
        "target": None,
        "predicted": None,
        "top": [],
        "explained": None,
        "labels": [],
        "agreement": None,
        "quality": None,
        "quality_reason": None,
        "bbox": None,
        "model_step": None,
        "method": "consensus",
        "seconds": None,
        "purpose": "person",
        "width": 0,
        "height": 0,
        "picture_buffer": None,
        "map_width": 0,
        "map_height": 0,
        "livecam_buffer": None,
        "smoothgrad_buffer": None,
        "consensus_buffer": None,
        "truth_buffer": None,
        "said_buffer": None,
        "region_buffer": None,
        "content": gallery.content(index),
        "shares": [],
    }
    if isinstance(shown, events.OverlayFailed):
        section.update(failed=shown.reason, purpose=shown.purpose)
    if isinstance(shown, events.Overlay):
        _describe(gallery, section, shown, buffers)
    if section["picture_buffer"] is None:
        try:
            picture = gallery.picture(index)
        except (LookupError, OSError):
            return section
        _add_picture(section, picture, buffers)
    return section


def _describe(
    gallery: Gallery, section: dict[str, Any], shown: events.Overlay, buffers: list[bytes]
) -> None:
    section.update(
        # A map may belong to no class.
        target=shown.target if shown.top_classes else None,
        predicted=shown.predicted if shown.top_classes else None,
        top=[
            {"index": c, "probability": p}
            for c, p in zip(shown.top_classes, shown.top_probs, strict=True)
        ],
        explained=shown.explained if shown.top_classes else None,
        labels=shown.labels,
        agreement=shown.agreement,
        **verdict(shown.quality),
        bbox=None if shown.focus_bbox is None else list(on_screen(shown.focus_bbox)),
        model_step=shown.model_step,
        method=_FIRST.get(shown.method, shown.method),
        seconds=shown.seconds,
        purpose=shown.purpose,
        shares=[
            {"name": name, "share": share} for name, share in (shown.modality_focus or {}).items()
        ],
    )
    try:
        maps = gallery.load(shown.maps)
    except FileNotFoundError:
        section["failed"] = (
            f"The map of step {shown.model_step} was not kept, to save room on the disk."
        )
        return
    except (OSError, ValueError) as error:
        section["failed"] = f"the maps cannot be read: {error}"
        return
    _add_picture(section, maps["picture"], buffers)
    # a map of one axis is a row of cells
    section["map_height"], section["map_width"] = np.atleast_2d(maps["map"]).shape
    for name in ("livecam", "smoothgrad", "consensus", *MASKS):
        if name in maps:
            section[f"{name}_buffer"] = add(buffers, maps[name].tobytes())


def on_screen(corners: Sequence[float]) -> protocol.Box:
    """Corners of a box as (x0, y0, x1, y1); what has one axis is as high as the picture."""
    if len(corners) == 2:
        return corners[0], 0.0, corners[1], 1.0
    x0, y0, x1, y1 = corners
    return x0, y0, x1, y1


def verdict(quality: events.Quality | None) -> dict[str, str | None]:
    """What a map's quality is called, and why."""
    if quality is None:
        return {"quality": None, "quality_reason": None}
    word = "reliable" if quality.reliable else "not reliable"
    return {"quality": word, "quality_reason": quality.reason or None}


def add(buffers: list[bytes], data: bytes | None) -> int | None:
    """Put data into the buffers; its place there."""
    if data is None:
        return None
    buffers.append(data)
    return len(buffers) - 1


def _add_picture(section: dict[str, Any], picture: Any, buffers: list[bytes]) -> None:
    section["height"], section["width"] = picture.shape[:2]
    section["picture_buffer"] = add(buffers, picture.tobytes())


def shifted(section: dict[str, Any], by: int) -> dict[str, Any]:
    """The section with its buffers' numbers moved on."""
    return {
        key: value + by if key.endswith("_buffer") and value is not None else value
        for key, value in section.items()
    }
