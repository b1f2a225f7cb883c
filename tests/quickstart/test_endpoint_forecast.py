"""Of a timeline the next values are told, each with its time."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.endpoint.sources import Served
from coflect_widget.projects.quickstart.goals.forecast import Forecast
from coflect_widget.projects.quickstart.inputs.timeline import Timeline
from coflect_widget.projects.quickstart.moments import following
from coflect_widget.projects.quickstart.networks.made import answering, make

DAYS = [f"2024-01-{day:02}" for day in range(16, 32)]


@pytest.fixture(scope="module")
def client():
    inputs = Timeline.from_state({
        "columns": ["window"], "shape": [1, 16], "mean": [10.0], "std": [2.0], "time": "day",
        "channels": ["sold"], "ahead": 3,
    })  # fmt: skip
    goal = Forecast.from_state({"outputs": 3, "mean": 10.0, "std": 2.0})
    network = make({"net": "forecast", "channels": 1, "length": 16, "outputs": 3})
    service = Service("nowhere")
    service.model = Served("sales", "torch", inputs, goal, "sold", answering(network))
    return TestClient(make_app(service))


def asked(client, **body):
    row = {"day": DAYS, "sold": [float(k) for k in range(16)], **body.pop("row", {})}
    return client.post("/forecast", json={"row": row, **body})


def test_values_and_times_ahead(client):
    told = asked(client)
    assert told.status_code == 200, told.text
    found = told.json()["forecast"]
    assert found["target"] == "sold"
    assert found["times"] == [f"2024-02-0{day}T00:00:00" for day in (1, 2, 3)]
    row = {"day": DAYS, "sold": [float(k) for k in range(16)]}
    said = client.post("/predict", json={"row": row}).json()["prediction"]["value"]
    assert found["values"] == pytest.approx(said, abs=1e-5)
    assert asked(client, steps=2).json()["forecast"]["times"] == found["times"][:2]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"steps": 4}, ["body", "steps"]), ({"steps": 0}, ["body", "steps"]),
        ({"row": {"day": ["2024-01-01"] * 16}}, ["body", "row", "day"]),
        ({"row": {"day": [None] * 16}}, ["body", "row", "day"]),
        ({"row": {"sold": [1.0]}}, ["body", "row", "sold"]),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_named(client, body, place):
    told = asked(client, **body)
    assert told.status_code == 422
    assert told.json()["detail"][0]["loc"] == place


@pytest.mark.parametrize(
    ("moments", "next_two"),
    [
        (["2024-01-01", "2024-02-01", "2024-03-01"], ["2024-04-01", "2024-05-01"]),
        (["2022-01-01", "2023-01-01", "2024-01-01"], ["2025-01-01", "2026-01-01"]),
        (["2023-04-01T06", "2023-07-01T06", "2023-10-01T06"], ["2024-01-01T06", "2024-04-01T06"]),
        (["2023-11-30", "2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31"]),
        (["2023-06-30T12", "2023-09-30T12"], ["2023-12-31T12", "2024-03-31T12"]),
        (["2024-01-30", "2024-01-31", "2024-02-01"], ["2024-02-02", "2024-02-03"]),
        (["2024-01-01T00", "2024-01-01T01", "2024-01-01T02"], ["2024-01-01T03", "2024-01-01T04"]),
        (["2024-01-03", "NaT", "2024-01-01", "2024-01-02"], ["2024-01-04", "2024-01-05"]),
    ],
)  # fmt: skip
def test_a_clock_goes_on(moments, next_two):
    found = following(np.array(moments, "datetime64[s]"), 2)
    assert (found == np.array(next_two, "datetime64[s]")).all()
