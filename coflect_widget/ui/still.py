"""The last state of a dashboard as plain HTML, for whoever opens the notebook without its kernel.

It is an output of its own below the widget: nbconvert, GitHub and JupyterLab prefer the widget to
any other form of the same output, and show nothing where the widget cannot run. Where the widget
is alive a rule of style hides it, so that a refresh of it never touches the widget.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
from IPython.core.getipython import get_ipython
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from coflect_widget.records import cells
from coflect_widget.records.sketches import sketch

#: Seconds between two refreshes while training goes on, at least.
EVERY = 60.0
#: Places at which it was shown that are refreshed; a cell that is run again makes another.
MOST_PLACES = 8
MOST_TILES = 10
#: Hidden where a live dashboard is in the same cell's output.
_STYLE = (
    ".jp-OutputArea:has([data-testid=cw-root]) .jp-OutputArea-child:has(.coflect-still),"
    ".jp-OutputArea:has([data-testid=cw-root]) .coflect-still{display:none}"
)
_STATES = {
    "idle": "not started", "training": "training", "paused": "paused", "stopped": "stopped",
    "finished": "finished", "failed": "failed", "interrupted": "interrupted",
}  # fmt: skip
_LINES = {"train": (31, 111, 235), "val": (217, 119, 6)}
_SPLITS = {"train": "training (blue)", "val": "validation (orange)"}
_CHART = (420, 150)


class Still:
    """Shows the last state in a cell and refreshes it there; any thread.

    `refresh` is given what `publisher.snapshot` makes.
    """

    def __init__(self) -> None:
        self._places: list[str] = []  # display ids
        self._lock = threading.Lock()
        self._shown = ""  # state that was published last
        self._at = 0.0

    def show(self, snapshot: Mapping[str, Any]) -> None:
        """Put it below what the present cell shows; without a notebook nothing happens."""
        place = f"coflect-still-{uuid4().hex}"
        with self._lock:
            self._places = [*self._places, place][-MOST_PLACES:]
        self._publish(bundle(snapshot), [place], update=False)
        self._at = 0.0  # what is shown first may be old, and have no pictures

    def due(self, state: str) -> bool:
        """Whether it should be refreshed: training ended or holds, or a minute has passed."""
        if not self._places:
            return False
        return state != "training" or time.monotonic() - self._at >= EVERY

    def refresh(self, snapshot: Mapping[str, Any]) -> None:
        """Bring every place at which it was shown up to date, where anything changed."""
        with self._lock:
            places = list(self._places)
        if not places:
            return
        made = bundle(snapshot)
        if made["text/html"] != self._shown:
            self._publish(made, places, update=True)

    def _publish(self, made: dict[str, str], places: Sequence[str], *, update: bool) -> None:
        shell: Any = get_ipython()
        if shell is None:
            return
        self._shown, self._at = made["text/html"], time.monotonic()
        for place in places:
            shell.display_pub.publish(
                data=made, metadata={}, transient={"display_id": place}, update=update
            )


def bundle(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """The state as HTML that holds its pictures, and in a line of text."""
    update, buffers = snapshot["update"], snapshot["buffers"]
    status = update["status"]
    words = _headline(status)
    parts = [
        _head(words, update),
        _charts(update.get("metrics") or [], buffers),
        _looked_at(update.get("explanation"), buffers, status["classes"]),
        _queue(update.get("queue"), _glances(update, buffers), buffers, status["classes"]),
        _ledger(update.get("ledger") or []),
    ]
    return {
        "text/plain": words,
        "text/html": f'<div class="coflect-still"><style>{_STYLE}</style>{"".join(parts)}</div>',
    }


def _headline(status: Mapping[str, Any]) -> str:
    total = "" if status["total_steps"] is None else f" of {status['total_steps']}"
    epochs = "epoch" if status["epoch"] == 1 else "epochs"
    now = _STATES.get(status["state"], status["state"])
    return (
        f"{status['run_id']}: {now} after step {status['step']}{total}, {status['epoch']} {epochs}"
    )


def _head(words: str, update: Mapping[str, Any]) -> str:
    lines = []
    if update["status"]["error"]:
        lines.append(update["status"]["error"])
    if update.get("advice"):
        lines.append(update["advice"]["text"])
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    note = f"The dashboard as it was on {when}; run the cell again for the live one."
    text = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    return cells.block(words, [text] if text else [], note)


# --- charts ----------------------------------------------------------------------------------


def _charts(metrics: Sequence[Mapping[str, Any]], buffers: Sequence[bytes]) -> str:
    series = {
        one["name"]: np.frombuffer(buffers[one["points_buffer"]]).reshape(-1, 2) for one in metrics
    }
    tiles = []
    for name in ("accuracy", "loss"):
        lines = {
            split: series[f"{split}/{name}"] for split in _LINES if f"{split}/{name}" in series
        }
        lines = {split: points[np.isfinite(points).all(1)] for split, points in lines.items()}
        lines = {split: points for split, points in lines.items() if len(points)}
        if lines:
            last = ", ".join(
                f"{_SPLITS[split]} {points[-1, 1]:.3g}" for split, points in lines.items()
            )
            picture = cells.picture_tag(cells.png(chart(lines)), f"{name} by step: {last}", 420)
            tiles.append(cells.tile(picture, [f"{name}: {last}"], width=430))
    return cells.block("", tiles) if tiles else ""


def chart(lines: Mapping[str, NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Lines of (step, value) on white, (H, W, 3): training blue, validation orange with dots."""
    width, height = _CHART
    image = Image.new("RGB", (2 * width, 2 * height), "white")
    draw = ImageDraw.Draw(image)
    every = np.concatenate(list(lines.values()))
    (x0, low), (x1, high) = every.min(0), every.max(0)
    high = high if high > low else low + 1
    x1 = x1 if x1 > x0 else x0 + 1
    left, right, top, bottom = 90, 2 * width - 16, 14, 2 * height - 40
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        draw.line([(left, y), (right, y)], fill=(228, 230, 233), width=2)
        draw.text((8, y - 12), f"{low + share * (high - low):.3g}", fill=(80, 86, 94), font_size=24)
    draw.text((left, bottom + 8), f"{x0:.0f}", fill=(80, 86, 94), font_size=24)
    end = f"step {x1:.0f}"
    draw.text(
        (right - draw.textlength(end, font_size=24), bottom + 8), end, fill=(80, 86, 94),
        font_size=24,
    )  # fmt: skip
    for split, points in lines.items():
        x = left + (points[:, 0] - x0) / (x1 - x0) * (right - left)
        y = bottom - (points[:, 1] - low) / (high - low) * (bottom - top)
        path = [tuple(p) for p in np.stack([x, y], 1).tolist()]
        draw.line(path, fill=_LINES[split], width=4, joint="curve")
        if split == "val":
            for px, py in path:
                draw.ellipse([px - 5, py - 5, px + 5, py + 5], fill=_LINES[split])
    return np.asarray(image)


