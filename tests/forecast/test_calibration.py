"""Probabilities come true: under a calmer training, fewer errors, and what a snapshot shows."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.forecast.calibration import Calibration
from coflect_widget.forecast.logistic import logistic

N = 40_000
HORIZON = 4


def wrong_at(log_odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.random(len(log_odds)) < logistic(log_odds)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(-2, 2, N).astype(np.float32)


def test_a_score_is_taken_at_its_word_before_an_epoch_was_seen(scores: np.ndarray) -> None:
    calibration = Calibration(HORIZON)
    assert calibration.probability(scores) == pytest.approx(logistic(scores))
    calibration.epoch_ended(1, scores[:0], np.empty(0, np.bool_), scores, (3, 10))
    assert calibration.probability(scores) == pytest.approx(logistic(scores))
    unseen = np.full(2, -np.inf, np.float32)
    assert calibration.probability(unseen) == pytest.approx([0, 0])
    for right in (True, False):
        assert np.isfinite(calibration.given(unseen, np.zeros(2, np.float32), right=right)).all()


def test_a_calmer_training_makes_it_surer_and_the_trend_goes_on(scores: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    calibration = Calibration(HORIZON, trend=1.5)
    for epoch in (1, 2, 3, 4, 5):
        harder = 0.2 * (5 - epoch)  # log-odds fall by .2 an epoch
        truth = 1.0 + 1.8 * scores + harder
        errors = (round(float(logistic(truth).sum())), N)
        calibration.epoch_ended(epoch, scores, wrong_at(truth, rng), scores, errors)
    assert calibration.now == pytest.approx((1.0, 1.8), abs=0.1)
    coming = 1.0 + 1.8 * scores - 0.6  # 1.5 times what the last two epochs brought
    chance = calibration.probability(scores)
    assert chance.mean() == pytest.approx(logistic(coming).mean(), abs=0.01)
    for low in (0.2, 0.4, 0.6, 0.8):
        part = (chance > low) & (chance < low + 0.1)
        assert logistic(coming)[part].mean() == pytest.approx(chance[part].mean(), abs=0.05)


def test_the_first_epochs_errors_are_no_trend(scores: np.ndarray) -> None:
    calibration = Calibration(HORIZON)
    for epoch, wrong in ((1, 900), (2, 300), (3, 300)):
        calibration.epoch_ended(epoch, scores, scores > 0, scores, (wrong, 1000))
    assert calibration.probability(scores).mean() == pytest.approx(0.3, abs=0.01)


def test_a_trend_of_few_samples_is_not_believed(scores: np.ndarray) -> None:
    chances = []
    for samples in (20, 20_000):
        calibration = Calibration(HORIZON)
        for epoch, share in ((2, 0.30), (3, 0.30), (4, 0.25)):
            errors = (round(share * samples), samples)
            calibration.epoch_ended(epoch, scores, scores > 0, scores, errors)
        chances.append(float(calibration.probability(scores).mean()))
    few, many = chances
    assert 0.22 < few < 0.26
    assert many < 0.20


def test_the_order_stays_where_history_says_nothing(scores: np.ndarray) -> None:
    calibration = Calibration(HORIZON)
    for epoch in (1, 2):
        calibration.epoch_ended(epoch, scores, scores < -2, scores, (1, 2))  # the wrong way round
    assert (np.diff(calibration.probability(np.sort(scores))) >= 0).all()


@pytest.mark.parametrize("swinging", [0.0, 2.0])
def test_being_wrong_says_less_where_the_whole_class_is_down(
    scores: np.ndarray, swinging: float
) -> None:
    """Two moments have in common what a sample has of its own, and nothing of a class's swing."""
    rng = np.random.default_rng(2)
    own = 1.6
    label = rng.integers(0, 2, N)
    swing = np.where(label == 0, swinging / 2, -swinging / 2).astype(np.float32)
    alone = 1.2 * scores + rng.normal(0, own, N)  # log-odds of this very sample
    now, then = wrong_at(alone - 2 * swing, rng), wrong_at(alone, rng)
    calibration = Calibration(HORIZON, trend=0.0, own=own)
    calibration.epoch_ended(1, scores[:0], now[:0], scores, (3, 10))
    trained = wrong_at(alone, rng)
    calibration.epoch_ended(2, scores, trained, scores, (int(trained.sum()), N))
    some = rng.permutation(N)[:500]
    calibration.probed(scores[some], swing[some], now[some])
    for right in (True, False):
        who = now != right
        chance = calibration.given(scores[who], swing[who], right=right)
        for klass in (0, 1):
            part = label[who] == klass
            assert chance[part].mean() == pytest.approx(then[who][part].mean(), abs=0.03)
    if swinging:  # what another class's error means is not the same
        wrong = [calibration.given(np.zeros(1, np.float32), np.array([s], np.float32), right=False)
                 for s in (1.0, -1.0)]  # fmt: skip
        assert wrong[0] > wrong[1] + 0.05


def test_a_swing_nobody_can_foresee_makes_it_less_sure_and_no_higher(scores: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    wrong = wrong_at(scores, rng)
    spreads, means = [], []
    for size in (0.0, 2.0):
        calibration = Calibration(HORIZON, trend=0.0)
        for epoch in (1, 2, 3):
            calibration.epoch_ended(epoch, scores, wrong, scores, (int(wrong.sum()), N))
            swing = np.where(rng.random(N) < 0.5, size, -size).astype(np.float32)
            calibration.probed(scores[:500], swing[:500], wrong_at(scores - 2 * swing, rng)[:500])
        chance = calibration.probability(scores)
        means.append(float(chance.mean()))
        spreads.append(float(chance.std()))
    assert means[1] == pytest.approx(means[0], abs=0.01)
    assert spreads[1] < 0.9 * spreads[0]
