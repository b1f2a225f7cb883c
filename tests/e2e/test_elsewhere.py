"""Notebooks in JupyterLab show and steer a training of a script, live; it outlives the first."""

import os
import signal
import time

import pytest

from coflect_widget.elsewhere.connection import NAME
from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    recorded,
    run_cell,
    write_notebook,
)
from tests.elsewhere.test_served import script

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CELL = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "import coflect_widget as coflect\n"
    "session = coflect.connect({run!r}, by={by!r})\n"
    "assert not {{'torch', 'tensorflow'}} & set(sys.modules)\n"
    "Path({by!r}).write_text(str(os.getpid()))\n"
    "session"
)


@pytest.mark.slow
def test_a_notebook_steers_a_training_of_a_script_which_outlives_it(tmp_path, server):
    with script(tmp_path / "runs") as (process, run):
        for by in ("ada", "grace"):
            write_notebook(tmp_path / f"{by}.ipynb", [CELL.format(run=str(run), by=by)])
        with chromium() as page:
            steer(page, shown(page, server, tmp_path, "ada"), run)
            os.kill(int((tmp_path / "ada").read_text()), signal.SIGKILL)
            step = newest(run)
            eventually(lambda: newest(run) > step, 60, "steps after the kernel's end")
            assert process.poll() is None

            part = shown(page, server, tmp_path, "grace")
            assert part("ledger-item").count() == 2
            step = part.step()
            eventually(lambda: part.step() > step, 60, "a later step on the screen")
            stop(part, run)
            said, errors = process.communicate(timeout=60)
            assert (process.returncode, said.split("\n")[-2]) == (0, "ended in order"), errors
            part.view.get_by_text(f"The training {run.name} has ended").wait_for(timeout=60_000)
            part.view.get_by_text("kernel gone").wait_for(timeout=10_000)
            assert not (run / NAME).exists()
    authors = {one["type"]: one["data"].get("author") for one in recorded(run)}
    assert (authors["intervention"], authors["undo"]) == ("ada", "ada")


def newest(run):
    return max(one["step"] for one in recorded(run))


def shown(page, server, folder, by):
    """Connect in the notebook of that name, and wait for a dashboard that trains."""
    server.open(page, folder / f"{by}.ipynb")
    started = time.monotonic()
    run_cell(page, 0)
    view = page.locator(".jp-Notebook [data-testid=cw-root]").first
    view.wait_for(timeout=60_000)
    part = Parts(view)
    part("state").get_by_text("Training").wait_for(timeout=60_000)
    print(f"{by} sees a dashboard {time.monotonic() - started:.1f} s after the cell was run")
    return part


def steer(page, part, run):
    """All that a person does in the main job."""
    step = part.step()
    eventually(lambda: part.step() > step, 60, "a later step on the screen")
    part("queue-item").first.wait_for(timeout=60_000)
    card = part("queue-item").first
    part("pause").click()
    part("state").get_by_text("Paused").wait_for(timeout=20_000)
    assert recorded(run, "state")[-1]["data"]["state"] == "paused"
    sample = int(card.get_attribute("data-index"))
    card.click()
    part.view.locator(f".cw-focus[data-sample='{sample}']").wait_for(timeout=60_000)
    part("tool-ignore").click()
    box = drag(page, part("picture"), (0.1, 0.2), (0.4, 0.5))
    part("submit").click()
    part("echo").get_by_text("Applied at step").wait_for(timeout=60_000)
    (told,) = recorded(run, "intervention")
    assert (told["data"]["sample"], told["data"]["author"]) == (sample, "ada")
    (stroke,) = told["data"]["strokes"]
    assert stroke["kind"] == "ignore"
    assert stroke["roi"]["box"] == pytest.approx([*box], abs=0.03)

    part("knobs").locator("xpath=..").locator("summary").first.click()
    rate = part("knob-values").locator("[data-knob=lr] input")
    rate.fill("0.0001")
    rate.press("Enter")
    eventually(lambda: part("ledger-item").count() == 2, 60, "the knob in the ledger")
    turned = recorded(run, "intervention")[-1]["data"]
    assert [(one["name"], one["after"]) for one in turned["knobs"]] == [("lr", [1e-4])]
    rate.press("Escape")  # the knobs lie over the ledger
    part("knob-values").wait_for(state="hidden")

    part("pause").click()
    part("state").get_by_text("Training").wait_for(timeout=20_000)
    eventually(lambda: part.step() > told["step"] + 1, 60, "later steps")
    stroked = part.view.locator(f"[data-testid=cw-ledger-item][data-id='{told['data']['id']}']")
    stroked.get_by_role("button", name="Undo").click()
    stroked.get_by_text("undone").wait_for(timeout=20_000)
    assert [one["data"]["id"] for one in recorded(run, "undo")] == [told["data"]["id"]]


def stop(part, run):
    part("stop").click()  # asks once
    part("coach-text").get_by_text("Press Stop again").wait_for()
    part("stop").click()
    part("state").get_by_text("Stopped").wait_for(timeout=60_000)
    saved = eventually(lambda: recorded(run, "checkpoint"), what="a checkpoint")
    assert (run / saved[-1]["data"]["path"] / "weights.safetensors").stat().st_size > 0
