"""What outputs come to, in numpy and by the array API standard, and what a task is asked."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coflect_widget.forecast.memory import keep_store, restore_errors, restore_store
from coflect_widget.tasks import (
    Classification,
    MultiLabel,
    PerSample,
    Regression,
    base,
    classification,
    given_names,
    regression,
    task_of,
)
from coflect_widget.tasks.base import is_elsewhere, to_numpy
from coflect_widget.tasks.by_quantile import RecentErrors
from coflect_widget.telemetry.store import SampleStore
from coflect_widget.training.non_finite import find_culprits

ODD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, 1.0], np.float32)


def rows(seed, classes, odd):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(40, classes)) * 5).astype(np.float32)
    if odd:
        at = rng.random(logits.shape) < 0.05
        logits[at] = rng.choice(ODD, at.sum())
    logits[::7] = 0.5  # all alike: the first counts
    return logits, rng.integers(-1, classes + 1, 40)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 10, 32, 33, 100]), st.booleans())
def test_numpy_and_the_array_standard_say_the_same(seed, classes, odd):
    logits, labels = rows(seed, classes, odd)
    losses = np.random.default_rng(seed).random(40).astype(np.float32) if seed % 2 else None
    expected = Classification(classes).summarise(logits, labels, losses).on_host()
    found = classification._by_standard(
        torch.from_numpy(logits), torch.from_numpy(labels), losses, classes
    ).on_host()
    for name in ("right", "predicted", "target", "usable", "labelled"):
        of_one, of_other = getattr(expected, name), getattr(found, name)
        assert (of_one is None) == (of_other is None), name
        if of_one is not None:
            assert np.array_equal(of_one, of_other), name
    for name in ("loss", "margin"):
        a, b = getattr(expected, name), getattr(found, name)
        assert a.dtype == b.dtype == np.float32
        assert np.allclose(a, b, rtol=1e-5, atol=1e-5), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_one_logit_of_a_binary_classifier_is_for_class_1(dtype):
    one = torch.tensor([[2.0], [-3.0], [0.0]], dtype=dtype)
    labels = np.array([1, 1, 0])
    found = [
        Classification(2).summarise(one.float().numpy(), labels),
        classification._by_standard(one, torch.from_numpy(labels), None, 2).on_host(),
    ]
    for each in found:
        assert each.right.tolist() == [True, False, True]
        assert each.margin == pytest.approx([2.0, -3.0, 0.0])
        assert each.loss == pytest.approx(np.log1p(np.exp([-2.0, 3.0, 0.0])), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "losses", "words"),
    [
        (Classification(3), np.zeros((4, 2)), np.zeros(4), None, r"\(4, 2\); expected \(B, 3\)"),
        (Classification(3), np.zeros(4), np.zeros(4), None, r"expected \(B, 3\)"),
        (Classification(3), np.zeros((4, 3)), np.zeros(3), None, "belong together"),
        (Classification(3), np.zeros((4, 3)), np.zeros((4, 3)), None, "belong together"),
        (Classification(3), np.zeros((4, 3)), np.zeros(4), np.zeros(3), "losses has shape"),
        (Regression(), np.zeros((4, 2)), np.zeros((4, 3)), None, "must be the same"),
        (Regression(), np.zeros((4, 2)), np.zeros((3, 2)), None, "must be the same"),
        (Regression(), None, None, np.zeros((4, 2)), "losses has shape"),
    ],
)
def test_shapes_that_mean_nothing_are_refused(task, outputs, targets, losses, words):
    with pytest.raises(ValueError, match=words):
        task.check(outputs, targets, losses)
    with pytest.raises(ValueError, match=words):
        task.summarise(outputs, targets, losses)
    store = SampleStore(4, task)
    with pytest.raises(ValueError, match=f"{words}|4 indices and 3 rows"):
        store.update(range(4), outputs, targets, 1, losses)
    assert not store.seen.any()


@pytest.mark.parametrize("task", [Classification(4), Regression(0.7)])
def test_a_store_takes_outputs_or_what_they_came_to(task):
    rng = np.random.default_rng(0)
    given = rng.normal(size=(60, 4)).astype(np.float32)
    given[5, 1] = np.nan
    wanted = rng.integers(-1, 4, 60) if task.labelled else given + 1
    order = rng.permutation(60)
    outputs, summaries = SampleStore(60, task), SampleStore(60, pickle.loads(pickle.dumps(task)))
    other = summaries.task
    for step in range(3):
        one, _, _ = outputs.update_many([order[:20], order[20:]], given, wanted, [step, step])
        parts = [slice(0, 20), slice(20, 60)] if task.by_batch else [slice(0, 60)]
        for part in parts:
            found = other.summarise(given[part], wanted[part])
            assert isinstance(found, PerSample)
            summaries.update(order[part], found, None, step)
    for name, array in outputs.arrays.items():
        # Compiled kernels have an exp and a log of their own.
        close = 1e-6 if name in ("loss", "loss_fast") else 0
        np.testing.assert_allclose(array, getattr(summaries, name), close, close, err_msg=name)
    assert one.non_finite.sum() >= 1
    if task.tells_values:
        assert outputs.values.of(order) == summaries.values.of(order)
    with pytest.raises(ValueError, match="3 indices and 60 rows"):
        summaries.update([0, 1, 2], other.summarise(given, wanted), None, 9)


def test_a_copy_of_a_regression_begins_anew():
    task = Regression(0.7)
    task.summarise(np.arange(10.0)[:, None], np.zeros((10, 1)))
    assert not math.isnan(task.recent.threshold)
    copy = pickle.loads(pickle.dumps(task))
    assert (copy.recent.quantile, math.isnan(copy.recent.threshold)) == (0.7, True)
    with pytest.raises(ValueError, match="error_quantile = 1"):
        RecentErrors(1)


@pytest.mark.parametrize("batches", [0, 1, 3, 7])  # of which the last two go round the 64
def test_errors_that_tell_what_is_usual_are_gone_on_with(batches):
    rng = np.random.default_rng(0)
    each = rng.exponential(size=(batches + 4, 25)).astype(np.float32)
    whole, every = RecentErrors(0.8, 64), np.ones(25, np.bool_)
    for errors in each[:batches]:
        whole.measure(errors, every)
    other = RecentErrors(0.8, 64)
    other.measure(np.full(64, 100, np.float32), np.ones(64, np.bool_))
    other.take(whole.kept())
    assert np.array_equal(other.kept(), each[:batches].ravel()[-64:])
    assert other.threshold == pytest.approx(whole.threshold, nan_ok=True)
    for errors in each[batches:]:
        for mine, wanted in zip(
            other.measure(errors, every), whole.measure(errors, every), strict=True
        ):
            assert np.array_equal(mine, wanted)


@pytest.mark.parametrize("task", [Classification(4), Regression(0.7)])
def test_a_memory_of_samples_has_them(task):
    outputs, wanted = np.arange(10.0)[:, None] * np.ones(4), np.zeros(10, np.int64)
    if task.tells_values:
        outputs, wanted = outputs[:, :1], wanted[:, None]
    store = SampleStore(10, task)
    store.update(np.arange(10), outputs, wanted, 1)
    kept = keep_store(store)
    again = SampleStore(10, pickle.loads(pickle.dumps(task)))
    restore_store(again, kept)
    assert np.array_equal(again.loss, store.loss)
    recent = getattr(task, "recent", None)
    if recent is not None:  # of the model, not of the samples
        assert math.isnan(again.task.recent.threshold)
    restore_errors(again, kept)
    del kept["recent"]
    restore_errors(again, kept)  # as checkpoints of before are
    assert recent is None or again.task.recent.threshold == recent.threshold


def test_a_tasks_own_recent_is_no_errors():
    class Mine(Classification):
        recent = ()

    store = SampleStore(10, Mine(4))
    assert keep_store(store)["recent"] is None
    restore_errors(store, {"recent": [1.0]})


def test_losses_alone_leave_no_trace():
    logits, labels = rows(1, 4, odd=True)
    three, values = Classification(4), Regression()
    assert np.array_equal(
        three.losses(logits, labels),
        three.summarise(logits, labels).loss * (three.summarise(logits, labels).usable),
    )
    assert values.losses([[1, 2], [0, 0]], [[1, 4], [3, 3]]).tolist() == [2, 9]
    assert math.isnan(values.recent.threshold)


def test_culprits_are_found_by_the_tasks_own_loss():
    indices, inputs = np.arange(10, 16), np.zeros((6, 3), np.float32)
    logits = np.zeros((6, 2), np.float32)
    logits[4] = 0, 9
    found = find_culprits(indices, inputs, np.zeros(6, int), logits, task=Classification(2))
    assert (found.samples, found.in_data) == ((14,), False)
    values = find_culprits(indices, inputs, np.zeros(6), logits[:, 1], task=Regression())
    assert values.samples == (14,)
    shares = np.full((6, 2), 0.5)  # of another shape than the task's targets: nothing is said
    assert find_culprits(indices, inputs, shares, logits, task=Classification(2)).samples == ()


def test_the_scalar_whose_gradient_is_a_map():
    outputs = np.arange(12.0).reshape(4, 3)
    assert Classification(3).score(outputs, 2).tolist() == [2, 5, 8, 11]
    assert Regression().score(outputs[:, 0], 0).tolist() == [0, 3, 6, 9]
    x = torch.ones(2, 3, requires_grad=True)
    Classification(3).score(x * torch.tensor([1.0, 2.0, 3.0]), 1).sum().backward()
    assert x.grad.tolist() == [[0, 2, 0], [0, 2, 0]]


def test_what_a_backend_trains_is_what_it_names_or_what_its_classes_say():
    class Backend:
        num_classes, task = 3, None

    backend = Backend()
    assert repr(task_of(backend)) == "Classification(3)"
    backend.num_classes = 0
    assert repr(task_of(backend, error_quantile=0.6)) == "Regression(0.6)"
    for too_few in (1, -1):
        backend.num_classes = too_few
        with pytest.raises(ValueError, match=f"has {too_few} output"):
            task_of(backend)
    backend.task = Regression()
    assert task_of(backend) is backend.task


def test_chance_and_labels():
    three, values = Classification(3), Regression()
    assert (three.chance(), three.chance(0.9), three.chance(0.1)) == (1 / 3, 0.9, 1 / 3)
    assert (values.chance(), values.chance(0.9)) == (0, 0)
    assert [three.has_label(k) for k in (-1, 0, 2, 3)] == [False, True, True, False]
    assert not values.has_label(0)
    assert three.outcomes(None) == ["0", "1", "2"]
    assert three.outcomes(["a", "b", "c"]) == ["a", "b", "c"]
    assert values.outcomes(None) == ["usual error", "large error"]
    assert (three.explained(None), values.explained(None), values.explained(2)) == (None, 0, 2)
    shares = np.array([0.2, 0.5, 0.3], np.float32)
    assert list(three.likeliest(shares, 2)) == [1, 2]
    assert values.likeliest(shares, 2) == {}


def test_only_arrays_of_accelerators_are_elsewhere():
    for here in ([1.0], (1,), np.ones(2), torch.ones(2), np.float32(1), None):
        assert not is_elsewhere(here)
    assert is_elsewhere(torch.ones(2, device="meta"))
    with np.errstate(all="raise"):
        assert np.isinf(to_numpy([1e300], np.float32)).all()


@pytest.mark.parametrize("task", [Classification(4), Regression(0.7)])
def test_what_lies_on_a_device_is_reduced_there(task, monkeypatch):
    """Tensors stand in for those of an accelerator; of those only (B,) may be moved."""
    moved = []
    for module in (base, classification, regression):
        monkeypatch.setattr(module, "is_elsewhere", lambda a: isinstance(a, torch.Tensor))
    to_device = base.compat.to_device
    monkeypatch.setattr(
        base.compat, "to_device", lambda a, to: moved.append(tuple(a.shape)) or to_device(a, to)
    )
    rng = np.random.default_rng(0)
    given = rng.normal(size=(60, 4)).astype(np.float32)
    given[5, 1] = np.nan
    wanted = rng.integers(-1, 4, 60) if task.labelled else given + 1
    order, lengths = rng.permutation(60), [20, 20, 20]
    batches = np.split(order, np.cumsum(lengths)[:-1])
    here, there = SampleStore(60, task), SampleStore(60, pickle.loads(pickle.dumps(task)))
    for step in range(3):
        steps = [step] * 3
        one, _, _ = here.update_many(batches, given, wanted, steps)
        assert not moved
        other, _, _ = there.update_many(
            batches, torch.from_numpy(given), torch.from_numpy(wanted), steps
        )
        assert {len(shape) for shape in moved} == {1}
        moved.clear()
        assert one.non_finite.tolist() == other.non_finite.tolist()
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
    for name, array in here.arrays.items():
        assert np.allclose(array, getattr(there, name), rtol=1e-4, atol=1e-5), name


def test_names_that_a_person_gave_are_found_again_in_what_a_task_made_of_them():
    labels = ["red", "round", "wet"]
    assert given_names(MultiLabel(3).outcomes(labels)) == labels
    assert given_names(["cat", "dog"]) == ["cat", "dog"]
    assert given_names(Regression(0.8).outcomes(None)) is None
    assert given_names([]) is None