# --- samples ---------------------------------------------------------------------------------


def _named(classes: Sequence[str], label: int | None) -> str:
    if label is None:
        return ""
    return classes[label] if 0 <= label < len(classes) else f"class {label}"


def _looked_at(
    shown: Mapping[str, Any] | None, buffers: Sequence[bytes], classes: Sequence[str]
) -> str:
    if shown is None or shown["picture_buffer"] is None:
        return ""
    number = shown.get(f"{shown['method']}_buffer")
    if number is None:
        number = next((shown[n] for n in ("consensus_buffer", "livecam_buffer") if shown[n]), None)
    heat: NDArray[np.float32] | None = None
    if number is not None:
        heat = np.frombuffer(buffers[number], np.uint8).astype(np.float32)
        heat /= 255
    title = f"Sample {shown['index']}"
    if shown["predicted"] is not None:
        title += f" ({_named(classes, shown['target'])}): the model says " + _named(
            classes, shown["predicted"]
        )
    note = "" if shown["model_step"] is None else f"after step {shown['model_step']}"
    drawn = sketch(shown.get("content"), heat)
    if drawn:
        words = [] if heat is None else ["coloured where the model looks"]
        return cells.block(title, [cells.tile(drawn, words, width=600)], note)
    return cells.block(title, _pictures(shown, buffers, heat), note)


