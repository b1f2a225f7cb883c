"""Whether a map is to be believed: models whose evidence is known, and maps that lie."""

import hashlib

import numpy as np
import pytest
import torch
from attribution_models import ARCHITECTURES, PlainCNN, views

from coflect_widget.attribution import worker
from coflect_widget.attribution.checks import PLACES, Deletion, deletion, guessing, judge, strongest
from coflect_widget.backends.torch.methods import structure
from coflect_widget.modalities import IMAGE
from coflect_widget.tasks import Classification

GOOD = Deletion(before=5.0, drop=0.9, random_drop=0.1, effect=4.0, rank=1.0)

odds = Classification(2).odds


def corner_image(seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (3, 16, 16)).astype(np.float32)


def ramp(n=16):
    return np.linspace(0, 1, n * n, dtype=np.float32).reshape(n, n)


def patch(where, rows, columns):
    where[rows, columns] = 1
    return where


@pytest.mark.parametrize("softmax", [False, True])
def test_deletion_sees_whether_the_map_marks_the_evidence(softmax):
    def logits(x):  # the red of the top left corner is class 1
        red = x[:, 0, :4, :4].sum((1, 2))
        outputs = np.stack([np.full(len(x), 12), red, np.zeros(len(x))], 1).astype(np.float32)
        if softmax:
            outputs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        return outputs

    x = np.full((3, 16, 16), 0.2, np.float32)
    x[0, :4, :4] = 1
    right = patch(np.zeros((16, 16), np.float32), slice(0, 4), slice(0, 4))
    wrong = patch(np.zeros((16, 16), np.float32), slice(10, 14), slice(10, 14))
    found, other = (
        deletion(logits, x, values, 1, seed=0, odds=odds, modality=IMAGE)
        for values in (right, wrong)
    )
    assert found.before == pytest.approx(4, abs=0.01)
    assert found.effect > 5
    assert found.rank > 0.9
    assert found.drop > 0.9
    assert other.effect < 0
    assert other.drop == pytest.approx(0, abs=1e-6)
    assert judge(right, found, []).reliable
    assert not judge(wrong, other, []).reliable


def test_deletion_takes_ten_percent_and_repeats():
    seen = []

    def logits(x):
        seen.append(x.copy())
        return np.zeros((len(x), 2), np.float32)

    x = corner_image()
    first, second = (
        deletion(logits, x, ramp(), 0, seed=3, odds=odds, modality=IMAGE) for _ in range(2)
    )
    assert first == second
    assert np.array_equal(seen[0], seen[1])
    assert seen[0].dtype == np.float32
    assert len(seen[0]) == 2 + PLACES
    changed = (seen[0] != x).any(1).sum((1, 2))
    assert changed[0] == 0
    assert (changed[1:] == 26).all()  # of 256
    assert np.array_equal((seen[0][1] != x).any(0), strongest(ramp()))
    assert (first.effect, first.rank) == (0, 0)


def test_a_saturated_class_is_judged_by_its_log_odds():
    def logits(x):
        return np.stack([x[:, 0].sum((1, 2)), np.zeros(len(x))], 1).astype(np.float32)

    x = np.full((1, 16, 16), 0.1, np.float32)
    x[0, :4, :4] = 5
    found = deletion(
        logits, x, patch(np.zeros((16, 16), np.float32), slice(4), slice(4)), 0, 0, odds, IMAGE
    )
    assert found.drop < 0.01  # from 1.0000 to 0.9999
    assert found.effect > 20


def test_the_strongest_pixels_are_never_those_that_are_zero():
    assert strongest(np.zeros((8, 8), np.float32)).sum() == 0
    one = np.zeros((8, 8), np.float32)
    one[2, 3] = 0.5
    assert strongest(one).sum() == 1
    assert strongest(np.ones((10, 10), np.float32)).sum() == 10


@pytest.mark.parametrize(
    ("change", "reliable"),
    [
        ({}, True),
        ({"effect": 1.0}, False),
        ({"rank": 0.5}, False),
        ({"before": 40.0}, False),  # a tenth of what the class had is little
        ({"before": -3.0, "effect": 1.5}, True),
    ],
)
def test_the_verdict_follows_the_deletion(change, reliable):
    deleted = Deletion(**{name: getattr(GOOD, name) for name in Deletion.__slots__} | change)
    quality = judge(ramp(), deleted, [1 - ramp()])
    assert quality.reliable is reliable
    assert bool(quality.reason) is not reliable
    assert quality.random_weights == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # .87 against .99 and .98: in probabilities 12 points against 1, and yet too little
        ({"drop": 0.13, "random_drop": 0.01, "effect": 1.2}, ("3.3 times", "3.5 times", "hardly")),
        ({"effect": 1.2499}, ("3.4 times", "3.5 times")),  # never "3.5, where 3.5 is needed"
        ({"before": 20.0, "effect": 2.9999}, ("20 times", "21 times")),
        ({"before": 12_000.0, "effect": 4.0}, ("54 times", "10^781.8 times")),
        ({"drop": 0.2, "random_drop": 0.1, "effect": -0.1}, ("no further", "3.5 times")),
        ({"effect": 0.0}, ("no further", "does not depend")),
        ({"rank": 10 / 16}, ("At 6 of 16", "at most 4 may")),
    ],
)
def test_the_sentence_says_what_the_verdict_was_made_by(change, says):
    deleted = Deletion(**{name: getattr(GOOD, name) for name in Deletion.__slots__} | change)
    reason = judge(ramp(), deleted, []).reason
    assert [part for part in says if part not in reason] == []
    assert "point" not in reason
    assert "%" not in reason


