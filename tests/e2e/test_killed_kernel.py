"""The kernel is killed in mid-training; a cell goes on with the run, and the dashboard is whole."""

import os
import re
import signal

import numpy as np
import pytest

import coflect_widget as coflect
from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    recorded,
    run_cell,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MADE = (
    "import os\n"
    "from pathlib import Path\n"
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "Path('kernel').write_text(str(os.getpid()))\n"
    "data = coflect.data.synthetic(n=512)\n"
)
BEGUN = MADE + (
    "session = coflect.Session(tiny_cnn(), data, data, run_dir='runs',\n"
    "                          config={'log_every': 1, 'checkpoint_minutes': 0.02})\n"
    "session.train(epochs=100_000)\n"
    "session"
)
RESUMED = MADE + (
    "[folder] = Path('runs').glob('run_*')\n"
    "session = coflect.Session(tiny_cnn(seed=7), data, data, resume=folder)\n"
    "session.train()\n"
    "session"
)


def dashboard(page, cell, state):
    part = Parts(page.locator(".jp-Notebook .jp-Cell").nth(cell).locator("[data-testid=cw-root]"))
    part.view.wait_for(timeout=90_000)
    part("state").get_by_text(state).wait_for(timeout=60_000)
    return part


@pytest.mark.slow
def test_the_dashboard_goes_on_where_it_ended(tmp_path, server):
    root = tmp_path
    write_notebook(root / "killed.ipynb", [BEGUN, RESUMED])
    with chromium() as page:
        server.open(page, root / "killed.ipynb")
        run_cell(page, 0)
        part = dashboard(page, 0, "Training")
        run = max((root / "runs").iterdir())
        part("queue-item").first.wait_for(timeout=60_000)
        part("instruction").fill("ignore borders")
        part("instruction").press("Enter")
        part("ledger-item").first.wait_for(timeout=20_000)
        eventually(lambda: len(recorded(run, "checkpoint")) > 2, 60, what="a checkpoint")
        told = recorded(run, "intervention")[0]
        eventually(lambda: recorded(run, "checkpoint")[-1]["step"] > told["step"], 60)
        reached = part.step()
        os.kill(int((root / "kernel").read_text()), signal.SIGKILL)

        # JupyterLab starts another kernel by itself, and says so
        dialog = page.locator(".jp-Dialog .jp-mod-accept")
        dialog.first.wait_for(timeout=60_000)
        dialog.first.click()
        idle = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
        page.wait_for_selector(idle, state="attached", timeout=90_000)
        run_cell(page, 1)
        part = dashboard(page, 1, "Training")
        eventually(lambda: part.step() > reached + 50, 60, what="steps beyond the old ones")
        assert part("ledger-item").count() == 1
        part("queue-item").first.wait_for(timeout=60_000)
        assert any("Resumed at step" in one["data"]["text"] for one in recorded(run, "notice"))

        # the chart begins where the run began
        chart = part.view.locator(".cw-chart").first
        chart.scroll_into_view_if_needed()
        place = chart.locator(".u-over").bounding_box()
        page.mouse.move(place["x"] + 2, place["y"] + place["height"] / 2)
        first = chart.get_by_text(re.compile(r"step \d")).first
        first.wait_for(timeout=5_000)
        assert int(re.search(r"step ([\d,]+)", first.inner_text())[1].replace(",", "")) < reached

    kept = coflect.open_run(run)
    scalars = kept.scalars()
    steps = scalars["step"][scalars["split"] == "train"]
    assert (np.diff(steps) > 0).all()  # no step twice, though some were made twice
    assert steps[0] == 1
    assert steps[-1] > reached
    [entry] = kept.ledger.interventions
    assert (entry.id, entry.step) == ("i1", told["step"])
    assert len(recorded(run, "resumed")) == 1
