"""From a file to a dashboard by selectors and one button, in a real JupyterLab."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.quickstart.messy import FILES
from tests.conftest import eventually
from tests.e2e.lab import Parts, chromium, jupyterlab, open_notebook, run_cell, write_notebook

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

CELLS = [
    "import coflect_widget as coflect\nasking = coflect.quickstart('leaking.csv')\nasking",
    "asking.session.train()\nasking.session.wait()\nasking.session.test()",
]


def test_selectors_lead_to_a_dashboard(tmp_path):
    FILES["leaking"](tmp_path)
    write_notebook(tmp_path / "start.ipynb", CELLS)
    with jupyterlab(tmp_path) as (address, token), chromium() as page:
        open_notebook(page, address, token, "start.ipynb")
        cell = run_cell(page, 0)
        selectors = cell.locator("select")
        selectors.first.wait_for(timeout=120_000)
        assert "600 rows, 4 columns" in cell.locator("pre").first.inner_text()
        button = cell.get_by_role("button", name="Build")
        assert button.is_disabled()
        selectors.first.select_option(label="diagnosis (words, 2 different)")
        eventually(lambda: selectors.count() == 2, 60, what="the question about a leak")
        shown = selectors.nth(1).evaluate("e => e.selectedOptions[0].text")
        assert shown == "leave out bill"
        _picture(page, "asked")
        eventually(button.is_enabled, 60, what="the button")
        button.click()
        view = cell.locator("[data-testid=cw-root]").first
        view.wait_for(timeout=120_000)
        run_cell(page, 1)
        part = Parts(view)
        eventually(lambda: part.step() > 0, 120, what="the training")
        (run,) = (tmp_path / "runs").iterdir()
        file = run / "pipeline" / "test.json"
        eventually(file.exists, 300, what="the test")
        assert json.loads(file.read_text())["figures"]["accuracy"] > 0.7
        page.locator(".jp-OutputArea-output", has_text="'balanced_accuracy'").wait_for()
        view.scroll_into_view_if_needed()
        _picture(page, "trained")


def _picture(page, name):
    """To be looked at, where somebody wants that."""
    if folder := os.environ.get("COFLECT_PICTURES"):
        page.screenshot(path=Path(folder) / f"quickstart_{name}.png")
