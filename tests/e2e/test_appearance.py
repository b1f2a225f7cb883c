"""The dashboard where people keep it: narrow, dark, saved without a kernel, hostile names."""

import json

import pytest

from tests.conftest import eventually
from tests.e2e.lab import (
    chromium,
    recorded,
    run_cell,
    serious_barriers,
    set_theme,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOSTILE = "<img src=x onerror=\"document.title='broken into'\">"
CELLS = [
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "data = coflect.data.synthetic(n=256)\n"
    f"names = [letter + {HOSTILE!r} for letter in 'abcd']\n"
    "session = coflect.Session(tiny_cnn(), data, data, classes=names)\n"
    "session.train(epochs=20)\n"
    "session",
    "session.wait(); session.explain(3)\n"
    "session.feedback(sample=3, look=(0.2, 0.2, 0.7, 0.7)); session.close(); print('all done')",
    "coflect.open_run(session.run.path)",
]


def test_dark_narrow_hostile_and_without_a_kernel(tmp_path, server):
    root = tmp_path
    write_notebook(root / "looks.ipynb", CELLS)
    set_theme(server.root, dark=True)
    with chromium(700, 1200, dark=True) as page:
        server.open(page, root / "looks.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        run_cell(page, 1)
        page.locator(".jp-OutputArea").get_by_text("all done").wait_for(timeout=90_000)
        run = max((root / "runs").iterdir())

        view.locator("[data-testid=cw-state]").get_by_text("Finished").wait_for()
        background = view.evaluate("e => getComputedStyle(e).backgroundColor")
        assert max(numbers(background)[:3]) < 80, f"not dark: {background}"
        assert serious_barriers(page) == []
        width = view.evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert width[0] <= width[1], "it scrolls sideways"

        # a class name is text, whatever it says
        assert page.title() != "broken into"
        assert view.locator("img[src='x']").count() == 0
        assert view.get_by_text("<img src=x", exact=False).count() > 0

        # the same run, opened from disk: read-only, nothing to press
        cell = run_cell(page, 2)
        replay = cell.locator("[data-testid=cw-root]").first
        replay.wait_for(timeout=30_000)
        shown = replay.locator("[data-testid=cw-step]").first.get_attribute("data-step")
        assert int(shown) == recorded(run)[-1]["step"] == 80
        replay.locator("[data-sample='3']").first.wait_for(timeout=10_000)
        assert replay.locator("[data-testid=cw-ledger-item]").count() == 1
        pause = replay.locator("[data-testid=cw-pause]")
        assert pause.count() == 0 or not pause.is_visible() or pause.is_disabled()

        # saved with its state, opened again without a kernel
        page.keyboard.press("Control+s")
        saved = root / "looks.ipynb"
        eventually(lambda: "widget-view" in saved.read_text(), what="a saved notebook")
        assert json.loads(saved.read_text())["cells"][0]["outputs"]


def numbers(colour):
    return [float(n) for n in colour[colour.index("(") + 1 : -1].replace(",", " ").split()]
