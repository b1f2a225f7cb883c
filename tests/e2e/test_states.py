"""What may befall a notebook ends in a state that has a name; two notebooks' programs, one view."""

import pytest

from tests.conftest import eventually
from tests.e2e import hands
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    open_notebook,
    ready,
    recorded,
    run_cell,
    serious_barriers,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TRAIN = (
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "data = coflect.data.synthetic(n=512)\n"
    "session = coflect.Session(tiny_cnn(), data, data, run_dir='runs',\n"
    "                          config={'log_every': 1})\n"
    "session.train(epochs=100_000)\n"
    "session"
)
IN_LAB = ".jp-Notebook [data-testid=cw-root]"


@pytest.mark.slow
def test_reload_second_browser_reopening_restart(tmp_path, server):
    root, address, token = tmp_path, server.address, server.token
    write_notebook(root / "states.ipynb", [TRAIN])
    name = (root / "states.ipynb").relative_to(server.root)
    with chromium() as page:
        open_notebook(page, address, token, name)
        run_cell(page, 0)
        part = shown(page, "Training", "live")
        run = max((root / "runs").iterdir())
        controls(page, part, run)
        eventually(lambda: len(recorded(run, "metrics")) > 60, what="a line worth smoothing")
        part.view.press("p")
        part("state").get_by_text("Paused").wait_for()
        hands.units(part, run)
        hands.charts(page, part)
        hands.looks(page, part, run)
        hands.strokes(page, part, run)
        hands.ledger(page, part, run)
        part("pause").click()
        part("state").get_by_text("Training").wait_for()
        assert serious_barriers(page) == []

        part("pause").focus()
        page.keyboard.press("Control+s")  # the dashboard leaves it to JupyterLab
        saved = root / "states.ipynb"
        eventually(lambda: "widget-view" in saved.read_text(), what="a saved notebook")
        page.reload()
        part = shown(page, "Training", "live")
        moves(part)

        # a second browser on the same notebook: what one does, the other shows
        context = page.context.browser.new_context(viewport={"width": 700, "height": 1000})
        second = context.new_page()
        ready(second, f"{address}/lab/workspaces/second/tree/{name}?reset&token={token}")
        other = shown(second, "Training", "live")
        other("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        assert part.step() == other.step()

        # closed and opened again, while training is held
        page.goto(f"{address}/lab/workspaces/empty?reset&token={token}")
        page.wait_for_selector(".jp-Launcher", timeout=60_000)
        open_notebook(page, address, token, name)
        part = shown(page, "Paused", "live")
        part("pause").click()
        other("state").get_by_text("Training").wait_for(timeout=15_000)

        # the kernel is restarted: both say so, nothing can be pressed
        in_notebook(page)
        page.keyboard.press("0")
        page.keyboard.press("0")
        page.locator(".jp-Dialog .jp-mod-accept").click(timeout=10_000)
        part("connection").get_by_text("kernel gone").wait_for(timeout=30_000)
        assert part("state").inner_text() == "Interrupted"
        assert part("pause").is_disabled()
        assert part("stop").is_disabled()
        # who did not restart it is not told, but finds that nobody answers
        other("connection").get_by_text("no answer").wait_for(timeout=60_000)
        context.close()


def controls(page, part, run):
    """When to review, the chart's stretch: by mouse and by keys."""
    part("queue-item").first.wait_for(timeout=60_000)
    eventually(lambda: part("tool-cost").inner_text().startswith("tool "), what="the tool's cost")
    part("window").click()
    part("open-window").click()
    part("echo").get_by_text("a good time to look").wait_for(timeout=15_000)
    part("window").get_by_text("by hand").wait_for()
    assert not part("open-window").is_visible()
    said = [e["data"]["command"] for e in recorded(run, "command")]
    assert said == ["open window"]
    assert recorded(run, "window")[-1]["data"]["by_hand"]

    # held, so that only the person moves the chart
    part.view.press("p")
    part("state").get_by_text("Paused").wait_for()
    chart = part.view.locator(".cw-chart").first
    drawn = lambda: chart.locator("canvas").evaluate("e => e.toDataURL()")  # noqa: E731
    chart.press("+")
    part("zoom-reset").wait_for()
    page.wait_for_timeout(300)
    middle = drawn()

    def pan():  # again where the page was still scrolling
        page.keyboard.down("Shift")
        drag(page, chart.locator(".u-over"), (0.3, 0.5), (0.7, 0.5))
        page.keyboard.up("Shift")
        page.wait_for_timeout(300)
        return drawn() != middle and drawn()

    panned = eventually(pan, what="another stretch by a drag")
    chart.press("ArrowRight")
    eventually(lambda: drawn() != panned, what="another stretch by a key")
    chart.press("0")
    part("zoom-reset").wait_for(state="hidden")
    part.view.press("p")
    part("state").get_by_text("Training").wait_for()


def test_notebook_7(tmp_path, server):
    root = tmp_path
    write_notebook(root / "seven.ipynb", [TRAIN, "session.sidebar()"])
    name = (root / "seven.ipynb").relative_to(server.root)
    with chromium(900, 1000) as page:
        ready(page, f"{server.address}/notebooks/{name}?token={server.token}")
        run_cell(page, 0)
        part = shown(page, "Training", "live")
        moves(part)
        part.view.press("p")
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        run = max((root / "runs").iterdir())
        assert [e["data"]["command"] for e in recorded(run, "command")] == ["pause"]
        part.look_at(7)

        # sidecar has no side panel here: the second view stands below its cell
        cell = run_cell(page, 1)
        side = Parts(cell.locator("[data-testid=cw-root]"))
        side("state").get_by_text("Paused").wait_for(timeout=30_000)
        side("pause").click()
        part("state").get_by_text("Training").wait_for(timeout=15_000)


def shown(page, state, connection):
    """The parts of the notebook's view, once it is in this state."""
    part = Parts(page.locator(IN_LAB).first)
    part.view.wait_for(timeout=90_000)
    part("connection").get_by_text(connection, exact=True).wait_for(timeout=60_000)
    if state is not None:
        part("state").get_by_text(state).wait_for(timeout=60_000)
    return part


def in_notebook(page):
    """Give the keys to the notebook; the dashboard keeps those that are pressed in it."""
    page.locator(".jp-Notebook .jp-InputArea-editor").first.click()
    page.keyboard.press("Escape")


def moves(part):
    before = part.step()
    eventually(lambda: part.step() > before, what="a moving step counter")
