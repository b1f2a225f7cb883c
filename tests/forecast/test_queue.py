"""The lists that are shown: who is in them, and that the shown risk comes true."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.queue import LEAST_RISK, Queue
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import LEFT_OUT, SUSPECT, SampleStore

N, C, HORIZON = 600, 4, 2


class Training:
    """A made-up training that ends epoch after epoch; `margins` gives each one's, (N,)."""

    def __init__(self, top: int = 10, horizon: int = HORIZON) -> None:
        self.rng = np.random.default_rng(0)
        self.target = self.rng.integers(0, C, N)
        self.store = SampleStore(N, Classification(C))
        self.queue = Queue(Foresight(self.store, horizon), top)
        self.epoch = 0

    def sight(self, margins: np.ndarray) -> None:
        logits = np.zeros((N, C), np.float32)
        logits[np.arange(N), self.target] = margins
        self.store.update(np.arange(N), logits, self.target, self.epoch)
        self.queue.foresight.update(np.arange(N))

    def end(self, margins: np.ndarray) -> None:
        self.epoch += 1
        self.sight(margins)
        self.queue.epoch_ended(self.epoch)


def spread(training: Training) -> np.ndarray:
    return training.rng.normal(1.5, 2.0, N)


@pytest.fixture
def training() -> Training:
    made = Training()
    for _ in range(3):
        made.end(spread(made))
    return made


def test_one_list_holds_those_right_now_the_other_those_wrong_now(training: Training) -> None:
    store, queue = training.store, training.queue
    at_risk, wrong = queue.listed(True), queue.listed(False)
    assert len(at_risk.rows) == len(wrong.rows) == 10
    assert store.correct[at_risk.rows].all()
    assert not store.correct[wrong.rows].any()
    outside = np.setdiff1d(np.flatnonzero(store.correct), at_risk.rows)
    assert store.score[at_risk.rows].min() >= store.score[outside].max()
    both = queue.listed(True, False)
    assert set(both.rows.tolist()) == {*at_risk.rows.tolist(), *wrong.rows.tolist()}
    for listed in (at_risk, wrong, both):
        assert (np.diff(listed.risk) <= 0).all()
        assert (listed.risk >= LEAST_RISK).all()


def test_a_suspected_label_is_left_out_only_while_labels_are_known_to_be_noisy(
    training: Training,
) -> None:
    store, queue = training.store, training.queue
    first = queue.listed(False).rows[0]
    store.flags[first] |= SUSPECT
    assert first in queue.listed(False).rows
    queue.noise.rate = 0.1
    assert first not in queue.listed(True, False).rows
    queue.noise.rate = 0.0
    store.flags[first] |= LEFT_OUT  # by a person
    assert first not in queue.listed(False).rows


def test_no_row_is_shown_without_a_risk() -> None:
    training = Training()
    for _ in range(6):
        training.end(training.rng.normal(30, 1, N))
    assert len(training.store.score) == N
    for rights in ((True,), (False,), (True, False)):
        rows, risk = training.queue.listed(*rights)
        assert len(rows) == len(risk) == 0
    assert (
        len(Queue(Foresight(SampleStore(5, Classification(2)), 4), 10).listed(True, False).rows)
        == 0
    )


def test_the_shown_risk_is_that_of_the_few_that_were_chosen() -> None:
    """Margins without any memory: the largest of many scores foretell nothing."""
    training = Training(top=20)
    shown, failed, raw = [], [], []
    for epoch in range(24):
        training.end(training.rng.normal(1.0, 1.2, N))
        if epoch >= 12:
            rows, log_odds = training.queue.ranked(True)[::2]
            raw.append((1 / (1 + np.exp(-log_odds))).mean())
            shown.append(training.queue.listed(True).risk.mean())
            failed.append(0.2)  # of any sample, always: chance of a margin below 0
            assert len(rows) == 20
    assert np.mean(shown) == pytest.approx(np.mean(failed), abs=0.1)
    start = Training(top=20).queue._lines
    assert training.queue._lines != start


def test_lists_of_this_run_move_the_risk_and_evaluations_count_for_more() -> None:
    def after(outcome: bool | None) -> float:
        """Risk of those at risk once lists were evaluated so, or not at all."""
        training = Training()
        for _ in range(8):
            training.end(spread(training))
            due = training.queue.due()
            if outcome is not None:
                training.queue.evaluated(due, np.full(len(due), outcome))
        return float(training.queue.listed(True).risk.mean())

    assert after(True) < after(None) < after(False)
    assert after(False) > after(True) + 0.1


def test_due_is_what_was_listed_a_horizon_ago_and_other_samples_are_ignored(
    training: Training,
) -> None:
    queue = training.queue
    kept = queue.listed(True, False).rows
    for _ in range(HORIZON):
        training.end(spread(training))
    assert set(queue.due().tolist()) == set(kept.tolist())
    lines = list(queue._lines)
    others = np.setdiff1d(np.arange(N), kept)
    queue.evaluated(others, np.zeros(len(others), np.bool_))
    assert queue._lines == lines


def test_the_same_epoch_again_replaces(training: Training) -> None:
    queue = training.queue
    for _ in range(2):
        training.end(spread(training))
    lines, past = list(queue._lines), len(queue._past)
    queue.epoch_ended(training.epoch)
    assert np.array(queue._lines) == pytest.approx(np.array(lines), abs=1e-6)
    assert len(queue._past) == past


def test_the_past_of_a_long_run_stays_short() -> None:
    training = Training()
    for _ in range(40):
        training.end(spread(training))
    assert len(training.queue._past) < 30
