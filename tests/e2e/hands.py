"""What a person does with the dashboard's parts, by mouse and by keys, and what must follow.

Each function takes a dashboard (`lab.Parts`) of a training that is paused, and leaves it paused.
"""

import time

import pytest

from tests.conftest import eventually
from tests.e2e.lab import drag, recorded


def validated(run):
    """Steps at which an epoch was validated."""
    return [e["step"] for e in recorded(run, "metrics") if e["split"] == "val"]


def units(part, run):
    """One step, and to the end of the epoch, then held again."""
    before = len(recorded(run, "command"))
    step = part.step()
    part("one-step").click()
    eventually(lambda: part.step() == step + 1 and state(part) == "Paused", what="one step")
    part.view.press("s")
    eventually(lambda: part.step() == step + 2 and state(part) == "Paused", what="another step")
    # That step may have been the epoch's last, held before its validation.
    epochs = len(validated(run))
    part.view.press("Shift+S")
    eventually(lambda: len(validated(run)) > epochs, what="an epoch")
    eventually(lambda: part.step() == validated(run)[-1] and state(part) == "Paused", what="a hold")
    said = [e["data"]["command"] for e in recorded(run, "command")[before:]]
    assert said == ["step", "step", "epoch"]


def charts(page, part):
    """Smoothing, logarithm, a stretch chosen with the mouse, the values under it."""
    chart = lambda: part.view.locator(".cw-chart").first  # noqa: E731 - log makes it anew
    drawn = lambda: chart().locator("canvas").evaluate("e => e.toDataURL()")  # noqa: E731

    def changes(act, what):
        before = drawn()
        act()
        eventually(lambda: drawn() != before, what=what)

    changes(lambda: part("smooth").select_option("0.9"), "smoother lines")
    part("smooth").select_option("0")
    changes(part("log").click, "a logarithmic scale")
    assert part("log").get_attribute("aria-pressed") == "true"
    part("log").press("Enter")
    eventually(lambda: part("log").get_attribute("aria-pressed") == "false")
    page.wait_for_timeout(400)
    changes(lambda: drag(page, chart().locator(".u-over"), (0.3, 0.5), (0.6, 0.5)), "a stretch")
    part("zoom-reset").click()
    part("zoom-reset").wait_for(state="hidden")
    chart().scroll_into_view_if_needed()
    place = chart().locator(".u-over").bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    chart().get_by_text("step ").first.wait_for(timeout=5_000)


def looks(page, part, run):
    """Which map, how strongly and in which colours; the candidates one after the other."""
    queued = settled_queue(part)
    sample = next(i for i in range(len(queued) + 1) if i not in queued)
    part.look_at(sample)
    names = ["map-livecam", "map-smoothgrad", "map-consensus", "view-all", "view-off"]
    for key, name in enumerate(names, 1):
        part.view.press(str(key))
        eventually(lambda n=name: pressed(part(n)), what=f"the map {name}")
    part("looks").click()
    part("map-livecam").click()
    eventually(lambda: pressed(part("map-livecam")))
    picture = lambda: part.view.locator(".cw-picture canvas").evaluate("e => e.toDataURL()")  # noqa: E731
    explaining = part.view.locator(".cw-busy")
    eventually(lambda: explaining.inner_text() == "", what="an explanation")
    # Few places are as strong as the strongest, even of a map that marks nearly everything.
    for name, act, value in (
        ("opacity", lambda: part("opacity").press("Home"), "0"),
        ("opacity", lambda: part("opacity").press("End"), "100"),
        ("threshold", lambda: part("threshold").press("End"), "95"),
        ("palette", lambda: part("palette").select_option("viridis"), "viridis"),
    ):
        before = picture()
        act()
        eventually(lambda n=name, v=value: part(n).input_value() == v, what=f"{name} {value}")
        eventually(lambda b=before: picture() != b, what=f"a picture with {name} {value}")

    page.keyboard.press("Escape")
    part("map-livecam").wait_for(state="hidden")
    for act, index in (
        (part("next").click, queued[0]),
        (lambda: part.view.press("n"), queued[1]),
        (lambda: part.view.press("Shift+N"), queued[0]),
    ):
        act()
        part.view.locator(f".cw-focus[data-sample='{index}']").wait_for(timeout=60_000)
    part("queue-item").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    part.view.locator(f".cw-focus[data-sample='{queued[1]}']").wait_for(timeout=60_000)
    asked = [e["data"] for e in recorded(run, "overlay")]
    assert {sample, *queued[:2]} <= {one["index"] for one in asked if one["purpose"] == "person"}

    texts = lambda: part("queue").locator(".cw-card-classes").all_inner_texts()  # noqa: E731
    name = part("queue").locator(".cw-strong").first.inner_text()
    part("search").fill(name)
    eventually(lambda: all(name in text for text in texts()), what="a list of one class")
    part("search").press("Escape")
    eventually(lambda: part("search").input_value() == "", what="an empty search")


