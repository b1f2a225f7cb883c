"""A model that cheats, five boxes with the mouse, and the curve that rises where they stand."""

import pytest

import coflect_widget as coflect
from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    jupyterlab,
    open_notebook,
    recorded,
    run_cell,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CELL = (
    "import coflect_widget as coflect\nsession = coflect.demo()\nsession.train(epochs=15)\nsession"
)
SAMPLES = (0, 100, 200, 300, 400)


def test_five_boxes_and_the_accuracy_without_the_decoy_rises(tmp_path):
    write_notebook(tmp_path / "digits.ipynb", [CELL])
    squares = coflect.data.decoy_digits("train").squares
    with jupyterlab(tmp_path) as (address, token), chromium() as page:
        open_notebook(page, address, token, "digits.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        part = Parts(view)
        eventually(lambda: part.step() >= 84, 240, what="four epochs")
        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=20_000)
        run = next((tmp_path / "runs").iterdir())
        for sample in SAMPLES:
            part("explain-index").fill(str(sample))
            part("explain-index").press("Enter")
            view.locator(f"[data-sample='{sample}']").first.wait_for(timeout=60_000)
            part("tool-ignore").click()
            x0, y0, x1, y1 = squares[sample]
            drag(page, part("picture"), (x0, y0), (x1, y1))
            part("submit").click()
            part("echo").get_by_text(f"sample {sample}").wait_for(timeout=15_000)
            assert recorded(run, "intervention")[-1]["data"]["sample"] == sample
        part("pause").click()
        part("state").get_by_text("Finished").wait_for(timeout=300_000)

        told = [e["step"] for e in recorded(run, "intervention")]
        assert len(told) == len(SAMPLES)
        part("key-entry").get_by_text(f"5 interventions, last at {told[-1]}").wait_for()
        curve = read(page, view, "val-accuracy")
        before = [accuracy for step, accuracy in curve if step <= told[0]]
        after = [accuracy for step, accuracy in curve if step > told[-1]]
        assert max(before) < 0.6, curve
        assert max(after[-3:]) > max(before) + 0.25, curve


def read(page, view, metric):
    """The curve as the chart says it under the pointer: (step, value) from left to right."""
    chart = view.locator(".cw-chart", has_text="Accuracy").first
    over = chart.locator(".u-over")
    over.scroll_into_view_if_needed()
    place = over.bounding_box()
    found = {}
    for i in range(1, 80):
        page.mouse.move(place["x"] + place["width"] * i / 80, place["y"] + place["height"] / 2)
        at = chart.locator(".cw-legend-at").inner_text()
        value = chart.locator(f"[data-testid=cw-metric-{metric}]").inner_text()
        if "step " in at and value[:1].isdigit():
            found[int(at.rsplit("step ", 1)[1])] = float(value)
    return sorted(found.items())
