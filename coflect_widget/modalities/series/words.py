"""Regions of series as they stand in an instruction: steps, parts of the length, channels."""

from __future__ import annotations

import re

from coflect_widget.modalities.series.regions import LONGEST, Interval, Span, Steps

EXAMPLES = (
    "focus steps 20-36",
    "focus first half",
    "focus middle third",
    "focus channel 0",
    "focus steps 20-36 of channel 0",
    "ignore steps 20-36",
    "ignore step 20",
    "ignore first 20 steps",
    "ignore first half",
    "ignore last half",
    "ignore first third",
    "ignore last quarter",
    "ignore channel 3",
    "ignore channels 1-3",
    "ignore steps 20-36 of channel 3",
    "ignore first half and channel 3",
    "ignore steps 20-36 at 50%",
    "ignore steps 20-36 everywhere",
)
SYNONYMS = {
    "second": "last", "beginning": "start", "begin": "start", "halves": "half",
    "centre": "middle", "center": "middle", "timesteps": "steps", "timestep": "step",
    "samples": "steps", "variable": "channel", "variables": "channels", "quarters": "quarter",
    "thirds": "third",
}  # fmt: skip
FILLERS = frozenset(("of", "time", "from", "only"))

_MOST = 8  # regions in one sentence
_SIDES = {"left": "first", "right": "last"}  # of the curve on the screen
_PARTS = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "tenth": 1 / 10}
_STEPS = re.compile(r"steps? (?P<first>\d{1,9})(?:\s*(?:-|to)\s*(?P<last>\d{1,9}))?")
_FIRST = re.compile(r"first (?P<count>\d{1,9}) steps?")
_PART = re.compile(r"(?P<which>first|middle|last) (?P<part>half|third|quarter|tenth)")
_CHANNELS = re.compile(r"channels? (?P<first>\d{1,6})(?:\s*(?:-|to)\s*(?P<last>\d{1,6}))?")
_MORE = re.compile(r"\d{1,6}(?:\s*(?:-|to)\s*\d{1,6})?")


def read_regions(words: str, *, bare: bool) -> tuple[str, tuple[Span, ...]] | str:
    """Regions joined by "and": their words, in one spelling, and all of them.

    Steps are counted from 0, and the last that is named belongs to them.

    Returns
    -------
    (str, tuple of Span) or str
        A string alone says why it is none.
    """
    if bare:
        return "there is no such instruction"
    names: list[str] = []
    found: list[Span] = []
    noun = ""
    for part in re.split(r" and |, ?", words):
        if noun and _MORE.fullmatch(part):  # "channels 1 and 3"
            part = f"{noun} {part}"
        read = _one(part)
        if isinstance(read, str):
            return read
        name, regions = read
        noun = name.split(" ")[0] if name.startswith(("step", "channel")) else ""
        if name not in names:
            names.append(name)
            found += [region for region in regions if region not in found]
    if len(found) > _MOST:
        return f"it names more than {_MOST} regions"
    return " and ".join(names), tuple(found)


def _one(part: str) -> tuple[str, list[Span]] | str:
    channels, when = _CHANNELS.search(part), part
    rows: list[int | None] = [None]
    where = ""
    if channels:
        first, last = int(channels["first"]), int(channels["last"] or channels["first"])
        if last < first:
            return f"channels {first}-{last} end before they begin"
        if last - first >= _MOST:
            return f"it names more than {_MOST} regions"
        rows = list(range(first, last + 1))
        where = f"channel {first}" if first == last else f"channels {first}-{last}"
        when = f"{part[: channels.start()]} {part[channels.end() :]}".strip()
    if not when:
        return (where, [Interval(0.0, 1.0, row) for row in rows]) if where else _NONE
    span = _when(when)
    if isinstance(span, str):
        return span
    name, region = span
    found: list[Span] = [
        Steps(region.start, region.stop, row)
        if isinstance(region, Steps)
        else Interval(region.start, region.stop, row)
        for row in rows
    ]
    return (f"{name} of {where}" if where else name), found


_NONE = "there is no such instruction"


def _when(words: str) -> tuple[str, Interval | Steps] | str:
    side, _, part = words.partition(" ")
    if side in _SIDES:  # alone as of a picture: one half
        words = f"{_SIDES[side]} {part or 'half'}"
    if match := _STEPS.fullmatch(words):
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if last < first:
            return f"steps {first}-{last} end before they begin"
        if last >= LONGEST:
            return f"there is no step {last}"
        name = f"step {first}" if first == last else f"steps {first}-{last}"
        return name, Steps(first, last + 1)
    if match := _FIRST.fullmatch(words):
        count = int(match["count"])
        if not 0 < count <= LONGEST:
            return f"there are no {count} steps"
        return f"first {count} steps", Steps(0, count)
    if match := _PART.fullmatch(words):
        share = _PARTS[match["part"]]
        start = {"first": 0.0, "middle": (1 - share) / 2, "last": 1 - share}[match["which"]]
        stop = 1.0 if match["which"] == "last" else round(start + share, 9)
        return words, Interval(round(start, 9), stop)
    return _NONE