def strokes(page, part, run):
    """Polygon, brush, eraser, box; move, resize, remove, undo, redo; scope, strength, Enter."""
    part.look_at(7)
    part("tool-look").click()
    part("shape-polygon").click()
    for x, y in ((0.2, 0.2), (0.5, 0.25), (0.4, 0.6), (0.2, 0.2)):
        at(page, part, x, y)

    def drawn(n):
        there = part.view.locator(".cw-stroke")
        eventually(lambda: there.count() == n, what=f"{n} strokes")

    drawn(1)
    part.view.press("i")
    part.view.press("u")
    drag(page, part("picture"), (0.7, 0.7), (0.9, 0.8))
    drawn(2)
    part.view.press("Control+z")
    drawn(1)
    part.view.press("Control+Shift+Z")
    drawn(2)
    part("shape-eraser").click()
    drag(page, part("picture"), (0.65, 0.7), (0.98, 0.85))
    part("undo-draw").click()
    part("redo-draw").click()
    part.view.press("b")
    part("tool-ignore").click()
    drag(page, part("picture"), (0.6, 0.1), (0.8, 0.3))
    box = part.view.locator(".cw-stroke").last
    drag(page, part("picture"), (0.7, 0.2), (0.72, 0.24))  # from within: it is moved
    drag(page, part("picture"), (0.82, 0.34), (0.9, 0.44))  # by its corner: resized
    box.press("ArrowLeft")
    box.press("Shift+ArrowDown")
    part("add-box").click()
    page.keyboard.press("Delete")  # what was added has the focus
    part("scope").select_option("class")
    for _ in range(4):
        part("strength").press("ArrowRight")
    strength = float(part("strength").input_value())
    before = len(recorded(run, "intervention"))
    part.view.press("/")
    page.keyboard.type("increase focus by 5%")
    page.keyboard.press("Enter")
    part("echo").get_by_text("Applied at step").wait_for(timeout=15_000)
    (told,) = recorded(run, "intervention")[before:]
    data = told["data"]
    assert (data["scope"], data["sample"]) == ("class", 7)
    assert data["strength"] == pytest.approx(strength + 0.05, abs=1e-6)
    forms = {next(iter(k for k in s["roi"] if s["roi"][k] is not None)): s for s in data["strokes"]}
    assert forms["polygon"]["kind"] == "look"
    assert forms["box"]["kind"] == "ignore"
    assert forms["box"]["roi"]["box"] == pytest.approx([0.61, 0.14, 0.89, 0.45], abs=0.03)
    assert part.view.locator(".cw-stroke").count() == 0
    part("instruction").press("ArrowUp")
    recalled = lambda: part("instruction").input_value()  # noqa: E731
    eventually(lambda: recalled() == "increase focus by 5%", what="the instruction of before")
    part("instruction").fill("")
    part("scope").select_option("")


def ledger(page, part, run):
    """The right and the wrong reason in one key; undo and a jump to the sample in the ledger."""
    count = part("ledger-item").count()
    wrong = lambda: part.view.press("w")  # noqa: E731
    for act, kind in ((wrong, "ignore"), (part("right-reason").click, "look")):
        count += 1
        act()
        eventually(lambda n=count: part("ledger-item").count() == n, what="a reason in the ledger")
        (stroke,) = recorded(run, "intervention")[-1]["data"]["strokes"]
        assert (stroke["kind"], stroke["sample"]) == (kind, 7)
    newest = recorded(run, "intervention")[-1]["data"]["id"]
    part("ledger-item").first.get_by_role("button", name="Undo").click()
    eventually(lambda: recorded(run, "undo"), what="an undo")
    assert recorded(run, "undo")[-1]["data"]["id"] == newest
    part("ledger-item").first.get_by_text("undone").wait_for(timeout=10_000)
    part.look_at(5)
    jump = part("ledger-item").nth(1).get_by_role("button", name="#7")
    jump.focus()
    page.keyboard.press("Enter")
    part.view.locator(".cw-focus[data-sample='7']").wait_for(timeout=60_000)


def settled_queue(part):
    """The samples in the longer list, once what was underway when training was held is ranked."""
    count = lambda page: int(part(f"page-{page}").locator(".cw-stat-count").inner_text())  # noqa: E731
    part(f"page-{max(('risk', 'wrong'), key=count)}").click()
    named = lambda: part("queue-item").evaluate_all("all => all.map((one) => one.dataset.index)")  # noqa: E731
    queue, since = named(), time.monotonic()

    def settled():
        nonlocal queue, since
        if (now := named()) != queue:
            queue, since = now, time.monotonic()
        return time.monotonic() - since > 3

    eventually(settled, seconds=60, what="a settled queue")
    return [int(index) for index in queue]


def at(page, part, x, y):
    """Click on a place of the picture."""
    part("picture").scroll_into_view_if_needed()
    place = part("picture").bounding_box()
    page.mouse.click(place["x"] + x * place["width"], place["y"] + y * place["height"])
    page.wait_for_timeout(350)  # two at once would be a double click


def state(part):
    return part("state").inner_text()


def pressed(button):
    return button.get_attribute("aria-pressed") == "true"
