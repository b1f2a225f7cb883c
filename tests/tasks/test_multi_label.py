"""Several labels a sample: what outputs come to, what is refused, and a training with maps."""

import array_api_compat.torch as xp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coflect_widget.backends.guided_outputs import OfLabels
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.guidance.passes import effect
from coflect_widget.tasks import MultiLabel
from coflect_widget.telemetry.store import SampleStore
from tests.backends.torch_parts import Items, N, backend, losses_of, pictures

IMAGES, LABELS = pictures()
HOT = (np.random.default_rng(1).random((N, 4)) < 0.4).astype(np.float32)


def test_a_sample_is_its_worst_label():
    logits = np.array([[2, -1, 0.5], [2, -1, 0.5], [3, -2, 1], [0, 1, 1]], np.float32)
    targets = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 1]], np.float32)
    found = MultiLabel(3).summarise(logits, targets).on_host()
    assert found.right.tolist() == [True, False, False, False]
    assert found.margin.tolist() == [0.5, -2, -1, 0]
    assert found.target.tolist() == [2, 3, 5, 0]  # there; label 0 is not; label 2 is not; there
    assert found.predicted.tolist() == [2, 0, 2, 3]
    each = F.binary_cross_entropy_with_logits(
        torch.from_numpy(logits), torch.from_numpy(targets), reduction="none"
    )
    assert np.allclose(found.loss, each.mean(1), atol=1e-6)
    assert MultiLabel(3).outcomes(["a", "b", "c"])[found.target[1]] == "no a"


@pytest.mark.parametrize("seed", range(4))
def test_on_a_device_the_same_comes_out(seed):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(50, 5)) * 5).astype(np.float32)
    targets = (rng.random((50, 5)) < 0.4).astype(np.float32)
    logits[::9], logits[3, 1], targets[4, 2], targets[5, 0] = 0.0, np.nan, np.nan, 2.0
    task, given = MultiLabel(5), rng.random(50).astype(np.float32) if seed % 2 else None
    expected = task.summarise(logits, targets, given).on_host()
    tensors = [None if x is None else torch.from_numpy(x) for x in (logits, targets, given)]
    found = task._measured(xp, *tensors, torch.arange(5)).on_host()
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert np.allclose(one, other, rtol=1e-5, atol=1e-5)
    assert expected.usable.tolist().count(False) == 3
    assert expected.labelled.tolist().count(False) == 2
    assert np.array_equal(expected.right, expected.predicted == expected.target)


def test_the_store_remembers_sample_and_label():
    store = SampleStore(N, MultiLabel(4))
    logits = np.where(HOT > 0, 3.0, -3.0).astype(np.float32)
    logits[7] = -logits[7]
    store.update(np.arange(N), logits, HOT, 1)
    assert store.correct[store.seen].sum() == N - 1
    assert not store.correct[7]
    assert store.target[7] in (0, 4)
    assert store.predicted[7] in (0, 4)


def test_a_plain_loss_is_recognised_and_said_and_one_of_a_persons_own_is_named():
    for loss in (nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits,
                 nn.MultiLabelSoftMarginLoss()):  # fmt: skip
        engine = backend((IMAGES, HOT), loss=loss)
        assert isinstance(engine.task, MultiLabel)
        assert any("taken for 4 labels" in said for said in engine.assumptions)
    for labels in (HOT.astype(np.int64), HOT.astype(bool)):
        assert isinstance(backend((IMAGES, labels), task="multi_label").task, MultiLabel)
    items = Items(lambda i: (IMAGES[i], HOT[i].astype(np.int64)), N)
    arrays = losses_of(backend((IMAGES, HOT), task="multi_label"))[0]
    assert losses_of(backend(items, task="multi_label"))[0] == arrays
    own = lambda o, t: F.binary_cross_entropy_with_logits(o, t) * 2  # noqa: E731
    with pytest.raises(ValueError, match="task='multi_label'"):
        backend((IMAGES, HOT), loss=own)
    engine = backend((IMAGES, HOT), loss=own, task="multi_label")
    assert engine.assumptions == []
    assert np.allclose(losses_of(engine)[0][0], 2 * arrays[0])


def test_rows_without_a_label_are_fine_and_smoothed_ones_are_measured_by_the_hard_label():
    assert (HOT.sum(1) == 0).any()
    smooth = (HOT * 0.9 + 0.05).astype(np.float32)
    engine = backend((IMAGES, smooth), task="multi_label")
    assert any("counts as there" in said for said in engine.assumptions)
    logits = np.where(HOT > 0, 1.0, -1.0).astype(np.float32)
    assert engine.task.summarise(logits, smooth).on_host().right.all()