def test_the_largest_rank_that_fails_and_the_least_that_passes_are_told_apart():
    at = {
        rank: judge(ramp(), Deletion(5.0, 0.9, 0.1, 4.0, rank / PLACES), []).reason
        for rank in range(PLACES + 1)
    }
    failing = [rank for rank, reason in at.items() if reason]
    assert failing == list(range(12))
    assert all(f"At {PLACES - rank} of {PLACES}" in at[rank] for rank in failing)
    assert "at most 4 may" in at[11]


def test_a_map_that_random_weights_give_too_is_not_reliable():
    quality = judge(ramp(), GOOD, [ramp(), ramp(), ramp()])
    assert not quality.reliable
    assert "random weights" in quality.reason
    assert quality.random_weights == pytest.approx(1)
    # One random network may agree by chance; the others have their say then.
    assert judge(ramp(), GOOD, [ramp(), 1 - ramp(), ramp()]).reliable


def test_only_as_many_random_maps_are_made_as_are_needed():
    made = []

    def maps():
        for values in (1 - ramp(), ramp(), ramp()):
            made.append(values)
            yield values

    assert judge(ramp(), GOOD, maps()).reliable
    assert len(made) == 1


def test_an_empty_map_is_not_reliable_and_a_flat_one_is_not_compared():
    empty = np.zeros((16, 16), np.float32)
    assert (
        deletion(lambda x: np.zeros((len(x), 2)), corner_image(), empty, 0, 0, odds, IMAGE) is None
    )
    quality = judge(empty, None, [])
    assert not quality.reliable
    assert "empty" in quality.reason
    assert judge(ramp(), GOOD, [empty]).random_weights is None


def guess(accuracy, classes, samples, trained=None, commonest=None):
    task = Classification(classes)
    chance = task.chance(commonest)
    return guessing(accuracy, samples, chance, task.guess(chance), trained=trained)


def test_a_model_that_guesses_on_new_data_has_no_reliable_maps():
    assert "11% of 497" in guess(0.11, 10, 497)
    assert "up to 60% would be luck" in guess(0.59, 2, 100)  # not "no more than 50%"
    assert guess(0.5, 2, 2000)
    assert guess(0.55, 2, 100)  # may be luck
    assert guess(0.55, 2, 2000) is None
    assert guess(0.96, 10, 497) is None
    assert guess(None, 10, 0) is None
    assert "may teach the wrong" in guess(0.11, 10, 497, 0.12)
    by_heart = guess(0.11, 10, 497, 0.98)
    assert "98% on the training data" in by_heart
    assert "may teach the wrong" not in by_heart


def test_always_the_most_frequent_class_is_a_guess():
    constant = guess(0.9, 2, 1000, 0.9, commonest=0.9)
    assert "no more than by always naming the most frequent class (90%)" in constant
    assert guess(0.95, 2, 1000, 0.95, commonest=0.9) is None
    assert "among 2 classes" in guess(0.5, 2, 1000, 0.5, commonest=0.501)


def job(model, x, checks=True, method="consensus"):
    data = structure(model)
    name = hashlib.blake2b(data).hexdigest()
    return worker.Job(
        model_id=name,
        model=worker.Model(name, "coflect_widget.backends.torch.methods:load", data),
        weights=views(model), step=0, task=Classification(4), input=x,
        target=None, method=method, samples=8, sigma=0.15,
        layer=None, seed=1, checks=checks,
    )  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_maps_of_untrained_models_are_not_reliable(name):
    verdicts = []
    for seed in range(5):
        torch.manual_seed(seed)
        x = np.random.default_rng(seed).random((3, 32, 32), dtype=np.float32)
        verdicts.append(worker.run_job(job(ARCHITECTURES[name](), x)).quality)
    assert not any(verdict.reliable for verdict in verdicts)
    assert all(verdict.reason for verdict in verdicts)


@pytest.mark.parametrize("method", ["livecam", "gradcam", "smoothgrad", "consensus"])
def test_a_worker_judges_its_map_and_the_next_one_is_not_changed_by_that(method):
    torch.manual_seed(0)
    model = PlainCNN()
    x = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)
    plain = worker.run_job(job(model, x, checks=False, method=method))
    judged = worker.run_job(job(model, x, method=method))
    again = worker.run_job(job(model, x, method=method))
    assert plain.quality is None
    assert judged.quality is not None
    assert judged.quality == again.quality
    for name in ("map", "livecam", "smoothgrad"):
        assert np.array_equal(getattr(plain, name), getattr(judged, name))
        assert np.array_equal(getattr(plain, name), getattr(again, name))
    assert plain.top_probs == again.top_probs


def test_random_maps_are_made_once_a_sample():
    torch.manual_seed(0)
    model = PlainCNN()
    x = np.random.default_rng(1).random((3, 32, 32), dtype=np.float32)
    worker.run_job(job(model, x))
    known = dict(worker._random)
    assert known
    with torch.no_grad():
        model.head.weight.mul_(3)
    worker.run_job(job(model, x))
    assert worker._random.keys() >= known.keys()
    assert all(worker._random[key] is known[key] for key in known)
