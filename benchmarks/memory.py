"""Memory and the record's size over a long run, beside a browser that looks.

    python benchmarks/memory.py [--steps 100000]

A perceptron whose step takes about a millisecond (workload c of overhead.py) trains in a kernel of
a real JupyterLab, with its dashboard open in a headless Chromium, at the default cadence. Printed
are megabytes that belong to one process alone (USS): of the kernel, of its workers together, and
of the page's process after a garbage collection, each tenth of the way.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from machine import describe

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.e2e.lab import (  # noqa: E402
    chromium,
    jupyterlab,
    open_notebook,
    run_cell,
    write_notebook,
)

CELL = """import sys; sys.path.insert(0, {here!r})
import torch
import coflect_widget as coflect
from overhead_workloads import WORKLOADS
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
    return sum(p.memory_full_info().uss for p in processes if p.is_running()) / 2**20


def family() -> tuple[psutil.Process, list[psutil.Process], psutil.Process]:
    """The kernel, its workers, and the page's process."""
    everyone = psutil.Process().children(recursive=True)
    kernel = next(p for p in everyone if "ipykernel_launcher" in " ".join(p.cmdline()))
    pages = [p for p in everyone if "--type=renderer" in p.cmdline()]
    page = max(pages, key=lambda p: p.memory_info().rss)
    return kernel, kernel.children(recursive=True), page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"memory over {args.steps:,} steps: {describe()}", flush=True)
    print(f"{'step':>9}{'kernel':>10}{'workers':>10}{'page':>10}{'events':>16}")
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        write_notebook(root / "memory.ipynb", [CELL.format(here=str(HERE), steps=args.steps)])
        with jupyterlab(root) as (address, token), chromium(1200, 1000) as page:
            open_notebook(page, address, token, "memory.ipynb")
            run_cell(page, 0)
            page.locator("[data-testid=cw-root]").first.wait_for(timeout=120_000)
            client = page.context.new_cdp_session(page)
            client.send("HeapProfiler.enable")
            for tenth in range(1, 11):
                step = reached(page, args.steps * tenth // 10)
                rows.append(measured(client, root, step))
                show(rows[-1])
    first, last = rows[0], rows[-1]
    changes = "  ".join(f"{k} {last[k] / first[k] - 1:+.1%}" for k in ("kernel", "workers", "page"))
    print(f"from step {first['step']:,.0f} to {last['step']:,.0f}: {changes}")
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1))


def reached(page: Any, wanted: int) -> int:
    """Wait for the step on the screen; the step that it is."""
    while True:
        step = int(page.locator("[data-testid=cw-step]").first.get_attribute("data-step"))
        if step >= wanted:
            return step
        time.sleep(1)


def measured(client: Any, root: Path, step: int) -> dict[str, float]:
    for _ in range(2):
        client.send("HeapProfiler.collectGarbage")
    kernel, workers, page = family()
    events = next(root.glob("runs/*/events.jsonl")).stat().st_size
    return {
        "step": step,
        "kernel": alone([kernel]),
        "workers": alone(workers),
        "page": alone([page]),
        "bytes_a_step": events / step,
    }


def show(row: dict[str, float]) -> None:
    print(
        f"{row['step']:>9,.0f}{row['kernel']:>7.0f} MB{row['workers']:>7.0f} MB"
        f"{row['page']:>7.0f} MB{row['bytes_a_step']:>9.1f} B/step",
        flush=True,
    )


if __name__ == "__main__":
    main()
