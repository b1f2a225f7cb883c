"""Doubtful labels, look-alikes, recorded maps, the review window; and strokes by finger and pen."""

import json

import pytest

from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    recorded,
    run_cell,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FLIPPED = 12  # samples at the front whose label is wrong
PATCHED = {100: (4, 20), 101: (24, 2), 107: (1, 1), 113: (15, 9), 130: (26, 26)}  # left, top
SIDE = 5  # of the red square, in pixels of 32
CELLS = [
    f"""import numpy as np
import torch
import coflect_widget as coflect
from torch import nn

rng = np.random.default_rng(0)
y = rng.integers(0, 2, 240)
coarse = rng.random((240, 3, 8, 8), dtype=np.float32)
x = 0.5 * coarse.repeat(4, 2).repeat(4, 3)
x[y == 1, 1, :, :16] += 0.4
for sample, (left, top) in {PATCHED}.items():
    x[sample, :, top:top + {SIDE}, left:left + {SIDE}] = np.array([1, 0, 0])[:, None, None]
y[:{FLIPPED}] = 1 - y[:{FLIPPED}]
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
                      nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
                      nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2))
session = coflect.Session(model, (x, y), classes=["dark", "green"], batch_size=16,
                          optimizer=lambda p: torch.optim.Adam(p, 0.003),
                          config={{"xai_every": 10**6, "forecast_every": 5,
                                   "forecast": {{"horizon_epochs": 2}}}})
session.train(epochs=100_000)
session""",
    """import json
told = {
    "judged": {s.index: s.judged for s in session.suspects if s.judged},
    "ledger": [(len(i.record.strokes), i.record.found and sorted(i.record.found.index))
               for i in session.interventions],
    "window": session._parts.window.status().open,
}
with open("told.json", "w") as file:
    json.dump(told, file)""",
    """import time
for _ in range(3):
    held = session.metrics["step"]
    while session.metrics["step"] < held + 2:  # at the same step the map would be the same
        time.sleep(0.01)
    session.explain(50)""",
]


