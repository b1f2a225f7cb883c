"""What everything together costs a training, beside a plain loop and beside the peers.

    python benchmarks/overhead/pairs.py [--workloads a b c] [--arms ...] [--pairs 8] [--json FILE]

Each arm is a process of its own, in which the same thread trains the same model on the same data
in turn with the tool and without, in blocks of some seconds, A B B A A B ..., after a warm-up in
which workers start. While it trains without, the tool's workers and the browser are stopped by a
signal. (Two processes, one with the tool and one without, differ by several percent either way
before the tool does anything.) The slowdown is the median over pairs of the ratio of their
seconds, the interval a bootstrap over the pairs. Arm "kernel" is the session in a real kernel, arm
"browser" in that of a real JupyterLab with its dashboard open in a headless Chromium on the same
machine; "page only" is the same page without the dashboard: what JupyterLab and Chromium take.
"On the thread" is what the training thread itself spent in the tool or in the peer's hook, by its
own clock, as a share of the time that it trained; no noise of the machine is in it, and nothing
that other threads and processes take from the training.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.workloads import PICTURES, WORKLOADS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: glibc gives each step's large arrays back to the system and faults thousands of pages in again
#: at the next, more or fewer by chance: a fifth of a step and more, and more than anything here.
STILL = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
#: Seconds that an arm trains before it is measured: its workers start beside it meanwhile.
WARM_UP = 20.0
OURS = ["session", "kernel", "browser", "session with a bank"]


class Pairable(Protocol):
    """What trains with the tool and without, by turns."""

    @property
    def facts(self) -> dict[str, Any]: ...
    def train(self, steps: int) -> float: ...
    def train_plain(self, steps: int) -> float: ...


class Remote:
    """An arm in another process, which trains with the tool or without."""

    def __init__(self, connection: socket.socket, roots: list[int]) -> None:
        self.line = connection.makefile("rw")
        self.facts: dict[str, Any] = json.loads(self.line.readline())
        self.pid: int = self.facts["pid"]
        self.roots = roots or [self.pid]

    def _signal_others(self, number: int) -> None:
        """Signal all that belongs to the arm but the process that trains."""
        send(number, family(self.roots) - {self.pid})

    def train(self, steps: int) -> float:
        """Seconds that `steps` steps took with the tool."""
        seconds, self.facts = self.ask("watched", steps)
        return seconds

    def train_plain(self, steps: int) -> float:
        """Seconds that `steps` steps took without, while workers and browser stand still."""
        self._signal_others(signal.SIGSTOP)
        try:
            return self.ask("plain", steps)[0]
        finally:
            self._signal_others(signal.SIGCONT)

    def ask(self, how: str, steps: int) -> tuple[float, dict[str, Any]]:
        """Seconds of so many steps, "watched" or "plain", and what the arm tells of itself."""
        self.line.write(f"{how} {steps}\n")
        self.line.flush()
        answer = self.line.readline()
        if not answer:
            raise SystemExit("an arm of the benchmark has died; its message is above")
        facts = json.loads(answer)
        return float(sum(facts.pop("ns"))) / 1e9, facts


def family(roots: Iterable[int]) -> set[int]:
    """Numbers of these processes and of all that they started."""
    found: set[int] = set()
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            found |= {root, *(child.pid for child in process.children(recursive=True))}
    return found


def send(number: int, processes: Iterable[int]) -> None:
    """Send a signal to those that still are."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


@contextlib.contextmanager
def started(arm: str, workload: str) -> Iterator[Remote]:
    """The arm, warm and stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        port = server.getsockname()[1]
        roots: list[int] = []
        processes: list[subprocess.Popen[bytes]] = []
        if arm in ("kernel", "browser", "page only"):
            roots = in_kernel(workload, port, stack, arm)
        else:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "arms.py"), arm, workload, str(port)],
                stdout=subprocess.DEVNULL,
            )
            processes.append(process)
            stack.callback(end, process)
        connection = accepted(server, processes)
        with connection:
            yield Remote(connection, roots)


def accepted(server: socket.socket, processes: list[subprocess.Popen[bytes]]) -> socket.socket:
    """The arm's connection; stops if the arm has died or does not come."""
    server.settimeout(1)
    for _ in range(240):
        with contextlib.suppress(TimeoutError):
            return server.accept()[0]
        if any(process.poll() is not None for process in processes):
            break
    raise SystemExit("an arm of the benchmark did not start; its message is above")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
    process.wait()


