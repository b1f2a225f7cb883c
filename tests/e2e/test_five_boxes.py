"""The whole loop on the decoy digits: five boxes by mouse, and the model learns the digits."""

import pytest

import coflect_widget as coflect
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

CELL = (
    "import coflect_widget as coflect\n"
    "session = coflect.demo(config={'xai_every': 1000})\n"
    "session.train(epochs=500)\n"
    "session"
)
SAMPLES = (0, 100, 200, 300, 400)
EPOCHS = 2  # trained before anybody draws
# The marker's colour in a chart's pixels: the columns in which it stands, as shares of the plot.
MARKED = """chart => {
  const canvas = chart.querySelector("canvas"), over = chart.querySelector(".u-over");
  const { width, height } = canvas;
  const shown = canvas.getBoundingClientRect(), plot = over.getBoundingClientRect();
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const tone = getComputedStyle(chart).getPropertyValue("--cw-mark").trim();
  const wanted = [1, 3, 5].map((i) => parseInt(tone.slice(i, i + 2), 16));
  const columns = new Map();
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] < 60 || wanted.some((one, c) => Math.abs(one - pixels[i + c]) > 12)) continue;
    const x = (i / 4) % width;
    columns.set(x, (columns.get(x) ?? 0) + 1);
  }
  const tall = [...columns].filter(([, count]) => count > 0.25 * height).map(([x]) => x + 0.5);
  return tall.map((x) => (x / width * shown.width + shown.left - plot.left) / plot.width);
}"""


@pytest.mark.slow
def test_five_boxes_by_mouse_teach_the_digits(tmp_path, server):
    write_notebook(tmp_path / "five.ipynb", [CELL])
    with chromium(1600, 1100) as page:
        server.open(page, tmp_path / "five.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        part = Parts(view)
        run = max((tmp_path / "runs").iterdir())
        eventually(lambda: len(undecoyed(run)) >= EPOCHS, 60, "two epochs")
        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=20_000)
        before = undecoyed(run)[-1]

        squares = coflect.data.decoy_digits("train").squares
        part("tool-ignore").click()
        for i, sample in enumerate(SAMPLES):
            part.look_at(sample)
            x0, y0, x1, y1 = map(float, squares[sample])
            drag(page, part("picture"), (x0, y0), (x1, y1))
            part("submit").click()
            eventually(lambda n=i + 1: part("ledger-item").count() == n, what="a ledger entry")
        told = recorded(run, "intervention")
        assert [e["data"]["sample"] for e in told] == list(SAMPLES)
        for event, sample in zip(told, SAMPLES, strict=True):
            (stroke,) = event["data"]["strokes"]
            assert stroke["kind"] == "ignore"
            assert stroke["roi"]["box"] == pytest.approx(squares[sample].tolist(), abs=0.02)

        part("pause").click()
        part("state").get_by_text("Training").wait_for(timeout=20_000)
        eventually(
            lambda: undecoyed(run)[-1] > max(0.7, before + 0.25), 90,
            f"an accuracy without the decoy well above {before:.3f}",
        )  # fmt: skip
        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=20_000)

        # the screen says what is recorded: the number, and a marker where the boxes were given
        last = undecoyed(run)[-1]
        print(f"accuracy without the decoy: {before:.3f}, then {last:.3f}")
        shown = part("metric-val-accuracy")
        eventually(lambda: float(shown.inner_text()) == pytest.approx(last, abs=6e-4))
        step = told[0]["step"]
        assert {e["step"] for e in told} == {step}
        assert part("key-entry").inner_text().endswith("5 interventions")
        assert f"at step {step};" in part("key-entry").get_attribute("title")
        curve = sorted(e["step"] for e in recorded(run, "metrics"))  # of both lines
        wanted = (step - curve[0]) / (curve[-1] - curve[0])
        chart = view.locator(".cw-chart").nth(1)
        place = eventually(lambda: chart.evaluate(MARKED), what="a marker in the chart")
        assert place == pytest.approx([wanted] * len(place), abs=0.015)

        # and it opens the ledger's entry
        over = chart.locator(".u-over").bounding_box()
        page.mouse.click(over["x"] + wanted * over["width"], over["y"] + over["height"] / 2)
        view.locator("[data-testid=cw-ledger-item][data-pointed]").wait_for(timeout=5_000)


def undecoyed(run):
    """Accuracy on the validation pictures, which have no square, after each epoch."""
    found = [e["data"]["values"] for e in recorded(run, "metrics") if e["split"] == "val"]
    return [values["accuracy"] for values in found if "accuracy" in values]
