"""A trained network answers requests: as the pipeline does, and whatever is sent."""

import base64
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.quickstart.columns import column_of
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.projects.quickstart.requested import FieldError
from coflect_widget.projects.quickstart.sheet import Sheet

GOOD = {"age": 40, "paid": 12.5, "plan": "basic", "joined": "2020-05-01"}


@pytest.fixture(scope="module")
def run(trained):
    return trained.run


@pytest.fixture(scope="module")
def client(run):
    return TestClient(make_app(Service(run)), raise_server_exceptions=False)


def test_it_says_what_the_pipeline_says(client, run):
    rows = [GOOD, {**GOOD, "age": 70}, {**GOOD, "age": None, "plan": None, "joined": None}]
    told = Pipeline.of(run).predict(rows)
    answer = client.post("/predict/batch", json={"rows": rows})
    assert answer.status_code == 200
    assert answer.json()["run"] == run.name
    for one, other in zip(answer.json()["predictions"], told, strict=True):
        assert one["class"] == other["class"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    single = client.post("/predict", json={"row": rows[1]}).json()["prediction"]
    assert single["probabilities"] == pytest.approx(told[1]["probabilities"], abs=1e-5)
    info = client.get("/model/info").json()
    assert (info["kind"], info["target"], info["classes"]) == ("table", "left", ["no", "yes"])
    assert set(info["columns"]) == set(GOOD)
    assert info["test"]["rows"] == 30
    assert client.get("/health").json() == {"status": "healthy"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"age": "forty"}, "age"), ({"age": True}, "age"), ({"age": [1]}, "age"),
        ({"age": 10**400}, "age"), ({"paid": 1e300}, "paid"), ({"plan": {}}, "plan"),
        ({"plan": "x" * 5000}, "plan"), ({"joined": "soon"}, "joined"), ({"joined": 3}, "joined"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_is_named(client, change, field):
    answer = client.post("/predict", json={"row": {**GOOD, **change}})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["body", "row", field]
    rows = [GOOD, {**GOOD, **change}]
    answer = client.post("/predict/batch", json={"rows": rows})
    assert answer.json()["detail"][0]["loc"] == ["body", "rows", "1", field]


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/predict", b"{", 422), ("/predict", b"", 422), ("/predict", b"[1, 2]", 422),
        ("/predict", b'{"row": {"age": NaN, "paid": Infinity}}', 422),
        ("/predict", b'{"row": 3, "other": NaN}', 422),
        ("/predict", b'{"row": {"age": 1}}', 422),
        ("/predict", b'{"row": {"plan": "\\ud800", "age": 1, "paid": 1, "joined": null}}', 200),
        ("/predict", b"[" * 100_000, 400),
        ("/predict", b"\xff\xfe\x00", 400),
        ("/predict/batch", b'{"rows": []}', 422),
        ("/predict/batch", json.dumps({"rows": [GOOD] * 101}).encode(), 422),
        ("/predict", b" " * (9 * 2**20), 413),
        ("/nothing", b"", 404),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_bodies_that_are_none(client, path, content, status):
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert client.get("/health").status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    row=st.dictionaries(st.sampled_from([*GOOD, "other"]), JSON) | JSON,
    whole=st.booleans(),
)
def test_whatever_is_sent_is_answered(client, row, whole):
    row = {**GOOD, **row} if whole and isinstance(row, dict) else row
    answer = client.post(
        "/predict",
        content=json.dumps({"row": row}).encode(),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (200, 400, 422), answer.text
    json.loads(answer.text, parse_constant=pytest.fail)


def test_a_body_without_a_length_is_counted(run):
    client = TestClient(make_app(Service(run), most_bytes=1000))
    whole = json.dumps({"row": GOOD}).encode()
    sent = {"content-type": "application/json"}
    parts = iter([whole[:20], whole[20:]])
    assert client.post("/predict", content=parts, headers=sent).status_code == 200
    endless = (b" " * 100 for _ in range(100))
    assert client.post("/predict", content=endless, headers=sent).status_code == 413
    # Also where a length is told, and chunks come all the same.
    endless, told = (b" " * 100 for _ in range(100)), {**sent, "content-length": "10"}
    assert client.post("/predict", content=endless, headers=told).status_code == 413


def test_without_a_model_it_says_why(tmp_path):
    client = TestClient(make_app(Service(tmp_path / "nothing")))
    for answer in (client.post("/predict", json={"row": {}}), client.get("/health"),
                   client.get("/model/info")):  # fmt: skip
        assert answer.status_code == 503
        assert answer.json()["status"] == "unhealthy"
        assert "no pipeline" in answer.json()["detail"]
    assert client.get("/metrics").status_code == 200


def test_without_a_key_no_path_is_told(tmp_path, capsys):
    client = TestClient(make_app(Service(tmp_path / "nothing"), key="k"))
    assert "no pipeline" in json.loads(capsys.readouterr().err)["why"]
    assert client.get("/health").json() == {"status": "unhealthy", "detail": "no model"}
    told = client.get("/model/info", headers={"X-API-Key": "k"})
    assert "no pipeline" in told.json()["detail"]


def test_what_nobody_thought_of_is_answered_and_logged(run, capsys):
    service = Service(run)
    service.model = replace(service.model, goal=None)  # a fault within
    client = TestClient(make_app(service))
    answer = client.post("/predict", json={"row": GOOD})
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    line = json.loads(capsys.readouterr().err)
    assert (line["error"], line["status"]) == ("AttributeError", 500)
    assert line["id"] == answer.headers["X-Request-ID"]
    assert client.get("/health").status_code == 200


def test_a_name_that_leads_here_is_not_enough(run):
    hosts = ("localhost", "127.0.0.1", "[::1]")
    client = TestClient(make_app(Service(run), hosts=hosts))
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST", "[::1]"):
        assert client.get("/health", headers={"Host": host}).status_code == 200, host
    for host in ("rebound.example:8000", "www.localhost", "localhost.example", ""):
        answer = client.get("/model/info", headers={"Host": host})
        assert answer.status_code == 400, host
        assert "X-Request-ID" in answer.headers


def test_a_key_metrics_and_the_log(run, capsys):
    client = TestClient(make_app(Service(run), key="sésame"))
    assert client.post("/predict", json={"row": GOOD}).status_code == 401
    assert client.get("/health").status_code == 200
    key = {"X-API-Key": "sésame".encode()}
    answer = client.post("/predict", json={"row": GOOD}, headers=key)
    assert answer.status_code == 200
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["status"] for line in lines] == [401, 200, 200]
    assert lines[-1]["id"] == answer.headers["X-Request-ID"]
    told = client.get("/metrics", headers=key).text
    assert 'coflect_requests_total{path="/predict",status="401"} 1.0' in told
    assert "coflect_rows_total 1.0" in told


# --- what each kind of data takes of a request ----------------------------------------------------


def fitted(kind, cells):
    sheet = Sheet("rows", cells)
    inputs = KINDS[kind]()
    inputs.fit(sheet, [column_of(name, values) for name, values in cells.items()])
    return inputs, inputs.transform(sheet)


def test_texts_series_and_pictures():
    rng = np.random.default_rng(0)
    texts = np.array([f"we saw a lovely film number {k}" for k in range(30)], object)
    inputs, x = fitted("text", {"review": texts})
    assert np.array_equal(inputs.transform(inputs.requested({"review": texts[3]})), x[3:4])
    curves = rng.normal(size=(20, 2, 40))
    inputs, x = fitted("series", {"series": curves})
    asked = inputs.requested({"series": curves[5].tolist()})
    assert np.allclose(inputs.transform(asked), x[5:6])
    pixels = rng.integers(0, 256, (20, 28, 28, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[7]).save(file, "PNG")
    for given_ in (pixels, pixels / 255):
        inputs, x = fitted("image", {"picture": given_})
        sent = base64.b64encode(file.getvalue()).decode()
        assert np.allclose(inputs.transform(inputs.requested({"picture": sent})), x[7:8], atol=1e-6)
        for wrong in (3, "no base64!", "AAAA", "../../etc/passwd"):
            with pytest.raises(FieldError) as caught:
                inputs.requested({"picture": wrong})
            assert caught.value.place == ("picture",)
    for kind, name, wrong in (("text", "review", 3), ("series", "series", [1, 2]),
                              ("series", "series", [[1], [1, 2]])):  # fmt: skip
        inputs, _ = fitted(kind, {name: texts if kind == "text" else curves})
        with pytest.raises(FieldError):
            inputs.requested({name: wrong})
        with pytest.raises(FieldError, match="missing"):
            inputs.requested({})


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    trap, sprung = tmp_path / "gs", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for again, and later
    file = io.BytesIO()
    Image.new("RGB", (28, 28)).save(file, "EPS")
    cells = np.array([f"{k}.png" for k in range(20)], object)
    for name in cells:
        (tmp_path / name).write_bytes(file.getvalue())
    sheet = Sheet("rows", {"file": cells}, folder=tmp_path)
    found, _ = KINDS["image"].unusable(sheet, [column_of("file", cells)])
    assert found == list(range(20))
    inputs, _ = fitted("image", {"picture": np.zeros((20, 28, 28), np.uint8)})
    with pytest.raises(FieldError, match="no picture that can be read"):
        inputs.requested({"picture": base64.b64encode(file.getvalue()).decode()})
    assert not sprung.exists()
