"""A finding is asked about and answered by keys alone, in a real JupyterLab."""

import pytest

from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    jupyterlab,
    open_notebook,
    recorded,
    run_cell,
    serious_barriers,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

CELLS = [
    "import coflect_widget as coflect\n"
    "session = coflect.demo(config={'attribution': {'budget': 0}})\n"
    "session.train(epochs=6)\nsession.wait()\nsession.find_shortcuts()\nsession",
]


def test_a_finding_is_answered_by_keys_alone_and_stands_in_the_ledger(tmp_path):
    write_notebook(tmp_path / "question.ipynb", CELLS)
    with jupyterlab(tmp_path) as (address, token), chromium() as page:
        open_notebook(page, address, token, "question.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        part = Parts(view)
        part("coach-act").get_by_text("See it").wait_for(timeout=300_000)
        height = view.bounding_box()["height"]
        view.focus()
        page.keyboard.press("y")
        part("question").wait_for()
        text = part("question-text").inner_text()
        run = max((tmp_path / "runs").iterdir())
        asked = recorded(run, "finding")[-1]["data"]
        assert asked["text"] == text
        assert part("question").locator("li").count() == min(6, len(asked["index"]))
        assert part("question").locator("svg path").count() == min(6, len(asked["index"]))
        assert not serious_barriers(page)

        page.keyboard.press("n")
        part("question").wait_for(state="hidden")
        echo = f"Ignored in {asked['count']:,} samples"
        eventually(lambda: part("echo").inner_text() == echo, 60, what="the answer")
        (answer,) = recorded(run, "answer")  # on disk already
        (told,) = recorded(run, "intervention")
        assert answer["data"]["intervention"] == told["data"]["id"]
        part("ledger-item").get_by_text(told["data"]["id"]).first.wait_for()
        assert view.bounding_box()["height"] == height

        page.keyboard.press("x")
        eventually(lambda: recorded(run, "undo"), 60, what="the undoing")
        assert not part("question").is_visible()  # what was answered is not asked again
