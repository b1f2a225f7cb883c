"""Regression: an error above a quantile takes the place of "wrong"; all else stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import coflect_widget as coflect
from coflect_widget.ui.view import replay

SAMPLES, SPOILT = 192, 24


def places(n: int = SAMPLES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a bright square, and how far right its middle is; the first ones are spoilt."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (n, 1, 16, 16)).astype(np.float32)
    left, top = rng.integers(0, 13, (2, n))
    for picture, a, b in zip(x, left, top, strict=True):
        picture[0, b : b + 4, a : a + 4] += 1
    y = (left / 12).astype(np.float32)
    if seed == 0:
        y[:SPOILT] = (y[:SPOILT] + 0.5) % 1
    return x, y


def network(outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(512, outputs),
    )  # fmt: skip


class Pictures(Dataset):
    """The same, one by one, its targets plain numbers."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        return torch.from_numpy(self.x[index]), float(self.y[index])


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., coflect.Session]]:
    made: list[coflect.Session] = []

    def build(train: Any = None, val: Any = None, model: Any = None, **more: Any) -> Any:
        forecast = {"horizon_epochs": 2, "error_quantile": 1 - SPOILT / SAMPLES}
        arguments = {
            "loss": nn.MSELoss(),
            "optimizer": lambda p: torch.optim.Adam(p, 0.002),
            "batch_size": 16,
            "run_dir": tmp_path,
            "config": {"forecast": forecast, "forecast_every": 4, "log_every": 4},
        }
        made.append(
            coflect.Session(
                model or network(), places() if train is None else train, val, **arguments | more
            )
        )
        return made[-1]

    yield build
    for session in made:
        session.close()


def trained(session: coflect.Session, epochs: int = 12) -> coflect.Session:
    session.train(epochs=epochs)
    assert session.wait(240)
    return session


def spoilt_in_queue(session: coflect.Session) -> int:
    assert len(session.candidates) == 10
    return sum(candidate.index < SPOILT for candidate in session.candidates)


def test_the_queue_names_those_whose_errors_stay_large(make):
    session = trained(make(val=places(64, seed=1)))
    assert spoilt_in_queue(session) >= 9
    assert {(c.target, c.predicted) for c in session.candidates} <= {(-1, 0), (-1, 1)}
    assert all(0 <= c.risk <= 1 and c.reason for c in session.candidates)
    assert not any("confiden" in c.reason for c in session.candidates)
    assert np.mean([c.risk for c in session.candidates]) > 2 * SPOILT / SAMPLES
    scores = session._parts.scoring.scores
    assert sum(s.hits for s in scores[-4:]) > 2 * sum(s.chance for s in scores[-4:])
    assert {"loss", "val_loss", "val_r2"} <= session.metrics.keys()
    assert 0.5 < session.metrics["val_r2"] <= 1
    assert not {"accuracy", "val_accuracy"} & session.metrics.keys()
    assert session.suspects == []
    x, y = places(64, seed=1)
    with torch.no_grad():
        error = (session._parts.backend.model(torch.from_numpy(x))[:, 0].numpy() - y) ** 2
    assert session.metrics["val_r2"] == pytest.approx(1 - error.mean() / y.var(), abs=1e-4)


def test_rows_say_target_prediction_and_error(make):
    x, y = places()
    session = trained(make(), 3)
    rows = session.candidates
    assert rows
    for row in rows:
        assert row.target_value == pytest.approx(float(y[row.index]))
        assert row.error == pytest.approx(abs(row.predicted_value - row.target_value), rel=1e-3)
    assert "target_value=" in repr(rows[0])
    assert "error=" in repr(rows[0])
    # nothing trains any more: the model gives nearly what it gave when it last saw them
    with torch.no_grad():
        now = session._parts.backend.model(torch.from_numpy(x))[:, 0].numpy()
    off = [abs(row.predicted_value - float(now[row.index])) for row in rows]
    assert np.median(off) < 0.15
    # the same on the screen, in a replay and in a saved page
    session._parts.stream.flush()
    for view in (replay(session.run), replay(coflect.open_run(session.run.path))):
        items = view.everything()[0]["queue"]["items"]
        shown = [(i["target_value"], i["predicted_value"], i["error"]) for i in items]
        first = shown[: len(rows)]  # the riskiest of both lists
        assert first == [(r.target_value, r.predicted_value, r.error) for r in rows]


def test_rows_of_several_values_say_the_error_alone(make):
    x, y = places()
    session = trained(make((x, np.stack([y, 1 - y], 1)), model=network(2)), 3)
    for row in session.candidates:
        assert row.target_value is None
        assert row.predicted_value is None
        assert 0 < row.error < 5


def test_runs_of_before_have_rows_without_values(make, tmp_path):
    session = trained(make(), 3)
    session._parts.stream.flush()
    lines = (session.run.path / "events.jsonl").read_text().splitlines()
    forecasts = [json.loads(line) for line in lines if '"type":"forecast"' in line]
    assert forecasts
    for event in forecasts:
        for name in ("target_value", "predicted_value", "error"):
            del event["data"][name]
        read = coflect.events.read_event(json.dumps(event).encode())
        assert read.data.error == []
    with pytest.raises(ValueError, match="lists of different lengths"):
        coflect.events.Forecast(
            index=[1, 2], risk=[0.1, 0.1], target=[-1, -1], predicted=[0, 0], reason=["", ""],
            horizon=1, error=[0.5],
        )  # fmt: skip


