"""Regions by name or by coordinates, as they stand in an instruction."""

from __future__ import annotations

import re

from coflect_widget.modalities.image.regions import Box, Roi, parse_roi

_BORDER = 0.15
_SIDES = {"left": (0.0, 0.5), "right": (0.5, 1.0), "top": (0.0, 0.5), "bottom": (0.5, 1.0)}
_CORNERS = {"left": (0.0, 1 / 3), "right": (2 / 3, 1.0), "top": (0.0, 1 / 3), "bottom": (2 / 3, 1)}
_COORDINATE = re.compile(r"(?P<name>x0|y0|x1|y1|x|y|w|h)\s*=\s*(?P<value>\d+(?:\.\d*)?|\.\d+)")
_BLANK = re.compile(r"[\s,;]*")
_MOST = 8  # regions in one sentence


def _regions() -> dict[str, tuple[Roi, ...]]:
    """Named regions: halves, quarters, corners a third wide, the centre, the borders."""
    regions: dict[str, tuple[Roi, ...]] = {
        "center": (Box(0.25, 0.25, 0.75, 0.75),),
        "borders": (
            Box(0.0, 0.0, 1.0, _BORDER),
            Box(0.0, 1 - _BORDER, 1.0, 1.0),
            Box(0.0, _BORDER, _BORDER, 1 - _BORDER),
            Box(1 - _BORDER, _BORDER, 1.0, 1 - _BORDER),
        ),
    }
    corners: tuple[Roi, ...] = ()
    for side in ("left", "right"):
        x0, x1 = _SIDES[side]
        regions[side] = (Box(x0, 0.0, x1, 1.0),)
    for side in ("top", "bottom"):
        y0, y1 = _SIDES[side]
        regions[side] = (Box(0.0, y0, 1.0, y1),)
        for across in ("left", "right"):
            for suffix, extent in (("", _SIDES), (" corner", _CORNERS)):
                (x0, x1), (y0, y1) = extent[across], extent[side]
                regions[f"{side} {across}{suffix}"] = (Box(x0, y0, x1, y1),)
            corners += regions[f"{side} {across} corner"]
    regions["corners"] = corners
    return regions


REGIONS = _regions()

EXAMPLES = (
    "focus center",
    "focus left",
    "focus right",
    "focus top",
    "focus bottom",
    "focus top left",
    "focus top right",
    "focus bottom left",
    "focus bottom right",
    "focus top right corner",
    "focus x0=.2 y0=.2 x1=.8 y1=.8",
    "focus x=.2 y=.2 w=.6 h=.6",
    "ignore borders",
    "ignore center",
    "ignore left",
    "ignore top right corner",
    "ignore corners",
    "ignore borders and center",
    "ignore left at 50%",
    "ignore x0=.7 y0=.7 x1=.9 y1=.9",
    "ignore borders only this one",
    "ignore borders everywhere",
)
SYNONYMS = {
    "centre": "center", "middle": "center", "upper": "top", "lower": "bottom", "border": "borders",
    "edge": "borders", "edges": "borders", "lefthand": "left", "righthand": "right",
    "corner": "corner",
}  # fmt: skip
FILLERS = frozenset(("half", "side"))


def read_regions(words: str, *, bare: bool) -> tuple[str, tuple[Roi, ...]] | str:
    """Regions joined by "and": their words, in one spelling, and all their boxes.

    Parameters
    ----------
    words : str
        In small letters, single spaces, without words that say nothing.
    bare : bool
        No verb stands before them; then only coordinates are taken.

    Returns
    -------
    (str, tuple of Roi) or str
        A string alone says why it is none.
    """
    parts = words.split(" and ")
    if len(parts) > _MOST:
        return f"it names more than {_MOST} regions"
    names: list[str] = []
    rois: list[Roi] = []
    for part in parts:
        found = None if bare else _named(part)
        if found is None:
            box = _coordinates(part)
            if isinstance(box, str):
                return box
            found = _spelled(box), (box,)
        if found[0] not in names:
            names.append(found[0])
            rois += [roi for roi in found[1] if roi not in rois]
    return " and ".join(names), tuple(rois)


def _named(words: str) -> tuple[str, tuple[Roi, ...]] | None:
    first, *rest = words.split(" ")
    # "left top" is "top left"
    swapped = " ".join([rest[0], first, *rest[1:]]) if rest else words
    for name in (words, swapped):
        if name in REGIONS:
            return name, REGIONS[name]
    return None


def _spelled(box: Box) -> str:
    numbers = zip(("x0", "y0", "x1", "y1"), box.to_json()["box"], strict=True)
    return " ".join(f"{name}={_plain(number)}" for name, number in numbers)


def _coordinates(place: str) -> Box | str:
    values: dict[str, float] = {}
    position = 0
    while position < len(place):
        match = _COORDINATE.match(place, position)
        if match is None:
            return "there is no such instruction"
        if match["name"] in values:
            return f"{match['name']} is given twice"
        values[match["name"]] = round(float(match["value"]), 9)
        blank = _BLANK.match(place, match.end())
        position = blank.end() if blank else match.end()
        if position == match.end() < len(place):
            return "there is no such instruction"
    if set(values) == {"x0", "y0", "x1", "y1"}:
        box = (values["x0"], values["y0"], values["x1"], values["y1"])
    elif set(values) == {"x", "y", "w", "h"}:
        # rounded, because .7 + .3 must not leave the image by the last binary digit
        right = round(values["x"] + values["w"], 9)
        box = (values["x"], values["y"], right, round(values["y"] + values["h"], 9))
    else:
        return "a region needs x0, y0, x1, y1 or x, y, w, h"
    try:
        found = parse_roi(box, "region")
    except ValueError as error:
        return str(error)
    assert isinstance(found, Box)  # noqa: S101 - four numbers are one
    return found


def _plain(number: float) -> str:
    return f"{round(number, 9):.9f}".rstrip("0").rstrip(".")
