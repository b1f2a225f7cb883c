"""Forecasts in a session: verdicts reach training, scores are evaluated, the memory lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import coflect_widget as coflect
from coflect_widget.forecast.memory import VERSION, check, keep_store
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import SampleStore
from tests.conftest import eventually

FLIPPED = 12


def data(n: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that a linear model tells apart, a few labels of them wrong."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    x = rng.normal(0, 0.3, (n, 1, 8, 8)).astype(np.float32)
    x[y == 1, :, :4] += 1
    y[:FLIPPED] = 1 - y[:FLIPPED]
    return x, y


def small_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., coflect.Session]]:
    made: list[coflect.Session] = []

    def build(**more: Any) -> coflect.Session:
        torch.manual_seed(0)
        config = {"forecast": {"horizon_epochs": 2}, "forecast_every": 2, **more.pop("config", {})}
        session = coflect.Session(
            small_model(), data(), batch_size=16, run_dir=tmp_path, config=config,
            optimizer=lambda p: torch.optim.Adam(p, 0.003), **more,
        )  # fmt: skip
        made.append(session)
        return session

    yield build
    for session in made:
        session.close()


def settled(session: coflect.Session) -> None:
    assert session.wait(240)
    assert session._parts is not None
    assert session._parts.forecaster.drain(30)
    assert session._parts.stream.flush(10)


def trained_labels(session: coflect.Session, index: int) -> list[int]:
    """Labels under which `index` is trained in the next epoch, as the loss gets them."""
    parts = session._parts
    assert parts is not None
    labels: list[int] = []
    step = parts.backend.train_step

    def watched(batch: Any) -> Any:
        output = step(batch)
        labels.extend(output.targets[output.indices == index].tolist())
        return output

    parts.backend.train_step = watched
    try:
        session.train(epochs=1)
        settled(session)
    finally:
        parts.backend.train_step = step
    return labels


def test_flipped_labels_are_suspected_and_marked_in_the_queue(make: Callable[..., Any]) -> None:
    session = make()
    session.train(epochs=8)
    settled(session)
    found = [s.index for s in session.suspects]
    assert set(found) == set(range(FLIPPED))
    assert all(s.suggested == 1 - s.target and s.doubt > 0.5 for s in session.suspects)
    # Nothing speaks for wrong labels but the model itself: none is left out for that.
    assert {c.index for c in session.wrong_now} <= set(found)
    assert len(session.wrong_now) == 10
    assert all(c.doubtful == (c.index in found) for c in session.candidates)
    assert all(s.data.noise == 0 for s in session.events("suspects"))
    event = session.events("suspects")[-1].data
    assert event.count == FLIPPED
    assert set(event.index) == set(found)


def test_held_out_data_that_speak_for_wrong_labels_take_them_off_the_queue(
    make: Callable[..., Any],
) -> None:
    x, y = data(400)
    session = make(val_data=(x[FLIPPED:], y[FLIPPED:]))
    session.train(epochs=8)
    settled(session)
    assert session.events("suspects")[-1].data.noise == pytest.approx(FLIPPED / 160, abs=0.03)
    found = {s.index for s in session.suspects}
    assert found == set(range(FLIPPED))
    assert not found & {c.index for c in session.candidates}
    said = [n for n in session.events("notice") if "labels seem wrong" in n.data.text]
    assert len(said) == 1


def test_each_candidate_is_in_one_list_and_of_the_riskiest(make: Callable[..., Any]) -> None:
    session = make()
    session.train(epochs=3)
    settled(session)
    lists = session.at_risk, session.wrong_now
    assert all(len(of) <= 10 for of in lists)
    assert [c.wrong_now for of in lists for c in of] == [False] * len(lists[0]) + [True] * len(
        lists[1]
    )
    both = sorted((c for of in lists for c in of), key=lambda c: -c.risk)
    assert [c.risk for c in session.candidates] == [c.risk for c in both[:10]]
    assert set(session.candidates) <= set(both)
    assert all(c.risk >= 0.05 for c in both)
    last = session.events("forecast")[-1].data
    assert dict(zip(last.index, last.wrong_now, strict=True)) == {
        c.index: c.wrong_now for c in both
    }


def test_the_queue_of_an_epochs_end_knows_what_the_epoch_taught(make: Callable[..., Any]) -> None:
    # No ranking is due before, and no probe comes after.
    session = make(config={"forecast_every": 1000, "forecast": {"probes": 0}})
    session.train(epochs=3)
    settled(session)
    (named,) = (e for e in session.events("forecast") if e.data.named and e.epoch == 3)
    queue = session._parts.forecaster.queue
    assert session.candidates
    assert named.data.index == queue.listed(True, False).rows.tolist()


def test_where_nothing_is_at_risk_the_queue_is_empty(tmp_path: Path) -> None:
    y = np.arange(200) % 2
    x = np.random.default_rng(0).normal(0, 0.1, (200, 1, 8, 8)).astype(np.float32)
    x += (2 * y - 1)[:, None, None, None].astype(np.float32)
    with coflect.Session(
        small_model(), (x, y), run_dir=tmp_path, optimizer=lambda p: torch.optim.Adam(p, 0.01)
    ) as session:
        session.train(epochs=8)
        settled(session)
        last = session.events("forecast")[-1]
        assert last.epoch > 0
        assert last.data.index == []
        assert session.candidates == session.at_risk == session.wrong_now == []


def test_a_verdict_reaches_training_and_the_log_and_can_be_taken_back(
    make: Callable[..., Any],
) -> None:
    session = make()
    session.train(epochs=5)
    settled(session)
    own = int(data()[1][3])
    judged = session.judge(3, "wrong")
    assert (judged.verdict, judged.before, judged.label) == ("wrong", own, 1 - own)
    assert trained_labels(session, 3) == [1 - own]
    assert session.judge(3, "wrong", label=own).before == 1 - own
    assert trained_labels(session, 3) == [own]
    session.judge(3, "leave out")
    assert trained_labels(session, 3) == []
    assert [s.judged for s in session.suspects if s.index == 3] == ["leave out"]
    undone = session.judge(3, "undo")
    assert undone.label == own
    assert trained_labels(session, 3) == [own]
    assert [e.data.verdict for e in session.events("judged")] == [
        "wrong", "wrong", "leave out", "undo",
    ]  # fmt: skip
    assert "judged" in (session.run.path / "events.jsonl").read_text()


def test_a_label_said_to_be_right_is_suspected_no_more(make: Callable[..., Any]) -> None:
    session = make()
    session.train(epochs=6)
    settled(session)
    session.judge(2, "right")
    assert trained_labels(session, 2) == [int(data()[1][2])]
    assert [s.judged for s in session.suspects if s.index == 2] == ["right"]
    store = session._parts.forecaster.store
    assert 2 not in coflect_suspects(store)


def test_a_label_said_to_be_wrong_is_listed_with_the_new_one(make: Callable[..., Any]) -> None:
    session = make()
    session.train(epochs=6)
    settled(session)
    (before,) = [s for s in session.suspects if s.index == 2]
    for label in (before.suggested, before.target):  # before any further sighting
        session.judge(2, "wrong", label=label)
        settled(session)
        (now,) = [s for s in session.suspects if s.index == 2]
        assert (now.target, now.suggested, now.judged) == (label, before.suggested, "wrong")
    listed = session.events("suspects")[-1].data
    assert listed.target[listed.index.index(2)] == before.target


def coflect_suspects(store: SampleStore) -> list[int]:
    from coflect_widget.forecast.ranking import suspects

    return suspects(store, store.num_samples).tolist()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((500, "right"), IndexError),
        ((1, "maybe"), ValueError),
        ((1, "wrong", 2), ValueError),
        ((1, "right", 1), ValueError),
    ],
)
def test_nonsense_changes_nothing(
    make: Callable[..., Any], arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    session = make()
    with pytest.raises(error):
        session.judge(*arguments)
    assert session.events("judged") == []


def test_leaving_out_a_whole_batch_trains_on_nothing(make: Callable[..., Any]) -> None:
    session = make()
    session.train(epochs=1)
    settled(session)
    parts = session._parts
    parts.backend.set_labels(dict.fromkeys(range(160)))
    before = parts.backend.model[-1].weight.detach().clone()
    session.train(epochs=1)
    settled(session)
    assert torch.equal(before, parts.backend.model[-1].weight.detach())
    assert session.state == "finished"


def test_the_named_are_evaluated_by_probes(make: Callable[..., Any]) -> None:
    session = make(config={"attribution": {"budget": 60}})
    session.train(epochs=6)
    settled(session)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        scores = session.events("forecast_scored")
        if any(s.data.truth == "evaluated" for s in scores):
            break
        time.sleep(0.2)
    else:
        pytest.fail("no score was evaluated")
    best = next(s.data for s in scores if s.data.truth == "evaluated")
    assert f"of {best.named} named at epoch {best.epoch_named}" in best.sentence
    assert "as evaluated" in best.sentence
    assert session._parts.forecaster.store.probed_at.max() > 0
    assert session._parts.scheduler.counts.probed > 0


@pytest.mark.slow
def test_a_score_is_evaluated_by_the_weights_of_its_epochs_end(make: Callable[..., Any]) -> None:
    session = make(config={"attribution": {"budget": 60}, "forecast": {"horizon_epochs": 1}})
    backend = session._parts.backend
    x = torch.from_numpy(data()[0])
    wrong: dict[int, np.ndarray] = {}
    end_epoch = backend.end_epoch

    def watched(validation: dict[str, float]) -> None:
        with torch.no_grad():
            guess = backend.model.eval()(x).argmax(1).numpy()
        backend.model.train()
        wrong[len(wrong) + 1] = guess != data()[1]
        end_epoch(validation)

    backend.end_epoch = watched
    for _ in range(3):  # each begins with the weights that the maps asked for, of another step
        session.train(steps=20)
        settled(session)
        session.explain(0)
        time.sleep(0.3)
    session.train(epochs=4)
    settled(session)
    eventually(
        lambda: any(s.data.truth == "evaluated" for s in session.events("forecast_scored")), 60
    )
    settled(session)
    named = {e.epoch: e.data.index for e in session.events("forecast") if e.data.named}
    scores = [s for s in session.events("forecast_scored") if s.data.truth == "evaluated"]
    assert scores
    for score in scores:
        due = score.data.epoch_due
        assert score.step == 10 * due
        assert score.data.hits == wrong[due][named[score.data.epoch_named]].sum()


def test_onset_is_switched_while_it_trains(make: Callable[..., Any]) -> None:
    session = make()
    session.onset = True
    session.train(epochs=4)
    settled(session)
    assert session.onset
    last = session.events("forecast")[-1].data
    assert last.onset
    store = session._parts.forecaster.store
    assert store.correct[[c.index for c in session.candidates]].all()
    assert all(named.right is not None for named in session._parts.scoreboard._waiting)


def test_the_window_is_opened_by_hand_until_the_next_intervention(
    make: Callable[..., Any],
) -> None:
    session = make()
    session.open_window()
    window = session._parts.window.status()
    assert window.open
    assert window.by_hand
    session._parts.window.intervened(0)
    assert not session._parts.window.open


def test_chance_is_the_share_of_the_most_frequent_class(tmp_path: Path) -> None:
    x = np.zeros((100, 1, 8, 8), np.float32)
    y = np.arange(100) // 90
    with coflect.Session(small_model(), (x, y), (x, y), run_dir=tmp_path) as session:
        session.train(epochs=3)
        settled(session)
        parts = session._parts
        assert parts.window.chance == 0.9
        assert parts.newest.metrics["val_accuracy"] == 0.9
        assert not next(g for g in parts.window.status().gates if g.name == "accuracy").passed
        assert "most frequent class" in parts.loop.observer.distrust()


def test_another_session_goes_on_from_the_memory(make: Callable[..., Any]) -> None:
    first = make()
    first.train(epochs=5)
    settled(first)
    first.judge(1, "leave out")
    first.train(epochs=1)
    settled(first)
    last = first.run.checkpoints.last
    second = make()
    second.restore_forecast(last)
    old, new = (s._parts.forecaster.store for s in (first, second))
    assert np.array_equal(new.margin_mean, old.margin_mean)
    assert np.array_equal(new.score, old.score)
    meant, means = (s._parts.forecaster.foresight.calibration for s in (first, second))
    assert means.then == meant.then != (0.0, 1.0)
    assert means.now == meant.now
    assert [s.index for s in second.suspects if s.judged] == [1]
    assert trained_labels(second, 1) == []


def test_a_memory_of_other_data_or_another_version_is_refused() -> None:
    store = SampleStore(10, Classification(2))
    kept = {"version": VERSION, "store": keep_store(store)}
    check(kept, store)
    with pytest.raises(ValueError, match="other training data"):
        check(kept, SampleStore(11, Classification(2)))
    with pytest.raises(ValueError, match="memory of version 1"):
        check({**kept, "version": 1}, store)


def test_a_loss_of_ones_own_changes_no_part_of_the_contract(make: Callable[..., Any]) -> None:
    def hinge(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.multi_margin_loss(logits, targets)

    session = make(loss=hinge)
    session.train(epochs=5)
    settled(session)
    assert len(session.candidates) == 10
    for candidate in session.candidates:
        assert 0 <= candidate.risk <= 1
        assert candidate.reason
    assert all(gate.sentence for gate in session._parts.window.status().gates)
    calibration = session._parts.forecaster.foresight.calibration
    assert calibration.then != (0.0, 1.0)
    assert len(session._parts.scoring.scores) >= 2
