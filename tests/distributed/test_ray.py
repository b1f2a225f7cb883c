"""Two workers of Ray Train are steered as one training; `make sinks` has Ray in its environment."""

import pytest

import coflect_widget as coflect
from tests.conftest import eventually
from tests.distributed.test_torchrun import HERE, ROI, only_run, served, started

pytestmark = [pytest.mark.slow, pytest.mark.sinks]

EXAMPLE = HERE / "examples" / "hitl" / "run_ray.py"


def test_the_example_is_paused_given_a_stroke_and_stopped(tmp_path):
    options = ("--epochs", "100000", "--run-dir", str(tmp_path / "runs"))
    with started(tmp_path, *options, launcher=(), script=EXAMPLE) as process:
        run = served(tmp_path, process)
        with coflect.connect(run, by="ada") as session:
            eventually(lambda: session.metrics["step"] > 3, 240)
            session.pause()
            held = session.metrics["step"]
            stroke = session.feedback(sample=3, ignore=ROI)
            assert stroke.step == held
            session.step(2)
            assert session.metrics["step"] == held + 2
            session.resume()
            eventually(lambda: session.metrics["step"] > held + 4, 240)
            session.stop()
        assert process.wait(240) == 0, (tmp_path / "said").read_text()
    found = only_run(tmp_path)  # one folder for both
    assert [event.data.state for event in found.events("state")][-1] == "stopped"
    assert "accuracy without the squares:" in (tmp_path / "said").read_text()
    (said,) = [one for one in found.events("notice") if "2 processes train" in one.data.text]
    assert said.data.level == "info"
    assert [event.step for event in found.events("intervention")] == [held]
