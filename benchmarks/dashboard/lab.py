"""Parts of `measure.py` that run in a real JupyterLab, with a training under way."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import websocket
from playwright.sync_api import sync_playwright

from benchmarks.dashboard.measure import Row
from tests.e2e.lab import (
    FLAGS,
    chromium,
    jupyterlab,
    open_notebook,
    recorded,
    run_cell,
    write_notebook,
)

SESSION = """import coflect_widget as coflect
session = coflect.demo(config={"xai_every": 20, "log_every": 1})
session.train(epochs=100_000)
session"""
# Kernel's side: what waits at the publisher, what it sends, and its processor time.
WATCH = """import json, threading, time
from psutil import Process
board = session._dashboard
publisher = board.inbox._answers
sent, waiting = [], []
send = board.widget.send
def noted(content, buffers=None):
    if content["kind"] == "update":
        sent.append((time.time(), content["full"], content["seq"]))
    send(content, buffers)
board.widget.send = noted
def watch():
    own = publisher._thread.native_id
    while True:
        used = next(t.user_time + t.system_time for t in Process().threads() if t.id == own)
        waiting.append((time.time(), len(publisher._events), used))
        with open("watch.json.new", "w") as file:
            json.dump({"sent": sent[-3000:], "waiting": waiting[-3000:]}, file)
        __import__("os").replace("watch.json.new", "watch.json")
        time.sleep(1)
threading.Thread(target=watch, daemon=True).start()"""
# Kernel's side of a pause: when its message was taken up, when the training held; and each step.
TRACE = """import json, os, time
taken, held, steps = [], [], []
parts = session._parts
def noted(function, before=None, after=None):
    def call(*given):
        began = time.time()
        if before is not None:
            before.append(began)
        try:
            return function(*given)
        finally:
            if after is not None:
                after.append((began, time.time()))
    return call
parts.desk.order = noted(parts.desk.order, before=taken)
parts.loop._held = noted(parts.loop._held, before=held)
parts.backend.train_step = noted(parts.backend.train_step, after=steps)"""
# Another cell, busy until a file says that it is enough; then it writes down what was noted.
BUSY = """while not os.path.exists("enough"):
    {does}
with open("trace.json.new", "w") as file:
    json.dump({{"taken": taken, "held": held, "steps": steps}}, file)
os.replace("trace.json.new", "trace.json")"""
SLEEPS = BUSY.format(does="time.sleep(0.2)")
COMPUTES = BUSY.format(does="sum(i * i for i in range(100_000))")

# Notes when the person's click and the screen's word happened, on the clock of the machine.
NOTES = """view => {
  window.noted = {};
  const word = view.querySelector("[data-testid=cw-state]");
  view.addEventListener("click", (event) => {
    if (event.target.closest("[data-testid=cw-pause]")) window.noted = { clicked: Date.now() };
  }, { capture: true });
  new MutationObserver(() => { window.noted[word.textContent] ??= Date.now(); })
    .observe(word, { childList: true, characterData: true, subtree: true });
}"""


class Stage:
    """A notebook with a training, and the page that shows it."""

    def __init__(self, page: Any, root: Path) -> None:
        self.page = page
        self.root = root
        self.view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        self.view.wait_for(timeout=120_000)
        self.run = next((root / "runs").iterdir())

    def part(self, name: str) -> Any:
        return self.view.locator(f"[data-testid=cw-{name}]").first

    def seen(self, condition: str, seconds: float = 30) -> None:
        """Wait until the view's script says so."""
        self.page.wait_for_function(condition, timeout=seconds * 1000, polling=20)

    def watched(self) -> dict[str, Any]:
        return json.loads((self.root / "watch.json").read_text())  # type: ignore[no-any-return]


