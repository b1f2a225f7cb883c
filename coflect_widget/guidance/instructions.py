"""The sentences a person may type, and what they mean.

The grammar is small and deterministic; capitals, spaces, "the" and a full stop do not matter::

    increase focus by 10%       decrease focus by 0.05      increase focus
    set focus to 0.4            set focus to 40%
    focus center                focus top right             focus upper left corner
    focus x0=.2 y0=.2 x1=.8 y1=.8                           x=.2 y=.2 w=.6 h=.6
    ignore left                 ignore borders              ignore x0=.7 y0=.7 x1=.9 y1=.9
    stop focus

"Increase focus by 10%" adds 0.10 to the strength: 0.30 becomes 0.40. What is not in the
grammar is answered with the nearest phrases and changes nothing.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from coflect_widget.guidance.roi import Box, Roi, parse_roi
from coflect_widget.guidance.state import Kind

DEFAULT_STEP = 0.10
MAX_LENGTH = 500

EXAMPLES = (
    "increase focus by 10%",
    "decrease focus by 10%",
    "increase focus",
    "decrease focus",
    "set focus to 0.4",
    "set focus to 40%",
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
    "ignore x0=.7 y0=.7 x1=.9 y1=.9",
    "stop focus",
)

_BORDER = 0.15
_SIDES = {"left": (0.0, 0.5), "right": (0.5, 1.0), "top": (0.0, 0.5), "bottom": (0.5, 1.0)}
_CORNERS = {"left": (0.0, 1 / 3), "right": (2 / 3, 1.0), "top": (0.0, 1 / 3), "bottom": (2 / 3, 1)}


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
    return regions


REGIONS = _regions()

_SYNONYMS = {
    "centre": "center", "middle": "center", "upper": "top", "lower": "bottom", "border": "borders",
    "edge": "borders", "edges": "borders", "lefthand": "left", "righthand": "right",
    "percent": "%", "raise": "increase", "reduce": "decrease", "attention": "focus",
    "strength": "focus", "clear": "stop", "look": "focus", "focusing": "focus",
}  # fmt: skip
_FILLERS = {"the", "a", "an", "at", "on", "in", "please", "half", "side"}
_NUMBER = r"(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<percent>%?)"
_CHANGE = re.compile(rf"(?P<verb>increase|decrease) focus(?: by {_NUMBER})?")
_SET = re.compile(rf"set focus (?:to )?{_NUMBER}")
_COORDINATE = re.compile(r"(?P<name>x0|y0|x1|y1|x|y|w|h)\s*=\s*(?P<value>\d+(?:\.\d*)?|\.\d+)")
_BLANK = re.compile(r"[\s,;]*")


@dataclass(frozen=True, slots=True)
class Understood:
    """Meaning of one instruction.

    Attributes
    ----------
    action : {"change", "set", "region", "clear"}
    delta : float
        For "change": what is added to the strength, in [-1, 1].
    value : float
        For "set": the new strength, in [0, 1].
    kind : {"look", "ignore"}
        For "region".
    rois : tuple of Roi
        For "region": one box, or the four strips of "borders".
    region : str
        Name of the region; "" where it was given by coordinates.
    """

    action: Literal["change", "set", "region", "clear"]
    delta: float = 0.0
    value: float = 0.0
    kind: Kind = "look"
    rois: tuple[Roi, ...] = ()
    region: str = ""

    def echo(self) -> str:
        """What was understood, as a sentence that means the same when typed again."""
        match self.action:
            case "change":
                verb = "increase" if self.delta >= 0 else "decrease"
                return f"{verb} focus by {_plain(abs(self.delta) * 100)}%"
            case "set":
                return f"set focus to {_plain(self.value)}"
            case "clear":
                return "stop focus"
            case "region":
                return f"{'focus' if self.kind == 'look' else 'ignore'} {self._place()}"

    def _place(self) -> str:
        if self.region:
            return self.region
        numbers = self.rois[0].to_json()["box"]
        pairs = zip(("x0", "y0", "x1", "y1"), numbers, strict=True)
        return " ".join(f"{name}={_plain(number)}" for name, number in pairs)


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Nothing is changed; `message` says so in one line, `nearest` are phrases that work."""

    text: str
    message: str
    nearest: tuple[str, ...]


