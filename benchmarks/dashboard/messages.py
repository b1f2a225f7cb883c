"""Part of `measure.py`: many clicks and much nonsense at once, to a real kernel."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.dashboard.measure import Row

ROOT = Path(__file__).resolve().parents[2]
CLICKS = NONSENSE = 10_000
SECONDS = 60.0

CELL = """
import json, time, coflect_widget as coflect
import sys; sys.path.insert(0, ROOT)
from tests.conftest import tiny_cnn
data = coflect.data.synthetic(n=1300)
session = coflect.Session(tiny_cnn(), data, data, run_dir=FOLDER, config={"xai_every": 20})
session.train(epochs=100_000)
session._repr_mimebundle_()
controls = session._dashboard.inbox
took, receive = [], controls._receive
def timed(*message):
    began = time.perf_counter()
    receive(*message)
    took.append(time.perf_counter() - began)
controls.on_msg(receive, remove=True)
controls.on_msg(timed)
open(FOLDER + "/ready", "w").write(controls.comm.comm_id)
"""
ASK = """
for _ in range(100):  # the last resume holds from the next step boundary on
    if session.state == "training":
        break
    time.sleep(0.1)
json.dump({"took": took, "malformed": controls.malformed, "refused": controls.refused,
           "state": session.state, "ledger": [i.understood for i in session.interventions],
           "given": [i.record.instruction for i in session.interventions]},
          open(FOLDER + "/answer", "w"))
