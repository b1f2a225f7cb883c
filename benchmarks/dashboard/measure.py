"""What the dashboard takes: of a person's patience, of the browser, and of the training.

    python benchmarks/dashboard/measure.py [--parts pause paint ...] [--minutes 30] [--json FILE]

pause      50 clicks on Pause while another cell sleeps, 50 while one computes: until the run's
           record says "paused", and until the screen does
paint      from the view's creation to its first frame with data on it
work       main thread a frame at 20 updates a second: 100,000 points, 10 new thumbnails in each
messages   10,000 clicks and 10,000 malformed messages in a minute, to a real kernel
publisher  processor time of the kernel's publisher thread with a browser that looks
stall      the browser stopped by a signal for 60 s: speed, what waits, what is sent afterwards
heap       the page's heap after a collection, over MINUTES of updates

Each has its limit beside it. Pause, publisher, stall and heap run in a real JupyterLab with a
training on the embedded data; paint and work in a plain page with the product's own bundle and
messages that the product's own view has made.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe

PARTS = ("pause", "paint", "work", "messages", "publisher", "stall", "heap")


class Row(NamedTuple):
    """One figure and what it may be."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the heap's measurement")
    parser.add_argument("--tries", type=int, default=50, help="of each kind of pause")
    parser.add_argument("--stall", type=float, default=60.0, help="seconds")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"dashboard: {describe()}", flush=True)
    rows: list[tuple[str, Row]] = []
    for part in args.parts:
        for row in measure(part, args):
            rows.append((part, row))
            show(part, row)
    if args.json:
        found = [{"part": part, **row._asdict()} for part, row in rows]
        args.json.write_text(json.dumps({"machine": describe(), "rows": found}, indent=1))


def measure(part: str, args: argparse.Namespace) -> list[Row]:
    """The rows of one part."""
    from benchmarks.dashboard import lab, messages, page

    if part == "pause":
        return lab.pause(args.tries)
    if part == "paint":
        return page.paint()
    if part == "work":
        return page.work()
    if part == "messages":
        return messages.messages()
    if part == "publisher":
        return lab.publisher()
    if part == "stall":
        return lab.stall(args.stall)
    return lab.heap(args.minutes)


def show(part: str, row: Row) -> None:
    limit = "" if row.limit is None else f"limit {row.limit:g}"
    verdict = "" if row.limit is None else ("" if row.value <= row.limit else "MISSED")
    print(
        f"{part:<10}{row.what:<46}{row.value:>10.3g} {row.unit:<10}{limit:<13}{verdict:<7}"
        f"{row.note}",
        flush=True,
    )


if __name__ == "__main__":
    main()