def _pictures(
    shown: Mapping[str, Any], buffers: Sequence[bytes], heat: NDArray[np.float32] | None
) -> list[str]:
    picture = np.frombuffer(buffers[shown["picture_buffer"]], np.uint8)
    picture = picture.reshape(shown["height"], shown["width"], 3)
    pictures = {"the sample": picture}
    if heat is not None:
        heat = heat.reshape(shown["map_height"], shown["map_width"])
        pictures["where the model looks"] = cells.over(picture, heat)
    return [
        cells.tile(
            cells.picture_tag(
                cells.png(cells.fitted(one, 192)), f"sample {shown['index']}: {words}"
            ),
            [words],
            width=220,
        )
        for words, one in pictures.items()
    ]


def _glances(update: Mapping[str, Any], buffers: Sequence[bytes]) -> dict[int, str]:
    """Samples of lists that are no pictures, by number, as HTML."""
    found = {}
    for glance in update.get("glances") or []:
        number = glance["cells_buffer"]
        heat = None
        if number is not None:
            heat = np.frombuffer(buffers[number], np.uint8) / np.float32(255)
        found[glance["index"]] = sketch(glance["content"], heat, small=True)
    return found


def _queue(
    queue: Mapping[str, Any] | None,
    glances: Mapping[int, str],
    buffers: Sequence[bytes],
    classes: Sequence[str],
) -> str:
    """Samples that are right now and at risk, and those that are wrong already, as two blocks."""
    if queue is None:
        return ""
    blocks = []
    for wrong, title in (
        (False, f"Likely to be wrong at epoch {queue['due']}"),
        (True, "Wrong when training last saw them"),
    ):
        items = [item for item in queue["items"] if item["wrong_now"] == wrong]
        tiles = [_tile(item, glances, buffers, classes) for item in items[:MOST_TILES]]
        known = queue.get("wrong") if wrong else None  # of all samples
        count = len(items) if known is None else known
        more = count - len(tiles)
        note = f"and {more} more" if more > 0 else ""
        blocks.append(cells.block(title, tiles, note) if tiles else "")
    return "".join(blocks)


def _tile(
    item: Mapping[str, Any],
    glances: Mapping[int, str],
    buffers: Sequence[bytes],
    classes: Sequence[str],
) -> str:
    number = item["thumbnail_buffer"]
    drawn = glances.get(item["index"], "")
    picture = drawn
    if not drawn and number is not None:
        picture = cells.picture_tag(buffers[number], f"sample {item['index']}", 96)
    lines = [f"#{item['index']} · {_percent(item['risk'])}"]
    if item["target"] >= 0:
        lines.append(_named(classes, item["target"]))
        if item["wrong_now"]:
            lines.append(f"the model says {_named(classes, item['predicted'])}")
    return cells.tile(picture, lines, width=250 if drawn else 104)


def _percent(risk: float) -> str:
    """A risk, and never 0 % or 100 % for what is neither, as the dashboard says it."""
    if risk <= 0.005:
        return "<1%"
    return ">99%" if 0.995 <= risk < 1 else f"{risk:.0%}"


def _ledger(ledger: Sequence[Mapping[str, Any]]) -> str:
    if not ledger:
        return ""
    rows = []
    for item in ledger[-MOST_TILES:]:
        effect = item["effect"]
        said = "undone" if item["undone"] else "" if effect is None else effect["text"]
        line = f"step {item['step']}: {item['text']}" + (f" — {said}" if said else "")
        rows.append(f"<div>{html.escape(line)}</div>")
    return cells.block("What this training was told", rows)