def parse(text: str) -> Understood | NotUnderstood:
    """Read one instruction; never raises for a string, and never takes half of one.

    Parameters
    ----------
    text : str
        What a person typed.
    """
    if len(text) > MAX_LENGTH:
        return _not_understood(text, f"it is longer than {MAX_LENGTH} characters")
    words = _normalise(text)
    if not words:
        return _not_understood(text, "it is empty")
    if words in ("stop focus", "stop guidance"):
        return Understood("clear")
    if match := _CHANGE.fullmatch(words):
        step = DEFAULT_STEP if match["number"] is None else _strength(match)
        if isinstance(step, str):
            return _not_understood(text, step)
        return Understood("change", delta=step if match["verb"] == "increase" else -step)
    if match := _SET.fullmatch(words):
        value = _strength(match)
        if isinstance(value, str):
            return _not_understood(text, value)
        return Understood("set", value=value)
    return _region(text, words)


def _region(text: str, words: str) -> Understood | NotUnderstood:
    kind: Kind = "look"
    place = words
    for verb, meaning in (("focus", "look"), ("ignore", "ignore")):
        if words.startswith(verb + " "):
            kind, place = ("look" if meaning == "look" else "ignore"), words[len(verb) + 1 :]
    if place != words:  # a bare "left" is no instruction; bare coordinates are
        for name in (place, _swapped(place)):
            if name in REGIONS:
                return Understood("region", kind=kind, rois=REGIONS[name], region=name)
    roi = _coordinates(place)
    if isinstance(roi, str):
        return _not_understood(text, roi)
    return Understood("region", kind=kind, rois=(roi,))


def _swapped(place: str) -> str:
    """The name with its first two words exchanged: "left top" is "top left"."""
    first, *rest = place.split(" ")
    return " ".join([rest[0], first, *rest[1:]]) if rest else place


def _coordinates(place: str) -> Roi | str:
    values: dict[str, float] = {}
    position = 0
    while position < len(place):
        match = _COORDINATE.match(place, position)
        if match is None:
            return "there is no such instruction"
        if match["name"] in values:
            return f"{match['name']} is given twice"
        values[match["name"]] = float(match["value"])
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
        return parse_roi(box, "region")
    except ValueError as error:
        return str(error)


def _strength(match: re.Match[str]) -> float | str:
    number = float(match["number"]) / (100 if match["percent"] else 1)
    if number > 1:
        given = match["number"] + match["percent"]
        remedy = f"{given}%" if not match["percent"] and number <= 100 else "a number from 0 to 1"
        return f"{given} is more than 1; write {remedy}"
    return round(number, 9)


def _normalise(text: str) -> str:
    joined = re.sub(r"(?<=[a-z])[-_](?=[a-z])", " ", text.lower())  # "top-right", but not "-0.4"
    lowered = re.sub(r"\s+", " ", joined).strip(" .!?,;:\"'")
    lowered = re.sub(r"(?<=\d)(?=percent\b)", " ", lowered)
    words = [_SYNONYMS.get(word, word) for word in lowered.split(" ")]
    return " ".join(word for word in words if word not in _FILLERS)


def _plain(number: float) -> str:
    return f"{round(number, 9):.9f}".rstrip("0").rstrip(".")


def _not_understood(text: str, reason: str) -> NotUnderstood:
    shown = " ".join(text.split())
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    close = difflib.get_close_matches(_normalise(text[:MAX_LENGTH]), EXAMPLES, n=3, cutoff=0.4)
    # What is near first, then one of each kind: a person shall see what would be understood.
    nearest = tuple(dict.fromkeys([*close, EXAMPLES[0], EXAMPLES[6], "ignore borders"]))[:3]
    message = (
        f"instruction {shown!r} changes nothing: {reason}; "
        + "try "
        + " | ".join(repr(phrase) for phrase in nearest)
    )
    return NotUnderstood(text, message, nearest)