@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [
        (LABELS, {"task": "multi_label"}, r"has class numbers \(N,\): leave task= out"),
        (HOT[:, :1], {"task": "multi_label"}, "two labels or more"),
        (HOT * 3, {"task": "multi_label"}, "target 3 at index .*needs 1 where a label is there"),
        (HOT, {"task": "several"}, "expected 'multi_label'"),
        (HOT, {"task": "multi_label", "class_weight": {0: 2.0}}, "pos_weight"),
        (HOT, {"task": "multi_label", "num_classes": 3}, "names 3 labels"),
        (HOT[:, :3], {"task": "multi_label"}, "model has 4 outputs but train_data has targets"),
        (np.eye(4, dtype=np.float32)[LABELS], {"loss": nn.BCEWithLogitsLoss()}, "one-hot"),
    ],
)  # fmt: skip
def test_what_cannot_be_labels_is_refused_with_a_remedy(labels, given, words):
    with pytest.raises(ValueError, match=words):
        backend((IMAGES, labels), **given)


def test_data_of_mixed_kinds_are_refused():
    def mixed(i):
        return IMAGES[i], HOT[i] if i % 2 == 0 else int(LABELS[i])

    with pytest.raises(ValueError, match="give all of them as class numbers, or all as"):
        backend(Items(mixed, N), task="multi_label")


def test_what_moves_all_labels_alike_is_an_effect():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    ops = OfLabels(TorchOps())
    before, after = (ops.beside(given, None) for given in (logits, logits + 2))
    moved, still = effect(ops, before, after), effect(ops, before, before)
    assert moved.min() > 0.5
    assert still.max() == 0


def scenes(rng, count):
    """Pictures of two places that say a label each, and a corner that says label 0 as well."""
    there = (rng.random((count, 2)) < 0.5).astype(np.float32)
    x = rng.normal(0, 0.3, (count, 1, 12, 12)).astype(np.float32)
    x[there[:, 0] == 1, :, 1:5, 1:5] += 0.5
    x[there[:, 1] == 1, :, 1:5, 7:11] += 2
    x[there[:, 0] == 1, :, 9:12, 9:12] += 3
    return x, there


def test_a_session_names_maps_and_guides_labels(make_session):
    x, y = scenes(np.random.default_rng(0), 128)
    y[5] = 1 - y[5]  # a spoilt row
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 2),
    )  # fmt: skip
    session = make_session(
        model, (x, y), (x, y), classes=["left", "right"], task="multi_label", batch_size=16,
        optimizer=lambda weights: torch.optim.Adam(weights, 0.01),
    )  # fmt: skip
    session.train(epochs=4)
    session.wait(240)
    metrics = session.metrics
    assert 0.9 < metrics["val_label_accuracy"] < 1
    assert 0.9 < metrics["val_macro_f1"] < 1
    queues = [event.data for event in session.events("forecast") if event.data.index]
    assert queues
    for queue in queues:
        for index, code in zip(queue.index, queue.target, strict=True):
            assert (code < 2) == y[index, code % 2]  # the label as it is in the data
        assert [p % 2 for p in queue.predicted] == [t % 2 for t in queue.target]
    wrong = session._parts.forecaster.store
    assert np.flatnonzero(~wrong.correct).tolist() == [5]
    assert session.events("forecast")[-1].data.wrong == 1
    named = [session.classes[code] for code in (wrong.target[5], wrong.predicted[5])]
    assert named in (
        ["left", "no left"], ["no left", "left"], ["right", "no right"], ["no right", "right"],
    )  # fmt: skip
    sample = int(np.flatnonzero(y.all(1))[-1])
    left = session.explain(sample, target="left")
    right = session.explain(sample, target="right")
    assert (left.explained, right.explained) == (0, 1)
    assert left.labels == (0, 1)
    assert left.target == 0
    # each label has a probability and a map of its own
    assert sum(left.top_probs) > 1.2
    assert right.map[1:5, 7:11].mean() > left.map[1:5, 7:11].mean()
    with pytest.raises(ValueError, match="expected one of 'left', 'right'"):
        session.explain(sample, target="middle")
    with pytest.raises(ValueError, match="have no one class"):
        session.feedback(sample, ignore=(0.7, 0.7, 1, 1), scope="class")
    made = session.feedback(sample, ignore=(0.7, 0.7, 1, 1))
    assert "fill" in made.record.loss
    session.train(epochs=4)
    session.wait(240)
    clean = x.copy()
    clean[:, :, 9:12, 9:12] = np.random.default_rng(1).normal(0, 0.3, (128, 1, 3, 3))
    with torch.no_grad():
        said = session._backend.model.eval()(torch.from_numpy(clean)).numpy() > 0
    assert (said == y.astype(bool)).mean() > 0.9
    assert session.metrics["guidance_loss"] > 0
    maps = [e.data for e in session.events("overlay") if e.data.index == sample]
    (of_right,) = [one for one in maps if one.explained == 1]
    assert of_right.labels == [0, 1]
    session.save_html(session.run.path / "saved.html")
