"""Another run of the folder, faintly behind the charts: as it went on, and none from elsewhere."""

import numpy as np

from coflect_widget.records.pictures import Gallery
from coflect_widget.ui.behind import lines_of, others
from coflect_widget.ui.publisher import figures, snapshot
from coflect_widget.ui.view import View
from tests.records.test_runs_table import locked
from tests.ui.test_flow import happened


def test_another_run_of_the_folder_is_drawn_behind_and_none_from_elsewhere(tmp_path):
    for name, losses in (("run_001", (0.9, 0.5)), ("run_002", (0.8,))):
        (tmp_path / name).mkdir()
        metrics = [
            happened("metrics", 10 * k, 1, values={"loss": loss, "learning_rate": 0.1})
            for k, loss in enumerate(losses, 1)
        ]
        lines = [e.model_copy(update={"seq": k}).model_dump_json() for k, e in enumerate(metrics)]
        (tmp_path / name / "events.jsonl").write_text("\n".join(lines) + "\n")
    view = View(Gallery(tmp_path / "run_002"), "live", "run_002")
    view.apply(happened("run_started", 0, 0))
    update, _ = view.update(full=True)
    assert update["status"]["others"] == ["run_001"]
    assert "behind" not in update
    view.compare("run_001")
    update, buffers = view.update(full=False)
    (line,) = update["behind"]["metrics"]
    assert (update["behind"]["run"], line["name"]) == ("run_001", "train/loss")
    points = np.frombuffer(buffers[line["points_buffer"]]).reshape(-1, 2)
    assert points.tolist() == [[10, 0.9], [20, 0.5]]
    kept = snapshot(view)["update"]
    assert kept["status"]["others"] == ["run_001"], "what is drawn has its name in a saved notebook"
    for name in ("../run_001", "/etc", "run_002", ""):
        view.compare(name)
        assert view.update(full=False)[0]["behind"] == {"run": "", "metrics": []}
    assert snapshot(view)["update"]["status"]["others"] == [], "and no other run has"
    assert figures(view)["update"]["status"]["others"] == []
    assert view.update(full=True)[0]["status"]["others"] == ["run_001"]


def test_the_run_behind_is_drawn_as_it_went_on(tmp_path):
    for name in ("run_001", "run_002"):
        (tmp_path / name).mkdir()
    course = [
        happened("metrics", 10, 0, "train", values={"loss": 0.9}),
        happened("metrics", 20, 0, "train", values={"loss": 0.1}),
        happened("resumed", 10, 0, validated=10),
        happened("metrics", 20, 0, "train", values={"loss": 0.5}),
    ]
    lines = [e.model_copy(update={"seq": k}).model_dump_json() for k, e in enumerate(course)]
    (tmp_path / "run_001" / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert lines_of(tmp_path / "run_001")["train/loss"].tolist() == [[10, 0.9], [20, 0.5]]


def test_a_folder_that_nobody_may_read_does_not_keep_the_dashboard_from_opening(
    tmp_path, monkeypatch
):
    for name in ("run_001", "run_002", "run_003"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").touch()
    locked(monkeypatch, tmp_path / "run_002")
    view = View(Gallery(tmp_path / "run_003"), "live", "run_003")
    view.apply(happened("run_started", 0, 0))
    assert view.update(full=True)[0]["status"]["others"] == ["run_001"]
    locked(monkeypatch, tmp_path)
    assert others(tmp_path / "run_003") == []
