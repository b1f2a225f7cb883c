"""Parts of `measure.py` that need no Jupyter: the bundle in a plain page of Chromium."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dashboard.measure import Row

ROOT = Path(__file__).resolve().parents[2]

import coflect_widget as coflect
from coflect_widget.records.pictures import Gallery
from coflect_widget.ui.view import View
from tests.conftest import tiny_cnn
from tests.e2e.lab import chromium

POINTS = 100_000
STATIC = ROOT / "coflect_widget" / "static"
HOST = "http://dashboard.test"

# A model as anywidget hands it over, and the kernel's messages as the product has made them.
PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/widget.css">
<body><script type="module">
import create from "/widget.js";
const handlers = {};
const on = (name, callback) => (handlers[name] ??= new Set()).add(callback);
const off = (name, callback) => handlers[name]?.delete(callback);
const receive = ({ message, buffers }) => {
  const views = buffers.map((one) => new DataView(one.slice().buffer));
  for (const one of handlers["msg:custom"] ?? []) one({ ...message, seq: ++seq }, views);
};
let seq = 0;
let hello = [];
const controls = {
  on() {}, off() {}, comm_live: true,
  send(said) { if (said.kind === "hello") hello.forEach(receive); },
};
const model = {
  get: (name) => (name === "_controls" ? "c" : {}), on, off,
  widget_manager: { get_model: () => Promise.resolve(controls) },
};
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
window.messages = (all) => all.map(({ message, buffers }) => ({
  message, buffers: buffers.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))),
}));
window.open = async (first) => {
  hello = first;
  const began = performance.now();
  const widget = create();
  const stop = widget.initialize({ model });
  const el = document.body.appendChild(document.createElement("div"));
  const remove = widget.render({ model, el });
  const there = () => el.querySelector("[data-testid=cw-step]")?.textContent !== "";
  while (!there() || el.querySelector(".uplot") === null) await frame();
  await frame();
  const taken = performance.now() - began;
  window.leave = () => { remove(); stop(); el.remove(); };
  return taken;
};
window.run = (updates, times, period) => new Promise((done) => {
  let i = 0;
  const timer = setInterval(() => {
    receive(updates.shift());
    if (++i >= times) { clearInterval(timer); setTimeout(done, 300); }
  }, period);
});
window.ready = true;
</script>"""


def recorded() -> tuple[View, dict[str, Any]]:
    """The view of a short real run; its events by type."""
    folder = tempfile.mkdtemp()
    data = coflect.data.synthetic(n=512)
    session = coflect.Session(tiny_cnn(), data, data, run_dir=folder, config={"xai_every": 20})
    with session:
        session.train(epochs=3)
        session.wait(300)
        session.explain(5)
    run = session.run
    view = View(Gallery(run.path), "live", run.id)
    kinds: dict[str, Any] = {}
    for event in run.iter_events():
        view.apply(event)
        kinds[event.type] = event
    return view, kinds