"""


def clicks(draw: random.Random) -> list[dict[str, Any]]:
    """What a person could press, ten thousand times; each instruction says which it is."""
    found: list[dict[str, Any]] = []
    focus = [f"set focus to {i / 10_000}" for i in range(1, CLICKS // 10 + 1)]
    for one in focus:
        index = draw.randrange(1300)
        found += [
            {"kind": "pause"}, {"kind": "resume"},
            {"kind": "feedback", "sample": None, "strokes": [], "instruction": one,
             "strength": None},
            {"kind": "explain", "index": index},
            {"kind": "set_queue", "onset": index % 2 == 0},
            {"kind": "look", "index": index, "step": None},
            {"kind": "pause"}, {"kind": "open_window"}, {"kind": "ack", "seq": 1, "seen": True},
            {"kind": "resume"},
        ]  # fmt: skip
    return [{**one, "id": f"c{i}"} for i, one in enumerate(found)]


def nonsense(draw: random.Random) -> list[Any]:
    """Messages that are nearly right, and such as are not at all."""
    deep: Any = []
    for _ in range(60):
        deep = [deep]
    values: list[Any] = [
        None, True, -1, 2**60, 1e300, "", "x" * 10_000, "\u202e<img onerror=alert(1)>", [], {},
        deep,
        {"kind": "pause"}, "pause",
    ]  # fmt: skip
    good = clicks(random.Random(1))[:10]

    def one(i: int) -> Any:
        way = draw.randrange(5)
        message = dict(draw.choice(good), id=f"n{i}")
        if way == 0:
            return draw.choice([value for value in values if value != {"kind": "pause"}])
        if way == 1:
            message["kind"] = draw.choice(
                ["", "Pause", "explode", 3, None, ["pause"], "x" * 10_000]
            )
        elif way == 2:
            message["extra" + str(i)] = draw.choice(values)
        elif way == 3:
            message["id"] = draw.choice([None, "", 7, "y" * 65, ["a"]])
        else:
            fields = {
                "explain": ("index", [-1, "3", None, 1.5, [], 2**60]),
                "set_queue": ("onset", ["maybe", 2, None, []]),
                "feedback": (
                    "strokes",
                    [3, None, [[]], [{"kind": "look"}], [{"roi": [0, 0, 1, 1]}]],
                ),
                "look": ("index", [-1, "3", True, None]),
                "ack": ("seq", [-1, "3", True, None, 2**60]),
            }
            kind = draw.choice(sorted(fields))
            name, wrong = fields[kind]
            message = dict(next(m for m in good if m["kind"] == kind), id=f"n{i}")
            message[name] = draw.choice(wrong)
        return message

    return [one(i) for i in range(NONSENSE)]


def messages() -> list[Row]:
    """Send both mixed, in order, spread over a minute; then look at what the run recorded."""
    from jupyter_client.manager import start_new_kernel

    draw = random.Random(0)
    said: list[Any] = clicks(draw)
    for one in nonsense(draw):
        said.insert(draw.randrange(len(said) + 1), one)
    folder = Path(tempfile.mkdtemp())
    manager, client = start_new_kernel()
    try:
        client.execute(f"FOLDER = {str(folder)!r}\nROOT = {str(ROOT)!r}\n" + CELL)
        comm = wait_for(folder / "ready")
        began = time.monotonic()
        for i, one in enumerate(said):
            data = {"method": "custom", "content": one}
            message = client.session.msg("comm_msg", {"comm_id": comm, "data": data})
            client.shell_channel.send(message)
            ahead = i / len(said) * SECONDS - (time.monotonic() - began)
            if ahead > 0.01:
                time.sleep(ahead)
        sent = time.monotonic() - began
        client.execute(f"FOLDER = {str(folder)!r}\n" + ASK)
        answer = json.loads(wait_for(folder / "answer"))
        seconds = time.monotonic() - began
        settle(next(folder.glob("run_*")) / "events.jsonl")
    finally:
        manager.shutdown_kernel(now=True)
    return rows(
        answer, [one for one in said if valid(one)], next(folder.glob("run_*")), sent, seconds
    )


def valid(message: Any) -> bool:
    return isinstance(message, dict) and str(message.get("id", "")).startswith("c")


def rows(
    answer: dict[str, Any], good: list[Any], run: Path, sent: float, seconds: float
) -> list[Row]:
    """What was measured, and how many things are not as they were sent."""
    lines = (run / "events.jsonl").read_text().splitlines()
    recorded = [json.loads(line) for line in lines]
    told = [e["data"]["instruction"] for e in recorded if e["type"] == "intervention"]
    asked = [m["instruction"] for m in good if m["kind"] == "feedback"]
    switches = [e["data"]["command"] for e in recorded if e["type"] == "command"]
    pressed = [m["kind"] for m in good if m["kind"] in ("pause", "resume")]
    switched = [one for one in switches if one in ("pause", "resume")]
    took = sorted(answer["took"])
    return [
        Row("handled after", seconds, "s", note=f"sent in {sent:.0f} s: {len(took)} messages"),
        Row("handler p50", took[len(took) // 2] * 1e3, "ms"),
        Row("handler p99", took[int(len(took) * 0.99)] * 1e3, "ms", 5),
        Row("handler slowest", took[-1] * 1e3, "ms"),
        Row(
            "refused more or less than the nonsense",
            abs(answer["malformed"] + answer["refused"] - NONSENSE),
            "",
            0,
            f"{answer['malformed']} malformed, {answer['refused']} that could not be done",
        ),
        Row("instructions lost, doubled or out of order", differ(asked, told), "", 0),
        Row("pauses lost, doubled or out of order", differ(pressed, switched), "", 0),
        Row("state at the end is not 'training'", float(answer["state"] != "training"), "", 0),
    ]


def differ(wanted: list[Any], found: list[Any]) -> float:
    unequal = sum(a != b for a, b in zip(wanted, found, strict=False))
    return float(unequal + abs(len(wanted) - len(found)))


def settle(record: Path, seconds: float = 60) -> None:
    """Wait until what was enqueued is done: no intervention more for three seconds."""
    until, count = time.monotonic() + seconds, -1
    while time.monotonic() < until:
        before, count = count, record.read_text().count('"type":"intervention"')
        if count == before:
            return
        time.sleep(3)


def wait_for(file: Path, seconds: float = 300) -> str:
    until = time.monotonic() + seconds
    while not file.exists() or not file.read_text():
        if time.monotonic() > until:
            raise TimeoutError(f"the kernel did not write {file.name}")
        time.sleep(0.05)
    time.sleep(0.2)
    return file.read_text()
