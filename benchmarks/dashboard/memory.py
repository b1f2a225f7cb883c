"""Memory and the record's size over a long run, beside a browser that looks.

    python benchmarks/dashboard/memory.py [--steps 100000]

A perceptron whose step takes about a millisecond (c of `overhead/workloads.py`) trains in a kernel
of a real JupyterLab, with its dashboard open in a headless Chromium, at the default cadence.
Printed are megabytes that belong to one process alone (USS): of the kernel, of its workers
together, and
of the page's process after a garbage collection, each tenth of the way. A worker that is at a map
just then has some megabytes more, and what a training has freed goes back at its end: so the
medians of the first and of the second half are compared, too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.dashboard.lab import held_by, targets, unattended
from benchmarks.machine import describe

ROOT = Path(__file__).resolve().parents[2]
CELL = """import sys; sys.path.insert(0, {root!r})
import torch
import coflect_widget as coflect
from benchmarks.overhead.workloads import WORKLOADS
work = WORKLOADS["c"]
session = coflect.Session(
    work.model(), work.data(), batch_size=work.batch, run_dir="runs",
    optimizer=lambda p: torch.optim.SGD(p, lr=0.01),
    config={{"attribution": {{"method": work.method}}}},
)
session.train(steps={steps})
session"""


def alone(processes: list[psutil.Process]) -> float:
    """Megabytes that no other process shares, of all these together."""
    return sum(p.memory_full_info().uss for p in processes if p.is_running()) / 1e6


def kernel() -> psutil.Process:
    everyone = psutil.Process().children(recursive=True)
    return next(p for p in everyone if "ipykernel_launcher" in " ".join(p.cmdline()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"memory over {args.steps:,} steps: {describe()}", flush=True)
    print(f"{'step':>9}{'kernel':>10}{'workers':>10}{'page':>10}{'events':>16}")
    rows: list[dict[str, float]] = []
    cell = CELL.format(root=str(ROOT), steps=args.steps)
    with unattended(cell) as (_, run, browser, port):
        page = targets(port)
        for tenth in range(1, 11):
            step = reached(run, args.steps * tenth // 10)
            rows.append(measured(page, browser, run, step))
            show(rows[-1])
    first, last = rows[0], rows[-1]
    print(f"from step {first['step']:,.0f} to {last['step']:,.0f}: {changes([first], [last])}")
    print(f"from the first to the second half, medians: {changes(rows[:5], rows[5:])}")
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1))


def changes(before: list[dict[str, float]], after: list[dict[str, float]]) -> str:
    """Of the medians of some rows to those of others."""
    return "  ".join(
        f"{whose} {median(r[whose] for r in after) / median(r[whose] for r in before) - 1:+.1%}"
        for whose in ("kernel", "workers", "page")
    )


def reached(run: Path, wanted: int) -> int:
    """Wait for the step in the run's record; the newest that is there."""
    with (run / "events.jsonl").open() as events:
        step = 0
        while step < wanted:
            line = events.readline()
            if line.endswith("\n"):
                step = max(step, json.loads(line)["step"])
            else:
                events.seek(events.tell() - len(line))
                time.sleep(0.5)
    return step


def measured(page: str, browser: psutil.Process, run: Path, step: int) -> dict[str, float]:
    python = kernel()
    return {
        "step": step,
        "kernel": alone([python]),
        "workers": alone(python.children(recursive=True)),
        "page": held_by(page, browser)[1],
        "bytes_a_step": (run / "events.jsonl").stat().st_size / step,
    }


def show(row: dict[str, float]) -> None:
    print(
        f"{row['step']:>9,.0f}{row['kernel']:>7.0f} MB{row['workers']:>7.0f} MB"
        f"{row['page']:>7.0f} MB{row['bytes_a_step']:>9.1f} B/step",
        flush=True,
    )


if __name__ == "__main__":
    main()