@contextlib.contextmanager
def stage(*more: str, threads: int | None = None) -> Iterator[Stage]:
    """JupyterLab with the training of `SESSION` and further cells, not yet run."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        write_notebook(root / "dashboard.ipynb", [SESSION, *more])
        with (
            jupyterlab(root, threads=threads) as (address, token),
            chromium(1200, 1000) as page,
        ):
            open_notebook(page, address, token, "dashboard.ipynb")
            run_cell(page, 0)
            made = Stage(page, root)
            made.part("state").get_by_text("Training").wait_for(timeout=60_000)
            page.wait_for_function(
                "+document.querySelector('[data-testid=cw-step]').dataset.step > 20",
                timeout=120_000,
            )
            yield made


def pause(tries: int) -> list[Row]:
    """Clicks on Pause while another cell of the notebook is busy."""
    return [
        row
        for name, cell, threads in (
            ("a cell sleeps", SLEEPS, None),
            ("a cell computes", COMPUTES, None),
            ("a cell computes, 1 OpenMP thread", COMPUTES, 1),
        )
        for row in pauses_beside(name, cell, threads, tries)
    ]


def pauses_beside(name: str, cell: str, threads: int | None, tries: int) -> Iterator[Row]:
    """How long pauses take beside one kind of cell, and what of it goes where."""
    clicks, held, shown = [], [], []
    with stage(TRACE, cell, threads=threads) as one:
        one.view.evaluate(NOTES)
        run_cell(one.page, 1)
        run_cell(one.page, 2)
        for _ in range(tries):
            before = len(paused(one.run))
            one.part("pause").click()
            one.seen("window.noted.Paused !== undefined")
            noted = one.page.evaluate("window.noted")
            while len(found := paused(one.run)) <= before:
                time.sleep(0.02)
            clicks.append(noted["clicked"] / 1e3)
            held.append(found[-1] - clicks[-1])
            shown.append(noted["Paused"] / 1e3 - clicks[-1])
            one.part("pause").click()
            one.seen("window.noted.Training !== undefined")
            time.sleep(0.3)
        (one.root / "enough").touch()
        until = time.monotonic() + 60
        while not (one.root / "trace.json").exists():
            if time.monotonic() > until:
                raise TimeoutError("the busy cell did not end")
            time.sleep(0.2)
        trace = json.loads((one.root / "trace.json").read_text())
    arrived = [next(at for at in trace["taken"] if at >= click - 0.002) for click in clicks]
    stopped = [next(at for at in trace["held"] if at >= begin) for begin in arrived]
    began, ended = np.array(trace["steps"]).T
    beside = (ended > clicks[0]) & (began < stopped[-1])
    for what, seconds, limit in (
        ("held", held, 500),
        ("shown", shown, 500),
        ("until the kernel takes the message", np.subtract(arrived, clicks), None),
        ("then until training holds", np.subtract(stopped, arrived), None),
        ("a training step", (ended - began)[beside], None),
    ):
        p50, p95, slowest = 1e3 * np.percentile(seconds, (50, 95, 100))
        note = f"p50 {p50:.0f}, slowest {slowest:.0f}, {len(seconds)} of them"
        yield Row(f"{name}: {what}, p95", float(p95), "ms", limit, note)


def paused(run: Path) -> list[float]:
    """When the run went to "paused", in seconds."""
    found = [e for e in recorded(run, "state") if e["data"]["state"] == "paused"]
    return [datetime.fromisoformat(e["ts"]).timestamp() for e in found]


def publisher(seconds: float = 60.0) -> list[Row]:
    """Processor time of the publisher's thread while a browser looks at a training."""
    with stage(WATCH) as one:
        run_cell(one.page, 1)
        time.sleep(10)
        began, ended = one.watched()["waiting"][-1], None
        time.sleep(seconds)
        found = one.watched()
        ended = found["waiting"][-1]
    spent, wall = ended[2] - began[2], ended[0] - began[0]
    updates = sum(began[0] < at <= ended[0] for at, _, _ in found["sent"])
    return [
        Row("of one core", 100 * spent / wall, "%", 1, f"{updates / wall:.1f} updates a second")
    ]


def stall(seconds: float) -> list[Row]:
    """The browser stands still; the training must not notice, and the screen must catch up."""
    with stage(WATCH) as one:
        run_cell(one.page, 1)
        time.sleep(15)
        times = [time.time()]
        time.sleep(seconds)
        times.append(time.time())
        browser = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
        for process in browser:
            process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for process in browser:
                process.send_signal(signal.SIGCONT)
        times.append(time.time())
        time.sleep(10)
        times.append(time.time())
        time.sleep(seconds)
        times.append(time.time())
        found = one.watched()
        one.part("pause").click()
        one.part("state").get_by_text("Paused").wait_for(timeout=20_000)
        time.sleep(2)
        shown = int(one.part("step").get_attribute("data-step"))
        newest = max(e["step"] for e in recorded(one.run))
        connection = one.part("connection").inner_text()
        speeds = [
            speed(one.run, a, b)
            for a, b in ((times[0], times[1]), (times[1], times[2]), (times[3], times[4]))
        ]
    still = [full for at, full, _ in found["sent"] if times[1] + 1 < at <= times[2]]
    after = [full for at, full, _ in found["sent"] if times[2] < at <= times[3]]
    queued = max(length for at, length, _ in found["waiting"] if at > times[1])
    usual = (speeds[0] + speeds[2]) / 2
    return [
        Row("training slower while the browser stands still", 100 * (1 - speeds[1] / usual), "%", 2,
            f"{speeds[0]:.2f}, {speeds[1]:.2f}, {speeds[2]:.2f} steps/s before, meanwhile, after"),
        Row("events that waited at the publisher, at most", queued, "", 100),
        Row("updates sent to the browser that stood still", len(still), "", seconds / 2 + 5),
        Row("full updates after it woke up", sum(after), "", 1),
        Row("steps that the screen is behind, held", newest - shown, "", 0),
        Row("connection is not 'live' afterwards", float(connection != "live"), "", 0),
    ]  # fmt: skip


