"""The workbench on one screen: the whole job at five widths, by mouse and keys, never scrolling.

One JupyterLab, one kernel and one training serve for all of it.
"""

import pytest

from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    recorded,
    run_cell,
    serious_barriers,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CELLS = [
    "import coflect_widget as coflect\n"
    "session = coflect.demo(config={'xai_every': 1000, 'forecast_every': 5})\n"
    "session.train(epochs=500)\n"
    "session",
    "panel = session.sidebar()",
]
TALLEST, SHARE = 720, 0.85  # pixels, and of the window
#: Places that may move or grow with what is in them: text in a slot, rows of a list, strokes.
WITHIN = (
    ".cw-coach *, .cw-answer *, .cw-slot *, .cw-list-note, .cw-evidence *, .cw-bars *, .cw-cards,"
    " .cw-cards *,"
    " .cw-ledger-list *, .cw-strokes *, .cw-seen *, .cw-facts *, .cw-legend *, .uplot *"
)
#: Remembers where each visible element stands; asked again, tells which have moved or grown.
STANDING = """(root) => {
  const places = () => new Map([...root.querySelectorAll(".cw-bench, .cw-bench *")]
    .filter((e) => e.checkVisibility() && !e.matches("WITHIN"))
    .map((e) => [e, e.getBoundingClientRect()]));
  const before = window.standing;
  const now = window.standing = places();
  if (before === undefined) return [];
  return [...now].filter(([e, r]) => before.has(e)
      && ["top", "height"].some((side) => Math.abs(r[side] - before.get(e)[side]) > 0.5))
    .map(([e, r]) => [e.className.baseVal ?? e.className, before.get(e), r])
    .map(([name, a, b]) => `${name}: ${a.top} ${a.height}, now ${b.top} ${b.height}`);
}""".replace("WITHIN", WITHIN)
SMALL = """(root) => [...root.querySelectorAll("button, select, input, [role=separator]")]
  .filter((e) => e.checkVisibility() && !e.disabled)
  .map((e) => [e.dataset.testid ?? e.className, e.getBoundingClientRect()])
  .filter(([, r]) => Math.min(r.width, r.height) < 23.5)
  .map(([name, r]) => `${name} ${r.width} x ${r.height}`)"""


def test_the_whole_job_on_one_screen(tmp_path, server):
    root, notebook = tmp_path, tmp_path / "bench.ipynb"
    write_notebook(notebook, CELLS)
    with chromium(1600, 900) as page:
        server.open(page, notebook)
        run_cell(page, 0)
        part = Parts(page.locator(".jp-Notebook [data-testid=cw-root]").first)
        part.view.wait_for(timeout=60_000)
        run = max((root / "runs").iterdir())
        # the riskiest sample is open unasked, with its map
        eventually(lambda: recorded(run, "forecast"), 90, "a forecast")
        part.view.locator(".cw-focus[data-sample]").wait_for(timeout=60_000)
        assert not [e for e in recorded(run, "overlay") if e["data"]["purpose"] == "person"]
        part("queue-item").first.wait_for(timeout=60_000)
        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=20_000)

        # with the file browser open, as JupyterLab comes
        for width, height in ((1280, 800), (1600, 900)):
            page.set_viewport_size({"width": width, "height": height})
            job(page, part, run)
        keyboard(page, part, run)
        page.keyboard.press("Control+b")  # the file browser takes room
        for width, height in ((1000, 800), (700, 800)):
            page.set_viewport_size({"width": width, "height": height})
            job(page, part, run)
        height_and_tabs(page, part)
        assert serious_barriers(page) == []

        page.set_viewport_size({"width": 1600, "height": 900})
        run_cell(page, 1)
        side = Parts(page.locator("#jp-right-stack [data-testid=cw-root]"))
        side.view.wait_for(timeout=30_000)
        side("state").get_by_text("Paused").wait_for(timeout=20_000)
        assert side.view.bounding_box()["width"] < 390  # as JupyterLab opens it
        job(page, side, run)

        # dark
        page.locator(".lm-MenuBar-itemLabel", has_text="Settings").first.click()
        page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
        page.locator(".lm-Menu-itemLabel").get_by_text("JupyterLab Dark", exact=True).click()
        side.view.and_(page.locator("[data-theme=dark]")).wait_for(timeout=15_000)
        job(page, side, run)
        assert serious_barriers(page) == []


def job(page, part, run):
    """Choose, see the map, draw, submit, read the answer, undo, go on and hold: nothing scrolls."""
    centred(page, part)
    window = page.viewport_size["height"]
    bench = part.view.bounding_box()
    assert bench["height"] <= min(TALLEST, SHARE * window) + 1
    before = scrolled(page)

    part.view.evaluate("() => { window.standing = undefined; }")
    assert part.view.evaluate(STANDING) == []
    shown = choose(page, part)
    assert part.view.evaluate(STANDING) == []
    again = choose(page, part)
    assert again != shown
    assert part.view.evaluate(STANDING) == []
    assert part.view.evaluate(SMALL) == []

    seen(page, part, "picture", "submit", "instruction", "strength", "pause", "stop", "echo")
    part("tool-ignore").click()
    drag(page, part("picture"), (0.1, 0.1), (0.4, 0.4))
    told = len(recorded(run, "intervention"))
    part("submit").click()
    part("echo").get_by_text("Applied at step").wait_for(timeout=15_000)
    seen(page, part, "echo", "undo-told")
    assert len(recorded(run, "intervention")) == told + 1
    assert recorded(run, "intervention")[-1]["data"]["sample"] == again
    undone = len(recorded(run, "undo"))
    part("undo-told").click()
    eventually(lambda: len(recorded(run, "undo")) == undone + 1, what="an undo")
    part("undo-told").wait_for(state="hidden", timeout=10_000)
    part("pause").click()
    part("state").get_by_text("Training").wait_for(timeout=20_000)
    part("pause").click()
    part("state").get_by_text("Paused").wait_for(timeout=20_000)
    assert part.view.evaluate(STANDING) == [], "something moved"
    assert scrolled(page) == before


