"""How long a comparison of many runs takes to open: ``python benchmarks/records/compare.py``.

Generated runs of many events each, with settings that matter and some that do not. "Cold" reads
their streams, as of runs that were killed; "warm" reads what each session leaves at its end. The
views are opened in Chromium: the first one, and a second one of the same widget beside it.
``--pictures DIR`` keeps screenshots.
"""

import argparse
import base64
import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import describe
from coflect_widget import compare, runs
from coflect_widget.records.summary import write_summary
from coflect_widget.records.tracks import TRACKS
from coflect_widget.ui.records_view import RecordsView
from tests.e2e.lab import chromium

#: Opens one more view of the widget; the milliseconds until it is on the screen.
OPEN = """
async ({ program, style, kind, data, points, width }) => {
  if (!window.records) {
    document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
    const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    window.records = (await import(address)).default;
  }
  const began = performance.now();
  const bytes = Uint8Array.from(atob(points), one => one.charCodeAt(0));
  const traits = { _kind: kind, _data: data, _points: new DataView(bytes.buffer), _controls: "" };
  const model = { get: name => traits[name], on() {}, off() {} };
  const el = document.body.appendChild(document.createElement("div"));
  el.style.width = `${width}px`;
  window.records.render({ model, el });
  const frame = () => new Promise(done => requestAnimationFrame(done));
  await frame();
  await frame();
  return performance.now() - began;
}
"""


def lines(name: str, events: int, draw: random.Random, settings: dict) -> str:
    """A stream of that many events: how good it becomes depends on two settings."""
    rate, width = settings["training"]["lr"], settings["model"]["width"]
    best = 0.95 - 0.08 * abs(math.log10(rate) + 2.5) - 0.1 / math.sqrt(width / 8)
    speed = 2000 / (10 + width)  # steps a second

    def line(seq: int, kind: str, data: dict, split: str | None = None) -> str:
        at = 1_796_000_000 + seq * 10 / speed
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z"
        return json.dumps(
            {
                "schema_version": 1, "seq": seq, "ts": when, "run_id": name, "type": kind,
                "step": seq * 10, "epoch": seq // 100, "split": split, "data": data,
            },
            separators=(",", ":"),
        )  # fmt: skip

    made = [
        line(0, "run_started", {"backend": "torch", "device": "cpu"}),
        line(1, "state", {"state": "training"}),
    ]
    for seq in range(2, events - 1):
        learnt = 1 - math.exp(-4 * seq / events)
        accuracy = 0.5 + (best - 0.5) * learnt + draw.gauss(0, 0.01)
        values = {"loss": 1.2 - accuracy + draw.random() / 20, "accuracy": accuracy}
        if seq == events // 2 and draw.random() < 0.3:
            made.append(line(seq, "intervention", {"id": f"i{seq}"}))
        else:
            made.append(line(seq, "metrics", {"values": values}, "train" if seq % 50 else "val"))
    saved = {"path": "checkpoints/a", "metric": "accuracy", "direction": "higher", "value": best}
    made.insert(-1, line(events - 2, "checkpoint", saved))
    made.append(line(events - 1, "state", {"state": "finished"}))
    return "\n".join(made) + "\n"


def make(folder: Path, count: int, events: int) -> None:
    draw = random.Random(0)
    for number in range(count):
        path = folder / f"run_{number + 1:03d}_20261130_0600"
        path.mkdir(parents=True)
        settings = {
            "training": {
                "lr": round(10 ** draw.uniform(-4, -1), 6),
                "batch_size": draw.choice([32, 64, 128]),
                "optimizer": draw.choice(["adamw", "sgd"]),
            },
            "model": {"width": draw.choice([8, 16, 32, 64, 128])},
            "config": {"seed": number},
        }
        facts = {"config": {"seed": number}, "experiment": settings}
        (path / "config.yaml").write_text(yaml.safe_dump(facts))
        (path / "events.jsonl").write_text(lines(path.name, events, draw, settings))
        write_summary(path)


def opened(folder: Path) -> tuple[float, float, RecordsView]:
    """Seconds, processor seconds, and the widget."""
    began, used = time.perf_counter(), time.process_time()
    view = compare(runs(folder)).view()
    return time.perf_counter() - began, time.process_time() - used, view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    parser.add_argument("--width", type=int, default=1200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        make(folder, given.runs, given.events)
        print(f"{describe()}\n{given.runs:,} runs of {given.events:,} events")
        seconds, used, _ = opened(folder)
        print(f"cold    {seconds:6.2f} s, of the processor {used:.2f} s")
        assert all((path / TRACKS).is_file() for path in folder.glob("run_*"))
        warm = sorted((opened(folder) for _ in range(3)), key=lambda one: one[0])
        seconds, used, view = warm[1]
        print(f"warm    {seconds:6.2f} s, of the processor {used:.2f} s; median of 3")
        sent = len(json.dumps(view._data)) + len(view._points)
        print(f"sent    {sent / 1e6:6.2f} MB")
        page_data = {
            "program": RecordsView._esm, "style": RecordsView._css, "kind": "compare",
            "data": view._data, "points": base64.b64encode(view._points).decode(),
            "width": given.width,
        }  # fmt: skip
        for theme in ("light", "dark"):
            with chromium(given.width + 40, 1000, dark=theme == "dark") as page:
                page.goto("about:blank")
                first = page.evaluate(OPEN, page_data)
                second = page.evaluate(OPEN, page_data)
                print(f"{theme:7} first view {first / 1000:.2f} s, second {second / 1000:.2f} s")
                if given.pictures:
                    given.pictures.mkdir(parents=True, exist_ok=True)
                    root = page.locator("[data-testid=cr-root]").first
                    root.screenshot(path=given.pictures / f"parallel_{theme}.png")
                    root.get_by_test_id("cr-scatter").click()
                    root.locator("tbody tr").nth(3).hover()
                    root.screenshot(path=given.pictures / f"scatter_{theme}.png")


if __name__ == "__main__":
    main()
