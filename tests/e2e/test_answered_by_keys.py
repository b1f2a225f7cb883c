"""A finding is answered, proved, and its branch kept, by keys alone, in a real JupyterLab."""

import pytest

from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    recorded,
    run_cell,
    serious_barriers,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

CELLS = [
    "import coflect_widget as coflect\n"
    "config = {'attribution': {'budget': 0}, 'guidance': {'effect_after': 12}}\n"
    "session = coflect.demo(config=config)\n"
    "session.train(epochs=6)\nsession.wait()\nsession.find_shortcuts()\nsession",
]


def test_a_finding_is_answered_proved_and_kept_by_keys_alone(tmp_path, server):
    write_notebook(tmp_path / "question.ipynb", CELLS)
    with chromium() as page:
        server.open(page, tmp_path / "question.ipynb")
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

        # Trained on, proved, and gone on with from a branch: by keys too.
        page.keyboard.press("p")
        eventually(lambda: recorded(run, "state")[-1]["data"]["state"] == "finished", 240)
        eventually(lambda: recorded(run, "effect"), 240, what="the effect")
        page.keyboard.press("Shift+P")
        eventually(lambda: recorded(run, "proof"), 300, what="the proof")
        part("keep").first.wait_for(timeout=60_000)
        page.keyboard.press("Shift+K")
        part("keep-card").wait_for()
        assert not serious_barriers(page)
        page.keyboard.press("t")
        part("keep-card").wait_for(state="hidden")
        eventually(
            lambda: part("echo").inner_text().startswith("Kept the treated branch of i1"), 120
        )
        assert recorded(run, "kept")[0]["data"]["branch"] == "treated"  # on disk already
        assert view.bounding_box()["height"] == height

        page.keyboard.press("x")
        eventually(lambda: recorded(run, "undo"), 60, what="the undoing")
        assert not part("question").is_visible()  # what was answered is not asked again
