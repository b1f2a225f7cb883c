"""Targets that are no class numbers: refused with a remedy that trains, or said to be values."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.backends.torch_parts import Items, N, backend, cnn, losses_of, pictures

IMAGES, LABELS = pictures()
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
MULTI_HOT = (np.random.default_rng(1).random((N, 4)) < 0.4).astype(np.float32)
SOFT = np.random.default_rng(2).dirichlet(np.ones(4), N).astype(np.float32)


def focal(logits, targets):
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return ((1 - (-each).exp()) ** 2 * each).mean()


OF_CLASSES = {
    "focal": focal,
    "BCE in a lambda": lambda o, t: F.binary_cross_entropy_with_logits(o, t),
    "BCE of probabilities": lambda o, t: F.binary_cross_entropy(o, t),
    "BCE of a sigmoid": lambda o, t: F.binary_cross_entropy(o.sigmoid(), t),
    "cross-entropy of shares": lambda o, t: F.cross_entropy(o, t),
    "dice": lambda o, t: 1 - 2 * (o.sigmoid() * t).sum() / (o.sigmoid().sum() + t.sum() + 1),
    "hinge": lambda o, t: (1 - (2 * t - 1) * o).clamp_min(0).mean(),
}
OF_VALUES = {
    "MSE": nn.MSELoss(),
    "MSE in a lambda": lambda o, t: F.mse_loss(o, t),
    "L1": F.l1_loss,
    "Huber": nn.HuberLoss(),
    "quantile": lambda o, t: torch.maximum(0.9 * (t - o), 0.1 * (o - t)).mean(),
}


@pytest.mark.parametrize("loss", OF_CLASSES.values(), ids=OF_CLASSES)
@pytest.mark.parametrize("items", [False, True])
def test_a_loss_for_classes_on_zeros_and_ones_is_no_regression(loss, items):
    data = Items(lambda i: (IMAGES[i], MULTI_HOT[i]), N) if items else (IMAGES, MULTI_HOT)
    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        backend(data, loss=loss)


@pytest.mark.parametrize("loss", OF_VALUES.values(), ids=OF_VALUES)
def test_a_loss_for_values_on_zeros_and_ones_is_one_and_says_so(loss):
    engine = backend((IMAGES, MULTI_HOT), loss=loss)
    assert engine.regression
    assert [s for s in engine.assumptions if "0 and 1 were taken for values" in s]
    assert len(engine.assumptions) == 1


def test_values_that_nobody_takes_for_classes_are_not_spoken_of():
    values = np.random.default_rng(0).normal(size=N)
    assert backend((IMAGES, values), model=cnn(1), loss=nn.MSELoss()).assumptions == []


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_one_hot_and_multi_hot_rows_are_told_apart(kind):
    with pytest.raises(ValueError, match=r"one-hot; .*labels\.argmax\(1\)"):
        backend((IMAGES, ONE_HOT.astype(kind)))
    with pytest.raises(
        ValueError, match="several labels a sample need task='multi_label'"
    ) as refused:
        backend((IMAGES, MULTI_HOT.astype(kind)))
    assert "argmax" not in str(refused.value)
    assert losses_of(backend((IMAGES, ONE_HOT.astype(kind).argmax(1))))[0]


@pytest.mark.parametrize("loss", [None, *OF_CLASSES.values()], ids=["none", *OF_CLASSES])
def test_soft_labels_are_called_so(loss):
    with pytest.raises(ValueError, match=r"soft labels, .* not supported so far"):
        backend((IMAGES, SOFT), loss=loss)


def test_the_remedy_for_a_column_of_labels_keeps_every_label():
    column = LABELS[:, None]
    for labels in (column, torch.from_numpy(column)):
        with pytest.raises(ValueError, match=r"integers of shape \(N,\): labels\[:, 0\]"):
            backend((IMAGES, labels))
        engine = backend((IMAGES, labels[:, 0]))
        assert np.array_equal(engine.labels(), LABELS)
    assert (
        losses_of(backend((IMAGES, column.ravel())))[0] == losses_of(backend((IMAGES, LABELS)))[0]
    )


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (MULTI_HOT[MULTI_HOT.sum(1) > 1][0], "several labels a sample"),
        (torch.tensor([0, 1, 1]), "several labels a sample"),
        (np.array([3, 7]), "several labels a sample"),
        (torch.tensor([0, 1, 0]), r"exactly one 1 give label\.argmax\(\)"),
        (np.zeros((8, 8), int), "a target for each place, such as a mask"),
    ],
)
def test_items_with_other_labels_are_refused_at_their_index(label, words):
    with pytest.raises(ValueError, match=rf"train_data\[0\]\[1\] is .*{words}"):
        backend(Items([(IMAGES[0], label)] * 8))


def test_masks_and_several_numbers_have_no_remedy_that_misleads():
    masks = np.random.default_rng(0).integers(0, 2, (N, 8, 8))
    for labels in (masks, masks.astype(np.float32)):
        with pytest.raises(ValueError, match="needs task='segmentation'") as refused:
            backend((IMAGES, labels))
        assert "argmax" not in str(refused.value)
    several = np.random.default_rng(0).integers(0, 4, (N, 3))
    with pytest.raises(ValueError, match=r"several labels a sample.*labels\[:, k\]"):
        backend((IMAGES, several))
    assert losses_of(backend((IMAGES, several[:, 1])))[0]


@pytest.mark.parametrize("loss", [lambda o, t: F.soft_margin_loss(o, t), nn.BCEWithLogitsLoss(),
                                  lambda o, t: (1 - o * t).clamp_min(0).mean()])  # fmt: skip
def test_a_binary_classifier_of_one_output_is_told_what_trains(loss):
    signs = (LABELS % 2 * 2 - 1).astype(np.float32)
    targets = (signs + 1) / 2 if isinstance(loss, nn.BCEWithLogitsLoss) else signs
    with pytest.raises(ValueError, match=r"two outputs and loss=torch\.nn\.CrossEntropyLoss"):
        backend((IMAGES, targets), model=cnn(1), loss=loss)
    assert losses_of(backend((IMAGES, LABELS % 2), model=cnn(2), loss=nn.CrossEntropyLoss()))[0]


def test_class_numbers_as_floating_point_are_recognised():
    def loss(logits, targets):
        return F.cross_entropy(logits, targets.long().ravel())

    labels = LABELS.astype(np.float32)
    with pytest.raises(ValueError, match=r"look like class numbers.*labels\.astype\('int64'\)"):
        backend((IMAGES, labels), loss=loss)
    assert losses_of(backend((IMAGES, labels.astype("int64")), loss=loss))[0]
    said = backend((IMAGES, labels), model=cnn(1), loss=nn.MSELoss()).assumptions
    assert "whole numbers from 0 to 3 were taken for values" in said[0]


def test_words_as_labels_are_refused_and_the_remedy_numbers_them():
    labels = np.array(["cat", "dog", "emu", "fox"])[LABELS]
    for given in (labels, list(labels)):
        with pytest.raises(ValueError, match=r"labels that are words.*names\.index"):
            backend((IMAGES, given))
    names = sorted(set(labels))
    numbers = np.array([names.index(label) for label in labels])
    assert np.array_equal(backend((IMAGES, numbers), num_classes=len(names)).labels(), LABELS)


def test_labels_counted_from_one_are_called_so():
    with pytest.raises(ValueError, match=r"from 1 to 4 for 4 classes.*labels - 1"):
        backend((IMAGES, LABELS + 1))


def test_one_output_for_class_numbers_is_refused_with_both_ways():
    for loss in (None, nn.BCEWithLogitsLoss(), nn.MSELoss()):
        with pytest.raises(ValueError, match=r"needs at least 2: .* this one 4.*To regress"):
            backend((IMAGES, LABELS), model=cnn(1), loss=loss)
    assert backend((IMAGES, LABELS.astype("float32")), model=cnn(1), loss=nn.MSELoss()).regression


def test_far_fewer_labels_than_outputs_are_said_unless_the_classes_are_named():
    said = backend((IMAGES, LABELS), model=cnn(1000)).assumptions
    assert len(said) == 1
    assert "Labels go from 0 to 3" in said[0]
    assert "1000 outputs" in said[0]
    assert backend((IMAGES, LABELS), model=cnn(1000), num_classes=1000).assumptions == []
    assert backend((IMAGES, LABELS), model=cnn(5)).assumptions == []


def test_probabilities_taken_for_logits_are_said():
    model = nn.Sequential(cnn(), nn.Softmax(1))
    assert "outputs are probabilities" in backend((IMAGES, LABELS), model=model).assumptions[0]
    assert backend((IMAGES, LABELS), model=nn.Sequential(cnn(), nn.LogSoftmax(1))).assumptions == []


def test_a_loop_of_ones_own_may_not_bring_several_labels_either():
    engine = backend((IMAGES, LABELS))
    logits, loss, indices = torch.zeros(3, 4), torch.tensor(0.5), np.arange(3)
    soft = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert engine.step_output(indices, logits, soft, loss, None).targets.tolist() == [0, 2, 3]
    column = torch.tensor([[1], [2], [3]])
    assert engine.step_output(indices, logits, column, loss, None).targets.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        engine.step_output(indices, logits, torch.ones(3, 4), loss, None)


def test_a_model_made_for_several_labels_gets_such():
    model = cnn()
    model.config = type("Config", (), {"problem_type": "multi_label_classification"})()
    with pytest.raises(ValueError, match="single_label_classification"):
        backend((IMAGES, LABELS), model=model)
    assert backend((IMAGES, MULTI_HOT), model=model).task.name == "multi_label"
    model.config.problem_type = "single_label_classification"
    assert backend((IMAGES, LABELS), model=model).num_classes == 4


def test_class_weights_that_are_no_mapping_are_refused_with_one():
    with pytest.raises(ValueError, match=r"class_weight=\[1, 2, 3, 4\] must be a mapping"):
        backend((IMAGES, LABELS), class_weight=[1, 2, 3, 4])
    assert backend((IMAGES, LABELS), class_weight=dict(enumerate([1, 2, 3, 4])))