def grown(view: View, kinds: dict[str, Any]) -> list[tuple[dict[str, Any], list[bytes]]]:
    """Messages that bring a page to `POINTS` points: everything, then the curves in pieces."""
    view.apply(next_event(kinds["train_started"], total_steps=POINTS * 2))
    messages = [view.update(full=True)]
    noise = np.random.default_rng(0).normal(0, 0.05, POINTS)
    pieces = 20
    step = kinds["metrics"].step
    for piece in np.array_split(np.arange(POINTS // 2), pieces):
        for i in piece:
            step += 1
            values = {"loss": 1 + noise[i], "accuracy": 0.5 + noise[-i]}
            view.apply(next_event(kinds["metrics"], step=step, split="train", values=values))
        messages.append(view.update(full=False))
    return messages


_number = iter(range(10_000_000, 2**40))


def next_event(like: Any, step: int | None = None, split: Any = None, **fields: Any) -> Any:
    """An event as the one before, later and with other fields."""
    return like.model_copy(
        update={
            "seq": next(_number),
            "step": like.step if step is None else step,
            "split": split,
            "data": like.data.model_copy(update=fields),
        }
    )


def updates(
    view: View, kinds: dict[str, Any], count: int
) -> list[tuple[dict[str, Any], list[bytes]]]:
    """What the publisher sends when everything changes: metrics, status, ten thumbnails."""
    found = []
    forecast = kinds["forecast"]
    total = view._now.status["num_train"]
    step = view._now.status["step"]
    draw = np.random.default_rng(1)
    listed = {
        "risk": np.linspace(0.9, 0.4, 10).tolist(), "target": [0] * 10, "predicted": [0, 1] * 5,
        "reason": ["never learned"] * 10, "doubtful": [],
    }  # fmt: skip
    for index in draw.choice(total, (count, 10)).tolist():
        step += 1
        values = {"loss": 1 + draw.normal(0, 0.05), "accuracy": 0.5 + draw.normal(0, 0.05)}
        view.apply(next_event(kinds["metrics"], step=step, split="train", values=values))
        for one in index:
            view._gallery.thumbnail(one)
        view.apply(next_event(forecast, step=step, index=index, **listed))
        found.append(view.update(full=False))
    return found


def packed(messages: list[tuple[dict[str, Any], list[bytes]]]) -> str:
    return json.dumps(
        [
            {
                "message": {"kind": "update", "full": i == 0 and "ledger" in sections, **sections},
                "buffers": [base64.b64encode(one).decode() for one in buffers],
            }
            for i, (sections, buffers) in enumerate(messages)
        ]
    )


def opened(page: Any, messages: list[tuple[dict[str, Any], list[bytes]]]) -> None:
    def serve(route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[1]
        kind = {"widget.js": "text/javascript", "widget.css": "text/css"}.get(name, "text/html")
        body = (STATIC / name).read_text() if name.startswith("widget") else PAGE
        route.fulfill(body=body, content_type=kind)

    page.route(f"{HOST}/**", serve)
    page.goto(f"{HOST}/")
    page.wait_for_function("window.ready")
    page.evaluate(f"window.first = messages({packed(messages)})")


def paint(views: int = 20) -> list[Row]:
    """From `initialize` to a frame with the curves and the queue on it."""
    view, kinds = recorded()
    grown(view, kinds)
    with chromium(1400, 1000) as page:
        opened(page, [view.update(full=True)])
        took = []
        for _ in range(views):
            took.append(page.evaluate("open(first)"))
            page.evaluate("leave()")
    return [
        Row("first view in a fresh page", took[0], "ms", 300),
        Row("later views, median", float(np.median(took[1:])), "ms", 300),
        Row("later views, slowest", max(took[1:]), "ms", 300),
    ]


def work(seconds: float = 30.0, rate: float = 20.0) -> list[Row]:
    """What the main thread does for one update: scripts, style, layout, drawing."""
    view, kinds = recorded()
    messages = grown(view, kinds)
    times, warm = int(seconds * rate), 40
    later = updates(view, kinds, times + warm)
    with chromium(1400, 1000) as page:
        opened(page, messages)
        page.evaluate("open(first)")
        page.evaluate(f"window.later = messages({packed(later)})")
        points = page.evaluate(
            "first.slice(1).reduce((n, { buffers }) => "
            "n + buffers.reduce((m, b) => m + b.byteLength / 16, 0), 0)"
        )
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(f"run(later, {warm}, {1000 / rate})")
        before = metrics(client)
        page.evaluate(f"run(later, {times}, {1000 / rate})")
        after = metrics(client)
        spent = {name: (after[name] - before[name]) * 1e3 / times for name in after}
    return [
        Row(
                "main thread an update, all tasks", spent["TaskDuration"], "ms", 4,
                f"scripts {spent['ScriptDuration']:.2f}, style {spent['RecalcStyleDuration']:.2f}, "
                f"layout {spent['LayoutDuration']:.2f}; {points:.0f} points, 10 thumbnails",
        )
    ]  # fmt: skip


def metrics(client: Any) -> dict[str, float]:
    found = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    names = ("TaskDuration", "ScriptDuration", "RecalcStyleDuration", "LayoutDuration")
    return {name: found[name] for name in names}
