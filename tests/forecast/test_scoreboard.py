"""Rankings named are scored when due, against chance."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.events import ForecastScored
from coflect_widget.forecast.scoreboard import Scoreboard, sentence
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import SampleStore


def store_with(wrong: list[int], seen: int = 50, total: int = 60) -> SampleStore:
    store = SampleStore(total, Classification(2))
    logits = np.tile(np.float32([1, 0]), (seen, 1))
    logits[wrong] = [0, 1]
    store.update(np.arange(seen), logits, np.zeros(seen), 1)
    return store


def test_scored_when_due_and_only_once() -> None:
    board = Scoreboard(horizon=4)
    store = store_with(wrong=[*range(8)])
    board.name(6, range(10), window_open=True)
    for epoch in (7, 8, 9):
        assert board.epoch_ended(epoch, store) == []
    (score,) = board.epoch_ended(10, store)
    assert (score.epoch_named, score.epoch_due) == (6, 10)
    assert (score.named, score.hits, score.window_open) == (10, 8, True)
    assert score.chance == pytest.approx(10 * 8 / 50)  # the ten never seen do not count
    assert sentence(score) == (
        "8 of 10 named at epoch 6 were wrong at epoch 10; chance would be 1.6"
    )
    assert board.epoch_ended(11, store) == []
    assert board.scored == [score]


def test_the_state_at_the_due_epoch_decides() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, [0, 1])
    (score,) = board.epoch_ended(2, store_with(wrong=[0]))
    assert score.hits == 1
    assert "1 was wrong" in sentence(score)


def test_naming_twice_replaces_and_nothing_named_is_nothing_scored() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, [0, 1])
    board.name(1, [0])
    board.name(2, [])
    scores = board.epoch_ended(5, store_with(wrong=[]))
    assert [(s.epoch_named, s.named) for s in scores] == [(1, 1)]


def test_overdue_rankings_come_oldest_first() -> None:
    board = Scoreboard(horizon=2)
    for epoch in (3, 1, 2):
        board.name(epoch, [epoch])
    scores = board.epoch_ended(5, store_with(wrong=[2]))
    assert [(s.epoch_named, s.hits) for s in scores] == [(1, 0), (2, 1), (3, 0)]


def test_evaluated_at_the_step_of_the_epochs_end_or_not_at_all() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, [0, 1])
    store = store_with(wrong=[*range(20)])
    (trained,) = board.epoch_ended(2, store, step=40)
    rows = board.to_evaluate()
    assert {0, 1} <= set(rows.tolist())
    right = rows >= 10
    for other in (0, 39, 41):
        assert board.evaluated(rows, right, other) == []
    assert board.scored == [trained]
    (score,) = board.evaluated(rows, right, 40)
    assert (score.truth, score.hits) == ("evaluated", 2)
    assert board.scored == [score]
    assert board.evaluated(rows, right, 40) == []


def test_evaluated_hits_stand_beside_an_evaluated_chance() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, range(10))
    # Under dropout half are wrong; of the weights themselves a tenth.
    (score,) = board.epoch_ended(2, store_with(wrong=[*range(25)]), step=5)
    assert score.chance == pytest.approx(5)
    rows = board.to_evaluate()
    assert board.evaluated(rows[:20], rows[:20] >= 5, 5) == []  # too few to tell chance
    (score,) = board.evaluated(rows[20:], rows[20:] >= 5, 5)
    assert (score.hits, score.chance) == (5, pytest.approx(10 * 5 / 50))


def test_too_few_to_tell_chance_leave_both_numbers_from_training() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, [0, 1])
    (score,) = board.epoch_ended(2, store_with(wrong=[0], seen=29), step=5)
    assert len(board.to_evaluate()) == 0
    assert board.evaluated(np.arange(29), np.ones(29, np.bool_), 5) == []
    assert score.truth == "training"


def test_what_was_right_when_named_is_compared_with_such_alone() -> None:
    board = Scoreboard(horizon=1)
    right = np.ones(60, np.bool_)
    right[:10] = False  # wrong when named, and still
    board.name(1, [10, 11], right=right)
    right[:] = False  # the store's own array goes on
    (score,) = board.epoch_ended(2, store_with(wrong=[*range(14)]), step=5)
    assert score.chance == pytest.approx(2 * 4 / 40)
    rows = board.to_evaluate()
    assert rows.min() == 10
    (score,) = board.evaluated(rows, rows >= 12, 5)
    assert (score.hits, score.chance) == (2, pytest.approx(2 * 2 / 40))


def test_a_payload_of_the_run() -> None:
    board = Scoreboard(horizon=1)
    board.name(1, np.array([0]))
    (score,) = board.epoch_ended(2, store_with(wrong=[0]))
    assert ForecastScored.model_validate_json(score.model_dump_json()) == score


def test_horizon_must_be_at_least_one_epoch() -> None:
    with pytest.raises(ValueError, match="horizon = 0"):
        Scoreboard(horizon=0)
