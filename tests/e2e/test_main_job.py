"""The main job, as a person does it: real JupyterLab, real kernel, real Chromium, real training."""

import time

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

SESSIONS = {
    "torch": "session = coflect.demo(config={'xai_every': 20})\n",
    "keras": "from tests.keras.keras_models import compiled, sequential\n"
    "data = coflect.data.decoy_digits('train')\n"
    "session = coflect.Session(compiled(sequential(outputs=10)), data, classes=data.classes,\n"
    "                          config={'xai_every': 20})\n",
}
CELLS = [
    "import time\ntime.sleep(8)\nprint('the busy cell is done')",
    "panel = session.sidebar()",
    "session.close()\nprint('closed')",
]


@pytest.mark.parametrize("made", ["torch", pytest.param("keras", marks=pytest.mark.slow)])
def test_train_look_pause_draw_tell_resume_and_read_it_all_back(tmp_path, server, made):
    root, notebook = tmp_path, tmp_path / "main_job.ipynb"
    first = f"import coflect_widget as coflect\n{SESSIONS[made]}session.train(epochs=500)\nsession"
    write_notebook(notebook, [first, *CELLS])
    with chromium() as page:
        server.open(page, notebook)
        started = time.monotonic()
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        print(f"dashboard after {time.monotonic() - started:.1f} s")
        run = max((root / "runs").iterdir())

        part = Parts(view)
        part("state").get_by_text("Training").wait_for(timeout=60_000)
        moving = part.step()
        eventually(lambda: part.step() > moving + 5, what="a moving step counter")
        loss = part("metric-train-loss").inner_text()
        eventually(lambda: part("metric-train-loss").inner_text() != loss, what="a moving loss")

        # an overlay comes by itself, and the queue can be clicked
        view.locator("[data-sample]").first.wait_for(timeout=60_000)
        part("queue-item").first.wait_for(timeout=60_000)
        part("queue-item").nth(2).click()
        eventually(
            lambda: any(e["data"]["purpose"] == "person" for e in recorded(run, "overlay")),
            what="the overlay of the clicked candidate",
        )
        sample = next(e for e in recorded(run, "overlay") if e["data"]["purpose"] == "person")
        index = sample["data"]["index"]
        view.locator(f"[data-sample='{index}']").first.wait_for(timeout=30_000)

        # pause while another cell is running: held within a second
        busy = run_cell(page, 1)
        page.wait_for_selector(
            ".jp-Notebook-ExecutionIndicator[data-status=busy]", state="attached"
        )
        clicked = time.time()
        part("pause").click()
        held = eventually(
            lambda: [e for e in recorded(run, "state") if e["data"]["state"] == "paused"], 8
        )
        assert seconds(held[0]) - clicked < 1.0
        done = busy.locator(".jp-OutputArea").get_by_text("the busy cell is done")
        assert done.count() == 0, "the cell was over already"
        part("state").get_by_text("Paused").wait_for()
        step = part.step()

        # draw, tell, submit
        part("tool-ignore").click()
        box = drag(page, part("picture"), (0.05, 0.10), (0.35, 0.45))
        part("strength").fill("0.6")
        part("instruction").fill("increase focus by 10%")
        part("submit").click()
        part("echo").get_by_text("Applied at step").wait_for(timeout=15_000)
        echo = part("echo").inner_text()
        assert "increase focus by 10" in echo
        told = recorded(run, "intervention")
        assert len(told) == 1
        assert told[0]["step"] == step
        stroke = told[0]["data"]["strokes"][0]
        assert (stroke["kind"], stroke["sample"]) == ("ignore", index)
        assert stroke["roi"]["box"] == pytest.approx(box, abs=0.03)
        assert told[0]["data"]["instruction"] == "increase focus by 10%"
        part("ledger-item").first.wait_for()

        # resume: the loss has a new term
        part("pause").click()
        part("state").get_by_text("Training").wait_for()
        eventually(lambda: part.step() > step, what="training going on")
        eventually(
            lambda: any("guidance_loss" in e["data"]["values"] for e in recorded(run, "metrics")),
            what="the guidance in the loss",
        )
        commands = [e["data"]["command"] for e in recorded(run, "command")]
        assert commands == ["pause", "resume"]

        sidebar(page, run)
        stop_and_close(page, part, run)


def sidebar(page, run):
    """The same, in JupyterLab's side panel."""
    page.locator(".jp-OutputArea").get_by_text("the busy cell is done").wait_for(timeout=20_000)
    run_cell(page, 2)
    view = page.locator("#jp-right-stack [data-testid=cw-root]")
    view.wait_for(timeout=30_000)
    side = Parts(view)
    before = side.step()
    eventually(lambda: side.step() > before, what="a moving step in the side panel")
    side("pause").click()
    side("state").get_by_text("Paused").wait_for()
    cell = Parts(page.locator(".jp-Notebook [data-testid=cw-root]").first)
    cell("state").get_by_text("Paused").wait_for()
    side("tool-look").click()
    box = drag(page, side("picture"), (0.30, 0.30), (0.80, 0.70))
    side("instruction").fill("decrease focus by 5%")
    side("submit").click()
    side("echo").get_by_text("decrease focus by 5").wait_for(timeout=15_000)
    assert len(recorded(run, "intervention")) == 2
    stroke = recorded(run, "intervention")[-1]["data"]["strokes"][0]
    assert stroke["kind"] == "look"
    assert recorded(run, "intervention")[-1]["data"]["instruction"] == "decrease focus by 5%"
    assert stroke["roi"]["box"] == pytest.approx(box, abs=0.03)
    assert cell("ledger-item").count() == 2, "the two views disagree"
    side("pause").click()
    cell("state").get_by_text("Training").wait_for()


def stop_and_close(page, part, run):
    """Stop writes a checkpoint; closing leaves the dashboard readable."""
    part("stop").click()  # asks once
    part("coach-text").get_by_text("Press Stop again").wait_for()
    assert part("state").inner_text() == "Training"
    part("stop").click()
    part("state").get_by_text("Stopped").wait_for(timeout=20_000)
    saved = eventually(lambda: recorded(run, "checkpoint"))
    assert (run / saved[-1]["data"]["path"] / "weights.safetensors").stat().st_size > 0
    run_cell(page, 3)
    page.locator(".jp-OutputArea").get_by_text("closed", exact=True).wait_for(timeout=30_000)
    seqs = [e["seq"] for e in recorded(run)]
    assert seqs == list(range(len(seqs)))


def seconds(event):
    from datetime import datetime

    return datetime.fromisoformat(event["ts"]).timestamp()