def in_kernel(workload: str, port: int, stack: contextlib.ExitStack, arm: str) -> list[int]:
    """Start the session in a real kernel; process numbers of all that belongs to it."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    cell = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks.overhead import arms\n"
        f"arm = arms.make('session', arms.WORKLOADS[{workload!r}], {folder!r})\n"
        f"arms.serve_beside(arm, {port})\n"
        f"{'None' if arm == 'page only' else 'arm.session'}"
    )
    if arm == "kernel":
        from jupyter_client.manager import start_new_kernel

        manager, client = start_new_kernel()
        stack.callback(manager.shutdown_kernel, now=True)
        client.execute(cell)
        return []
    from tests.e2e.lab import chromium, jupyterlab, open_notebook, run_cell, write_notebook

    root = Path(folder)
    write_notebook(root / "overhead.ipynb", [cell])
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    address, token = stack.enter_context(jupyterlab(root, threads=None))
    page = stack.enter_context(chromium(1000, 1200))
    open_notebook(page, address, token, "overhead.ipynb")
    run_cell(page, 0)
    if arm == "browser":
        page.locator("[data-testid=cw-root]").first.wait_for(timeout=120_000)
    # A text cursor that blinks in the next cell has Chromium tick sixty times a second, which takes
    # more than all else on the page.
    page.keyboard.press("Escape")
    # All but the driver of the browser, which must stay awake to end it.
    names = {p.pid: p.name() for p in psutil.Process().children(recursive=True)}
    return [p for p, name in names.items() if p not in before and name != "node"]


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    generator = np.random.default_rng(0)
    medians = np.median(generator.choice(ratios, (4000, len(ratios))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


def compare(workload: str, arm: str, pairs: int, steps: int) -> dict[str, Any]:
    """Slowdown of `arm` against the plain loop."""
    with started(arm, workload) as remote:
        return {"workload": workload, "arm": arm, **measured(remote, pairs, steps)}


def measured(arm: Pairable, pairs: int, steps: int) -> dict[str, Any]:
    """Warm it up, then time blocks with the tool and without."""
    warm = 0.0
    while warm < WARM_UP:
        warm += arm.train(max(10, steps // 4))
    arm.train_plain(max(10, steps // 4))
    seconds: list[tuple[float, float]] = []
    before = arm.facts
    for pair in range(pairs):
        if pair % 2:
            b = arm.train(steps)
            a = arm.train_plain(steps)
        else:
            a = arm.train_plain(steps)
            b = arm.train(steps)
        seconds.append((a, b))
    times = np.array(seconds)
    ratios = times[:, 1] / times[:, 0] - 1
    low, high = interval(ratios)
    on_thread = arm.facts["on_thread_seconds"] - before["on_thread_seconds"]
    return {
        "plain_ms": float(np.median(times[:, 0])) / steps * 1e3,
        "slowdown": float(np.median(ratios)),
        "low": low,
        "high": high,
        "on_thread": on_thread / float(times[:, 1].sum()),
        "added_us": float(np.median(times[:, 1] - times[:, 0])) / steps * 1e6,
        "pairs": seconds,
        "trained_seconds": float(times[:, 1].sum()),
        "before": before,
        "after": arm.facts,
    }


def events_a_step(found: dict[str, Any]) -> float:
    """Bytes of events.jsonl."""
    before, after = found["before"], found["after"]
    return float(
        (after["events_bytes"] - before["events_bytes"]) / max(1, after["step"] - before["step"])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=PICTURES, choices=WORKLOADS)
    parser.add_argument("--arms", nargs="+", default=OURS)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--steps", type=int, help="in a block; each workload has its own default")
    parser.add_argument("--default-malloc", action="store_true", help="see STILL in this file")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))  # for the arms, as is STILL
    if not args.default_malloc:
        os.environ.update(STILL)
    print(f"slowdown against a plain loop: {describe()}", flush=True)
    print(
        f"{'':<2}{'arm':<22}{'plain step':>12}{'slowdown':>10}{'95 % interval':>20}{'added':>12}"
        f"{'on the thread':>15}"
    )
    results = []
    for workload in args.workloads:
        print(f"{workload} {WORKLOADS[workload].title}", flush=True)
        for arm in args.arms:
            steps = args.steps or WORKLOADS[workload].steps
            found = compare(workload, arm, args.pairs, steps)
            results.append(found)
            span = f"{found['low']:+.1%} to {found['high']:+.1%}"
            print(
                f"  {arm:<22}{found['plain_ms']:>9.2f} ms{found['slowdown']:>+10.1%}{span:>20}"
                f"{found['added_us']:>9.0f} us{found['on_thread']:>14.2%}",
                flush=True,
            )
            overlays = made(found)
            if overlays:
                print(f"  {'':<22}{overlays}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "results": results}, indent=1))


def made(found: dict[str, Any]) -> str:
    """What the tool did meanwhile, so that nobody takes idleness for speed."""
    before, after = found["before"].get("cost"), found["after"].get("cost")
    if not before or not after:
        return ""
    overlays = after["overlays_made"] - before["overlays_made"]
    return (
        f"{overlays} overlays in {found['trained_seconds']:.0f} s of training, "
        f"{found['after']['rss_mb']:.0f} MB, {events_a_step(found):.0f} bytes of events a step"
    )


if __name__ == "__main__":
    main()
