"""A model of MLflow's registry is served by its name."""

import sys

import pytest
from fastapi.testclient import TestClient

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Service


@pytest.mark.sinks
def test_a_registered_model_answers_as_the_file_does(trained, exported, tmp_path, monkeypatch):
    import mlflow
    import onnx

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with mlflow.start_run():
        mlflow.onnx.log_model(
            onnx.load(exported), name="model", registered_model_name="people",
            extra_files=[str(trained.run / "pipeline" / "pipeline.json")], pip_requirements=[],
        )  # fmt: skip
    body = {"row": trained.row}
    service = Service("models:/people/1")
    assert service.why == ""
    told = TestClient(make_app(service)).post("/predict", json=body).json()
    other = TestClient(make_app(Service(exported))).post("/predict", json=body).json()
    assert told == {**other, "run": "models:/people/1"}
    assert "models:/people/7 cannot be had" in Service("models:/people/7").why
    with pytest.raises(ValueError, match="cannot be kept"):
        Service("models:/people/1", keep=5)


def test_without_mlflow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    service = Service("models:/people/1")
    assert service.model is None
    assert "pip install mlflow-skinny" in service.why
