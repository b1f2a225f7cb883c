"""A run and the file that was exported from it answer alike; what cannot be served is said."""

import json
import shutil

import numpy as np
import pytest
from fastapi.testclient import TestClient

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.quickstart import pipeline
from coflect_widget.records.checkpoint_files import find_checkpoints, read_checkpoint


def answer(service, path="/predict", **body):
    return TestClient(make_app(service)).post(path, json=body)


def test_a_file_answers_as_its_run_does(trained, exported, tmp_path):
    by_run, by_file = Service(trained.run), Service(exported)
    rows = [trained.row, {**trained.row, "age": 90.0}, {**trained.row, "plan": None}]
    one, other = (answer(s, "/predict/batch", rows=rows).json() for s in (by_run, by_file))
    for a, b in zip(one["predictions"], other["predictions"], strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)
    info = by_file.info()
    assert (info["form"], info["run"], info["test"]["rows"]) == ("onnx", trained.run.name, 30)
    # Elsewhere it needs the pipeline beside it.
    shutil.copy(exported, tmp_path / "people.onnx")
    assert "no pipeline.json beside it" in Service(tmp_path / "people.onnx").why
    shutil.copy(trained.run / "pipeline" / "pipeline.json", tmp_path)
    away = Service(tmp_path / "people.onnx")
    assert answer(away, row=trained.row).json()["prediction"] == other["predictions"][0]
    told = answer(away, "/explain", row=trained.row)
    assert (told.status_code, "gradients" in told.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("content", "why"), [(b"no model", "cannot be run"), (None, "is no file")]
)  # fmt: skip
def test_a_file_that_is_none_is_said(trained, tmp_path, content, why):
    shutil.copy(trained.run / "pipeline" / "pipeline.json", tmp_path)
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    service = Service(tmp_path / "model.onnx")
    assert why in service.why
    assert answer(service, row={}).status_code == 503


def test_a_pipeline_of_another_model_is_refused(trained, exported, tmp_path):
    state = json.loads((trained.run / "pipeline" / "pipeline.json").read_text())
    state["goal"]["classes"] += ["maybe"]
    state["network"]["outputs"] = 3
    (tmp_path / "pipeline.json").write_text(json.dumps(state))
    shutil.copy(exported, tmp_path)
    assert "3 outputs" in Service(tmp_path / exported.name).why


def test_a_map_is_the_one_of_the_session(trained, monkeypatch):
    last = read_checkpoint(find_checkpoints(trained.run).last).weights
    monkeypatch.setattr(
        pipeline, "best_weights", lambda run: {name: np.array(w) for name, w in last.items()}
    )
    service = Service(trained.run)
    # The run trains on, and has other weights by the time a map is asked for.
    monkeypatch.undo()
    with TestClient(make_app(service)) as client:
        told = client.post("/explain", json={"row": trained.row})
        assert told.status_code == 200, told.text
        found = told.json()["explanation"]
        assert found["map"] == pytest.approx(trained.map.tolist(), abs=2e-4)
        units = [unit for line in found["content"]["rows"] for unit in line["units"]]
        assert sorted(units) == list(range(len(found["map"])))
        assert max(found["map"]) == 1
        assert found["of"] in ("yes", "no")
        other = {"yes": "no", "no": "yes"}[found["of"]]
        asked = client.post("/explain", json={"row": trained.row, "target": other}).json()
        assert asked["explanation"]["of"] == other
        for target in ("maybe", 7, [1]):
            wrong = client.post("/explain", json={"row": trained.row, "target": target})
            assert wrong.status_code == 422
            assert wrong.json()["detail"][0]["loc"][:2] == ["body", "target"]
        wrong = client.post("/explain", json={"row": {**trained.row, "age": "old"}})
        assert wrong.json()["detail"][0]["loc"] == ["body", "row", "age"]
        # Nothing ahead is told of rows that have no clock.
        assert client.post("/forecast", json={"row": trained.row}).status_code == 404