def test_the_gates_speak_of_r_squared(make):
    gates = {g.name: g for g in trained(make(val=places(64, seed=1)))._parts.window.status().gates}
    assert gates["R²"].passed
    assert gates["R²"].value == pytest.approx(1 - gates["error"].value)
    assert all("Accuracy" not in gate.sentence for gate in gates.values())
    without = trained(make(), 2)._parts.window.status()
    assert "validation data" in without.gates[1].sentence
    assert not without.open


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_of_plain_numbers_is_the_same_training(make, workers):
    config = {"seed": 3, "loader_workers": workers}
    arrays = trained(make(config=config), 2)
    pictures = trained(make(Pictures(*places()), config=config), 2)
    a, b = (s._parts.backend.model.state_dict() for s in (arrays, pictures))
    assert all(torch.equal(a[name], b[name]) for name in a)
    known = [s._parts.forecaster.store for s in (arrays, pictures)]
    assert np.array_equal(known[0].margin_mean, known[1].margin_mean)


def test_several_values_and_maps_of_one(make):
    x, y = places()
    session = trained(make((x, np.stack([y, 1 - y], 1)), model=network(2)), 12)
    assert spoilt_in_queue(session) >= 9
    first = session.explain(SAMPLES - 1)
    asked = session._parts.scheduler.request(SAMPLES - 1, "person", target=1)
    second = asked.result(60)
    assert first.map.shape == (16, 16)
    assert first.map.max() > 0
    assert not np.array_equal(first.map, second.map)
    assert first.top_probs == ()
    assert first.quality is None
    assert "prob" not in repr(first)


def test_a_loop_of_ones_own(make):
    session = make()
    session.feedback(3, ignore=(0.8, 0.8, 1, 1))
    parts = session._parts
    x, y = (torch.from_numpy(a) for a in places())
    model, optimizer = parts.backend.model, parts.backend.optimizer
    loader = DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16, shuffle=True)
    for batch, target in session.loop(loader, epochs=12):
        optimizer.zero_grad()
        outputs = model(batch)
        loss = nn.functional.mse_loss(outputs, target[:, None])
        (loss + session.guidance_loss(batch, target, loss)).backward()
        optimizer.step()
        session.observe(None, outputs, target)
    assert session.state == "finished"
    assert parts.forecaster.drain(30)
    assert spoilt_in_queue(session) >= 9
    assert session.metrics["loss"] < 0.2
    assert session.metrics["guidance_loss"] > 0
    assert not session.events("lapsed")


def test_the_memory_of_a_run_is_taken_up_again(make):
    first = trained(make(), 4)
    assert first._parts.forecaster.drain(30)
    second = make()
    second.restore_forecast(first.run.checkpoints.last.path)
    kept, taken = (s._parts.forecaster.store.margin_mean for s in (first, second))
    assert np.array_equal(kept, taken)


def test_what_only_a_classifier_has_is_refused_with_the_reason(make):
    session = make()
    with pytest.raises(ValueError, match="have no one class"):
        session.feedback(sample=0, ignore=(0, 0, 0.5, 0.5), scope="class")
    with pytest.raises(ValueError, match="where each has one class, and this is a regression"):
        session.judge(0, "right")
    trained(session, 1)


@pytest.mark.parametrize("outputs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_ignored_tells_no_value_any_more(make, outputs):
    x, y = places(SAMPLES, seed=1)
    y = 4 * y - 3  # of both signs
    told = x.copy()
    told[:, 0, 13:, 13:] = y[:, None, None]  # a corner says the value
    targets = np.stack([y, -y], 1)[:, :outputs]
    session = trained(make((told, targets), model=network(outputs)), 6)
    [began] = session.events("run_started")
    assert began.data["guidance"] is True

    def error() -> float:
        with torch.no_grad():
            said = session._parts.backend.model(torch.from_numpy(x)).numpy()
        return float(((said - targets) ** 2).mean())

    before = error()
    assert "fill" in session.feedback(3, ignore=(0.8, 0.8, 1, 1)).record.loss
    session.feedback(5, look=(0, 0, 0.75, 0.75))
    trained(session, 8)
    assert session.metrics["guidance_loss"] > 0
    assert not session.events("lapsed")
    assert error() < 0.5 * before


def test_what_cannot_be_regressed_on_is_said_at_once(make):
    x, y = places()
    for train in ((x, y), Pictures(x, y)):
        with pytest.raises(ValueError, match="for regression, pass loss="):
            make(train, loss=None)
        with pytest.raises(ValueError, match="is for classes"):
            make(train, loss=nn.BCEWithLogitsLoss())
        with pytest.raises(ValueError, match="classes= is for classes"):
            make(train, classes=["left", "right"])
    with pytest.raises(ValueError, match="class_weight= is for classes"):
        make(class_weight={0: 2.0})
    with pytest.raises(ValueError, match="2 outputs but train_data has targets of 1 values"):
        make(model=network(2))
    with pytest.raises(ValueError, match="both the same kind of targets"):
        make(val=(x, np.zeros(SAMPLES, np.int64)))
    mixed = [0.5] + [1] * (SAMPLES - 1)
    for targets in (mixed, mixed[::-1]):
        with pytest.raises(ValueError, match="all of them as class numbers, or all as"):
            make([(torch.from_numpy(a), b) for a, b in zip(x, targets, strict=True)])
    with pytest.raises(ValueError, match="equally many"):
        make([(torch.from_numpy(a), np.ones(1 + (k > 0))) for k, a in enumerate(x)])
    broken = y.copy()
    broken[5] = np.nan
    with pytest.raises(ValueError, match="index 5 that is NaN"):
        make((x, broken))