@pytest.mark.slow
def test_labels_alike_maps_window_finger_and_pen(tmp_path, server):
    write_notebook(tmp_path / "lists.ipynb", CELLS)
    with chromium() as page:
        server.open(page, tmp_path / "lists.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        part = Parts(view)
        run = max((tmp_path / "runs").iterdir())
        suspected = lambda: recorded(run, "suspects") and recorded(run, "suspects")[-1]["data"]  # noqa: E731
        eventually(lambda: suspected() and suspected()["count"] >= 6, 90, "doubtful labels")
        part.view.press("p")
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        verdicts = labels(page, part, run)
        part.view.press("p")
        window(page, part, run)
        maps(page, part, run)
        part.view.press("p")
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        found = alike(page, part, run)
        finger_and_pen(page, part, run)

        run_cell(page, 1)
        told = eventually(lambda: read(tmp_path / "told.json"), what="the session's own word")
        assert {int(k): v for k, v in told["judged"].items()} == verdicts
        assert told["ledger"] == [[1, None], [0, found], [2, None]]
        assert not told["window"]  # an intervention shuts what was opened by hand


def window(page, part, run):
    """The review window is opened by its key."""
    shut = lambda: part("window").get_attribute("data-open") is None  # noqa: E731
    eventually(shut, what="a shut review window")
    part.view.press("o")
    part("window").get_by_text("by hand").wait_for(timeout=15_000)
    assert recorded(run, "command")[-1]["data"]["command"] == "open window"
    assert recorded(run, "window")[-1]["data"]["by_hand"]


def maps(page, part, run):
    """Earlier maps of a sample while the run goes on: by the slider's keys, by comma and stop."""
    part.look_at(50)
    slider = part("timeline")
    maps_of_it = lambda: [e["data"] for e in recorded(run, "overlay") if e["data"]["index"] == 50]  # noqa: E731
    steps = lambda: sorted({one["model_step"] for one in maps_of_it()})  # noqa: E731
    at = lambda: part("timeline-at").inner_text()  # noqa: E731
    shown = lambda: part("model-step").inner_text()  # noqa: E731

    def stands_at(number):
        step = steps()[number]
        eventually(lambda: at().startswith(f"step {step} · {number + 1} of "), what=f"map {number}")
        eventually(lambda: str(step) in shown(), what=f"the map of step {step}")

    def three_more():
        """Maps that a cell asks for while training goes on; those in the background may wait."""
        count = len(steps())
        run_cell(page, 2)
        eventually(lambda: len(steps()) >= count + 3, what="further maps")
        eventually(lambda: int(slider.get_attribute("max")) >= count + 2, what="maps on the screen")

    three_more()
    slider.focus()
    page.keyboard.press("Home")
    stands_at(0)
    page.keyboard.press("ArrowRight")
    stands_at(1)
    part.view.press(".")
    stands_at(2)
    part.view.press(",")
    stands_at(1)
    three_more()
    stands_at(1)  # what is looked at stays, whatever comes
    slider.press("End")
    newest = steps()[-1]
    three_more()
    eventually(lambda: int(shown().removeprefix("model of step ")) > newest, what="newer maps")


def labels(page, part, run):
    """A label is right, wrong, to be left out; and one verdict is taken back."""
    part("page-suspects").click()
    rows = part("queue-item").evaluate_all("all => all.map((one) => Number(one.dataset.index))")
    one, other, third, fourth = rows[:4]

    def open_sample(index):
        """Its picture, large, with the question beside it."""
        part.view.locator(f".cw-card[data-index='{index}']").click()
        part.view.locator(f"[data-testid=cw-judge][data-index='{index}']").wait_for(timeout=60_000)

    button = lambda verdict: part("judge").locator(f"[data-verdict='{verdict}']")  # noqa: E731
    before = recorded(run, "suspects")[-1]["data"]
    label = dict(zip(before["index"], before["target"], strict=True))

    def judged(index, verdict):
        part("judge").get_by_text(f"judged: {verdict}").wait_for(timeout=15_000)
        part.view.locator(f".cw-card[data-index='{index}']").locator(".cw-chip").get_by_text(
            verdict
        ).wait_for()
        said = [e["data"] for e in recorded(run, "judged")][-1]
        assert (said["index"], said["verdict"]) == (index, verdict)
        return said

    open_sample(one)
    button("right").click()
    assert judged(one, "right")["label"] == label[one]
    part("echo").get_by_text(f"Sample {one}: right").wait_for(timeout=5_000)
    open_sample(other)
    button("leave out").focus()
    page.keyboard.press("Enter")
    assert judged(other, "leave out")["label"] is None
    open_sample(third)
    part("judge-class").select_option(str(1 - label[third]))
    button("wrong").focus()
    page.keyboard.press("Space")
    said = judged(third, "wrong")
    assert (said["label"], said["before"]) == (1 - label[third], label[third])
    open_sample(fourth)
    part("judge-class").focus()
    page.keyboard.press("Home")  # the first class
    button("wrong").click()
    assert judged(fourth, "wrong")["label"] == 0

    open_sample(third)
    button("undo").click()
    button("right").wait_for(timeout=15_000)
    assert recorded(run, "judged")[-1]["data"]["verdict"] == "undo"
    after = recorded(run, "suspects")[-1]["data"]
    on_disk = {i: word for i, word in zip(after["index"], after["judged"], strict=True) if word}
    assert on_disk == {one: "right", other: "leave out", fourth: "wrong"}
    part("page-risk").click()
    return on_disk


def alike(page, part, run):
    """What is ignored in one sample is found in others, and ignored in those left picked."""
    sample, *others = PATCHED
    part.look_at(sample)
    part("tool-ignore").click()
    left, top = PATCHED[sample]
    corners = [(v / 32) for v in (left, top, left + SIDE, top + SIDE)]
    drag(page, part("picture"), corners[:2], corners[2:])
    part("submit").click()
    part("ledger-item").first.wait_for(timeout=15_000)
    part("ledger-item").first.get_by_role("button", name="Find alike").press("Enter")
    done = part("hits-text").get_by_text("4 more look the same. Take out")
    done.wait_for(timeout=30_000)
    there = part("hit").evaluate_all("all => all.map((one) => Number(one.dataset.index))")
    assert sorted(there) == others
    hit = lambda index: part.view.locator(f"[data-testid=cw-hit][data-index='{index}']")  # noqa: E731
    hit(others[0]).click()
    hit(others[1]).press("Space")
    hit(others[1]).press("Space")  # and back again
    for index, picked in ((others[0], "false"), (others[1], "true")):
        eventually(lambda i=index, p=picked: hit(i).get_attribute("aria-pressed") == p)
    part("hits-confirm").get_by_text("Ignore it in these 3 too").press("Enter")
    eventually(lambda: part("ledger-item").count() == 2, what="the found ones in the ledger")
    found = recorded(run, "intervention")[-1]["data"]["found"]
    assert sorted(found["index"]) == others[1:]
    for index, box in zip(found["index"], found["box"], strict=True):
        x, y = PATCHED[index]
        assert [v * 32 for v in box] == pytest.approx([x, y, x + SIDE, y + SIDE], abs=1.5)
    part("page-risk").click()
    return others[1:]


def finger_and_pen(page, part, run):
    """One box by touch, a polygon by pen."""
    part.look_at(20)
    picture = part("picture")
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    pointers = "window.pointers = new Set()"
    picture.evaluate(f"""e => {{ {pointers};
      e.addEventListener("pointermove", (event) => window.pointers.add(event.pointerType)); }}""")
    client = page.context.new_cdp_session(page)

    def spot(x, y):
        return {"x": place["x"] + x * place["width"], "y": place["y"] + y * place["height"]}

    client.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    part("shape-box").click()
    touch = lambda kind, *spots: client.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(spots)}
    )
    touch("touchStart", spot(0.1, 0.2))
    for share in (0.25, 0.5, 0.75, 1):
        touch("touchMove", spot(0.1 + 0.4 * share, 0.2 + 0.3 * share))
    touch("touchEnd")
    drawn = part.view.locator(".cw-stroke")
    eventually(lambda: drawn.count() == 1, what="a box by touch")
    client.send("Emulation.setTouchEmulationEnabled", {"enabled": False})

    part("shape-polygon").click()
    part("tool-look").click()

    def pen(kind, x, y):
        client.send("Input.dispatchMouseEvent", {"type": kind, **spot(x, y), "button": "left",
            "buttons": int(kind != "mouseReleased"), "pointerType": "pen", "force": 0.5,
            "clickCount": 1})  # fmt: skip

    round_it = [(0.6, 0.6), (0.7, 0.55), (0.85, 0.6), (0.9, 0.75), (0.8, 0.9), (0.65, 0.85)]
    pen("mousePressed", *round_it[0])
    for corner in round_it[1:]:
        pen("mouseMoved", *corner)
    pen("mouseReleased", *round_it[-1])
    eventually(lambda: drawn.count() == 2, what="a polygon by pen")
    assert set(page.evaluate("[...window.pointers]")) == {"touch", "pen"}
    before = len(recorded(run, "intervention"))
    part("submit").click()
    told = eventually(lambda: recorded(run, "intervention")[before:], what="strokes on disk")
    box, polygon = told[0]["data"]["strokes"]
    assert (box["kind"], polygon["kind"]) == ("ignore", "look")
    assert box["roi"]["box"] == pytest.approx([0.1, 0.2, 0.5, 0.5], abs=0.02)
    corners = polygon["roi"]["polygon"]
    for x, y in round_it:
        assert any(abs(x - a) < 0.02 and abs(y - b) < 0.02 for a, b in corners), (x, y)


def read(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
