"""How long the table of many runs takes, cold and warm: ``python benchmarks/records/table.py``.

Generated runs of many events each, as a session leaves them. "Cold" has no table of before, "warm"
has one. "Killed" are runs without the summary that a session leaves at its end.
"""

import argparse
import contextlib
import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import describe
from coflect_widget import Config, runs
from coflect_widget.records.folder import write_facts
from coflect_widget.records.summary import SUMMARY, write_summary
from coflect_widget.records.table import CACHE


def lines(name: str, events: int, seed: int) -> str:
    """A stream of that many events: a start, metrics, some interventions, an end."""
    draw = random.Random(seed)

    def line(seq: int, kind: str, data: dict[str, object], split: str | None = None) -> str:
        return json.dumps(
            {
                "schema_version": 1, "seq": seq, "ts": "2026-11-30T06:00:00.123456Z",
                "run_id": name, "type": kind, "step": seq * 10, "epoch": seq // 100,
                "split": split, "data": data,
            },
            separators=(",", ":"),
        )  # fmt: skip

    made = [line(0, "run_started", {"backend": "torch", "device": "cpu"})]
    for seq in range(1, events - 1):
        loss = math.exp(-seq / events) + draw.random() / 10
        values = {"loss": loss, "accuracy": draw.random(), "learning_rate": 1e-3}
        if seq % 1000 == 500:
            made.append(line(seq, "intervention", {"id": f"i{seq}"}))
        else:
            made.append(line(seq, "metrics", {"values": values}, "train" if seq % 50 else "val"))
    made.append(line(events - 1, "state", {"state": "finished"}))
    return "\n".join(made) + "\n"


def timed(folder: Path) -> float:
    began = time.perf_counter()
    table = runs(folder)
    table._repr_html_()
    table.sort("best.loss")
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the runs are made; a temporary one")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(dir=given.folder))
        folder = Path(home)
        streams = [lines("run", given.events, seed) for seed in range(5)]
        for number in range(given.runs):
            path = folder / f"run_{number + 1:03d}_20261130_0600"
            (path / "checkpoints").mkdir(parents=True)
            (path / "events.jsonl").write_text(streams[number % len(streams)])
            write_facts(path, Config(), {})
            write_summary(path)
        print(f"{describe()}\n{given.runs:,} runs of {given.events:,} events")
        print(f"cold    {timed(folder):6.2f} s")
        warm = sorted(timed(folder) for _ in range(5))
        print(f"warm    {warm[2]:6.2f} s, median of 5")
        for path in sorted(folder.glob("run_*"))[20:]:
            (path / "events.jsonl").unlink()
        for path in folder.glob(f"run_*/{SUMMARY}"):
            path.unlink()
        (folder / CACHE).unlink()
        killed = min(20, given.runs)
        print(f"killed  {timed(folder) / killed:6.3f} s a run, once: {killed} runs")


if __name__ == "__main__":
    main()