def speed(run: Path, since: float, until: float) -> float:
    """Steps a second between two moments, from the run's record."""
    trained = [e for e in recorded(run, "metrics") if e["split"] == "train"]
    times = [(datetime.fromisoformat(e["ts"]).timestamp(), e["step"]) for e in trained]
    inside = [(at, step) for at, step in times if since <= at <= until]
    (first, a), (last, b) = inside[0], inside[-1]
    return (b - a) / (last - first)


def heap(minutes: float) -> list[Row]:
    """What the page holds each minute after a collection, and its process's own memory."""
    with unattended(SESSION, WATCH) as (root, run, browser, port):
        time.sleep(60)
        told = targets(port)
        sizes = [held_by(told, browser)]
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            time.sleep(min(60, max(0.1, until - time.monotonic())))
            sizes.append(held_by(told, browser))
            print(*(f"{size:.1f}" for size in sizes[-1]), flush=True)
        updates = json.loads((root / "watch.json").read_text())["sent"][-1][2]
        step = max(event["step"] for event in recorded(run))
    rows = []
    for what, found, limit in zip(
        ("JavaScript heap", "page's process, its own"), np.transpose(sizes), (0.1, 0.5), strict=True
    ):
        growth = float(np.polyfit(np.arange(len(found)), found, 1)[0])
        each = " ".join(f"{size:.1f}" for size in found)
        rows += [
            Row(f"{what}, at the start, after one minute", found[0], "MB"),
            Row(f"{what}, after {minutes:g} minutes more", found[-1], "MB",
                note=f"{updates} updates, step {step}"),
            Row(f"{what}, growth a minute, fitted", growth, "MB", limit, each),
        ]  # fmt: skip
    return rows


@contextlib.contextmanager
def unattended(*cells: str) -> Iterator[tuple[Path, Path, psutil.Process, int]]:
    """A notebook whose first cell trains, all run, in a page that nobody drives any more.

    Gives its folder, the run's, and the browser as `lonely_chromium` does. Playwright has left:
    as long as it drives a page, the browser keeps every answer of the server for it to read.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        write_notebook(root / "dashboard.ipynb", list(cells))
        with jupyterlab(root) as (address, token), lonely_chromium(root) as (browser, port):
            with sync_playwright() as playwright:
                driven = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
                page = driven.contexts[0].pages[0]
                open_notebook(page, address, token, "dashboard.ipynb")
                run_cell(page, 0)
                view = Stage(page, root)
                view.part("state").get_by_text("Training").wait_for(timeout=60_000)
                for number in range(1, len(cells)):
                    run_cell(page, number)
                page.wait_for_timeout(2000)
                driven.close()
            yield root, view.run, browser, port


@contextlib.contextmanager
def lonely_chromium(root: Path) -> Iterator[tuple[psutil.Process, int]]:
    """A Chromium of which nobody holds the reins; its process and the port of its DevTools."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    flags = ["--headless=new", "--window-size=1200,1000", f"--user-data-dir={root / '.chromium'}"]
    browser = psutil.Popen(
        [path, *FLAGS, *flags, f"--remote-debugging-port={port}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                targets(port)
                break
            time.sleep(0.25)
        yield browser, port
    finally:
        browser.terminate()
        browser.wait(20)


def targets(port: int) -> str:
    """Address at which the page's DevTools answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
        pages = [one for one in json.load(answer) if one["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])


def held_by(page: str, browser: psutil.Process) -> tuple[float, float]:
    """Megabytes in use after a collection: of the page's JavaScript, and of its process alone.

    The first with what arrays hold outside the heap; the second is what no other process shares,
    caches dropped, which Chromium otherwise fills while there is room.
    """
    tools = websocket.create_connection(page, suppress_origin=True, timeout=60)

    def ask(method: str, **params: str) -> dict[str, Any]:
        tools.send(json.dumps({"id": 1, "method": method, "params": params}))
        while (said := json.loads(tools.recv())).get("id") != 1:
            pass
        return said["result"]  # type: ignore[no-any-return]

    ask("Memory.simulatePressureNotification", level="critical")
    ask("HeapProfiler.collectGarbage")
    time.sleep(2)
    used = ask("Runtime.getHeapUsage")
    tools.close()
    heap = used["usedSize"] + used["backingStorageSize"] + used["embedderHeapUsedSize"]
    renderers = [
        process.memory_full_info().uss
        for process in browser.children(recursive=True)
        if "--type=renderer" in " ".join(process.cmdline())
    ]
    return heap / 1e6, max(renderers) / 1e6