def centred(page, part):
    """Bring the dashboard to the middle, and wait until JupyterLab has done with its own layout."""
    places = []

    def stands():
        part.view.evaluate("e => e.scrollIntoView({ block: 'center' })")
        page.wait_for_timeout(100)
        places.append((part.view.bounding_box(), scrolled(page)))
        return len(places) > 10 and all(place == places[-1] for place in places[-10:])

    eventually(stands, 30, "a page that stands still")


def choose(page, part):
    """Choose the next sample of the list by mouse; its number, once its map is there."""
    if not part("queue-item").first.is_visible():
        part("tab-list").click()
    there = part("queue-item").evaluate_all("all => all.map((one) => Number(one.dataset.index))")
    current = part.view.locator(".cw-card[aria-current]")
    here = int(current.first.get_attribute("data-index")) if current.count() else None
    index = there[(there.index(here) + 1) % len(there)] if here in there else there[0]
    part.view.locator(f".cw-card[data-index='{index}']").click()
    part.view.locator(f".cw-focus[data-sample='{index}']").wait_for(timeout=60_000)
    page.mouse.move(5, 5)
    eventually(lambda: part.view.locator(".cw-busy").inner_text() == "", what="an explanation")
    return index


def seen(page, part, *names):
    """These parts are within the window, and nothing lies over them."""
    size = page.viewport_size
    for name in names:
        box = part(name).bounding_box()
        assert box is not None, name
        assert box["x"] >= 0, name
        assert box["y"] >= 0, name
        assert box["x"] + box["width"] <= size["width"], name
        assert box["y"] + box["height"] <= size["height"], name
        hit = part(name).evaluate(
            """e => { const r = e.getBoundingClientRect();
              const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
              return e.contains(top) || top?.contains(e); }"""
        )
        assert hit, f"{name} is covered"


def scrolled(page):
    """How far anything around the dashboard is scrolled."""
    return page.evaluate(
        """() => [...document.querySelectorAll("*")]
          .filter((e) => e.scrollTop > 0 && !e.closest(".cw-root")).map((e) => e.scrollTop)"""
    )


def keyboard(page, part, run):
    """The same without a mouse."""
    part.view.focus()
    press = page.keyboard.press
    shown = part.view.locator(".cw-focus").get_attribute("data-sample")
    press("q")
    part.view.locator(".cw-card:focus").wait_for(timeout=5_000)
    press("ArrowRight")
    focused = part.view.locator(".cw-card:focus").get_attribute("data-index")
    assert focused != shown
    part.view.locator(f".cw-focus[data-sample='{focused}']").wait_for(timeout=60_000)
    press("d")
    press("i")
    press("b")
    for key in ("Shift+ArrowLeft", "Shift+ArrowUp", "Space", "Shift+ArrowRight", "Shift+ArrowDown"):
        press(key)
    press("Space")
    eventually(lambda: part.view.locator(".cw-stroke").count() == 1, what="a box by keys")
    told = len(recorded(run, "intervention"))
    press("Enter")
    part("echo").get_by_text("Applied at step").wait_for(timeout=15_000)
    assert len(recorded(run, "intervention")) == told + 1
    undone = len(recorded(run, "undo"))
    press("x")
    eventually(lambda: len(recorded(run, "undo")) == undone + 1, what="an undo")
    press("/")
    page.keyboard.type("p")  # a letter in a field is a letter
    assert part("instruction").input_value() == "p"
    press("Backspace")
    press("Escape")
    press("p")
    part("state").get_by_text("Training").wait_for(timeout=20_000)
    press("p")
    part("state").get_by_text("Paused").wait_for(timeout=20_000)


def height_and_tabs(page, part):
    """A person's own height; tabs by keys; the dashboard opens on the picture."""
    bench = lambda: part.view.bounding_box()["height"]  # noqa: E731
    before = bench()
    part("resize").focus()
    page.keyboard.press("ArrowUp")
    eventually(lambda: bench() == before - 24, what="a lower dashboard")
    page.keyboard.press("Home")
    eventually(lambda: bench() == before, what="the height of before")
    assert part("tab-look").get_attribute("aria-selected") == "true"
    part("tab-look").focus()
    for name, panel in (("list", ".cw-list"), ("charts", ".cw-charts"), ("ledger", ".cw-ledger")):
        page.keyboard.press("ArrowRight")
        chosen = part.view.locator(f"[data-testid=cw-tab-{name}][aria-selected=true]")
        chosen.wait_for(timeout=5_000)
        part.view.locator(panel).wait_for(timeout=5_000)
        assert bench() == before
        assert serious_barriers(page) == []
    part("tab-look").click()
