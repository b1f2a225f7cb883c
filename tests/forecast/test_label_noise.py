"""Wrong labels are concluded from held-out data and sure contradictions together, never alone."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.label_noise import HeldOut, LabelNoise
from coflect_widget.tasks import Classification, Regression
from coflect_widget.telemetry.store import SampleStore

N, C = 3000, 4


def trained(flipped: float = 0.0, *, hard: float = 1.0, shaken: float = 0.0) -> SampleStore:
    """Four sightings of samples with margins that scatter round 2.

    `hard` widens the scatter among samples; `shaken` adds one from one sighting to the next, as
    dropout and augmentation do; `flipped` labels are contradicted as surely as others are met.
    """
    rng = np.random.default_rng(0)
    target = rng.integers(0, C, N)
    ease = 2 + hard * rng.normal(size=N)
    seen_as = np.where(rng.random(N) < flipped, (target + 1) % C, target)
    store = SampleStore(N, Classification(C))
    model = Foresight(store, 4)
    for step in range(4):
        margin = ease + shaken * rng.normal(size=N)
        logits = np.zeros((N, C), np.float32)
        logits[np.arange(N), seen_as] = margin
        store.update(np.arange(N), logits, target, step)
    model.update_all()
    return store


def rate(store: SampleStore, held_out: HeldOut | None) -> float:
    noise = LabelNoise()
    noise.epoch_ended(4, store, held_out)
    return noise.rate


@pytest.mark.parametrize("flipped", [0.06, 0.1, 0.25])
def test_labels_that_are_wrong_in_training_alone(flipped: float) -> None:
    held_out = HeldOut(1 - 0.03, 1000)  # as often as samples with a right label fail
    assert rate(trained(flipped), held_out) == pytest.approx(flipped, abs=0.03)


def test_no_evidence_where_held_out_data_fail_as_often() -> None:
    # Labels are as wrong there, or a few samples fail everywhere, as where a shortcut decides.
    assert rate(trained(0.1), HeldOut(0.87, 1000)) == 0
    assert rate(trained(0.1), HeldOut(0.5, 1000)) == 0


def test_no_evidence_where_what_is_contradicted_is_hard() -> None:
    # Clean labels, of which training gets more wrong than an evaluation does.
    assert rate(trained(hard=1.6), HeldOut(0.95, 1000)) == 0
    assert rate(trained(shaken=2.5), HeldOut(0.97, 1000)) == 0


def test_few_held_out_samples_say_little() -> None:
    assert rate(trained(0.1), HeldOut(0.97, 1000)) > 0
    assert rate(trained(0.1), HeldOut(0.97, 12)) == 0


def test_an_epoch_whose_evaluation_is_far_off_is_no_evidence_against() -> None:
    store, noise = trained(0.1), LabelNoise()
    noise.epoch_ended(4, store, HeldOut(0.97, 1000))
    noise.epoch_ended(5, store, HeldOut(0.6, 1000))
    assert noise.rate > 0
    for epoch in (6, 7):
        noise.epoch_ended(epoch, store, HeldOut(0.6, 1000))
    assert noise.rate == 0


def test_nothing_is_known_without_held_out_data_samples_or_classes() -> None:
    assert rate(trained(0.1), None) == 0
    assert rate(trained(0.1), HeldOut(float("nan"), 1000)) == 0
    assert rate(SampleStore(10, Classification(C)), HeldOut(0.9, 1000)) == 0
    assert rate(SampleStore(10, Regression()), HeldOut(0.9, 1000)) == 0
