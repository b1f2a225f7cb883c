"""The Torch backend: what it refuses, and that equal seeds give equal runs."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coflect_widget.backends.base import NonFiniteLossError, processors
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic
from coflect_widget.data.arrays import ArrayDataset


def make_model(outputs=4, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(8, outputs),
    )  # fmt: skip


def make_backend(train, val=None, model=None, *, num_classes=4, config=None, **arguments):
    options = {"loss": None, "optimizer": None, "scheduler": None, "batch_size": 16, **arguments}
    return TorchBackend(
        model or make_model(), train, val, num_classes=num_classes,
        config=Config.from_mapping(config), **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return synthetic(n=100)


class Pairs:
    """A map-style data set of whatever it is given."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def image(side=32):
    return np.zeros((3, side, side), np.float32)


@pytest.mark.parametrize(
    ("train", "error", "words"),
    [
        ((np.zeros((0, 3, 32, 32), np.float32), np.zeros(0, int)), ValueError, "is empty"),
        (Pairs([]), ValueError, "is empty"),
        ((image()[None], np.array([4])), ValueError, r"label 4 at index 0, outside 0\.\.3"),
        (Pairs([(image(), 0)] * 9 + [(image(), -1)]), ValueError, "label -1 at index 9"),
        (Pairs([(image(), 0), (image(16), 0)]), ValueError, r"\(3, 16, 16\).*one shape"),
        (Pairs([(image(), 0, 0), (image(), 0, 7)]), ValueError, "its index is 7"),
        (Pairs([(image(), 0, "cat.png")]), ValueError, r"'cat\.png'; the third element must"),
        (Pairs([(image(), 0, image())]), ValueError, r"index is of shape \(3, 32, 32\)"),
        (Pairs([(image(), "cat")]), ValueError, r"'cat'; a label must be one.*names\.index"),
        (Pairs([(image(), None)]), ValueError, "None; .*give each sample a label"),
        (Pairs([(image(), torch.tensor([0, 1]))]), ValueError, r"\(2,\).*label\.argmax\(\)"),
        ((image()[None], np.array([[0, 1]])), ValueError, r"one-hot; .*labels\.argmax\(1\)"),
        ((image()[None, 0], np.array([0])), ValueError, r"\(32, 32\).*add the channel"),
        ((image()[None, 0, 0], np.array([0])), ValueError, r"\(1, 32\).*rows of a table"),
        (Pairs([(image(),)]), ValueError, r"expected \(x, y\)"),
        (Pairs([("cat.png", 0)]), ValueError, "add a transform"),
        ((image()[None], np.array([0, 1])), ValueError, "1 inputs but 2 labels"),
        ((image()[None], np.array([0.5])), ValueError, "class numbers as integers"),
        ((image()[None].astype(np.uint8), np.array([0])), ValueError, r"astype\('float32'\)"),
        (DataLoader(TensorDataset(torch.zeros(1), torch.zeros(1))), TypeError, r"loader\.dataset"),
        (3, TypeError, "neither a map-style data set"),
    ],
)
def test_bad_data_is_named_with_the_remedy(train, error, words):
    with pytest.raises(error, match=words):
        make_backend(train)


def test_labels_and_inputs_in_unusual_clothes_are_taken_as_they_are_meant(data):
    images, labels = data.images, [int(label) for label in data.labels]
    arrays = Pairs([(x, np.array([y])) for x, y in zip(images, labels, strict=True)])
    leaves = Pairs(
        [(nn.Parameter(torch.from_numpy(x)), y) for x, y in zip(images, labels, strict=True)]
    )
    leaves.targets = [[1] * (i % 3) for i in range(len(labels))]  # ragged, and of something else
    expected = train(make_backend(data), epochs=1)[0]
    for train_data in ((images, labels), arrays, leaves):
        assert train(make_backend(train_data), epochs=1)[0] == expected


def test_a_label_that_no_probe_met_and_is_none_is_named(data):
    items = [(image(), 0)] * 300
    items[2] = (image(), 0.7)
    with pytest.raises(ValueError, match=r"train_data\[2\]\[1\] is 0\.7; a label must be one"):
        list(make_backend(Pairs(items)).train_batches(0))


def test_a_loss_of_each_sample_and_a_model_of_another_type_are_refused(data):
    with pytest.raises(ValueError, match=r'make it with reduction="mean"'):
        make_backend(data, loss=nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(ValueError, match=r"weights of torch\.float64.*pass model\.float\(\)"):
        make_backend(data, model=make_model().double())


WEIGHT = torch.tensor([0.0, 0.5, 1.0, 4.0])


@pytest.mark.parametrize(
    "options",
    [
        {"loss": nn.CrossEntropyLoss(weight=WEIGHT)},
        {"loss": nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2)},
        {"loss": nn.CrossEntropyLoss(ignore_index=1)},
        {"class_weight": dict(enumerate(WEIGHT.tolist()))},
    ],
)
def test_the_validation_loss_is_that_of_all_samples_as_one_batch(data, options):
    images = np.tile(data.images, (2, 1, 1, 1))
    labels = np.sort(np.tile(data.labels, 2))  # batches of few classes
    backend = make_backend(data, val=(images, labels), **options)
    with torch.no_grad():
        logits = backend.model.eval()(torch.from_numpy(images))
        expected = float(backend.loss(logits, torch.from_numpy(labels)))
    assert backend.evaluate(lambda: True)["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_summed_loss_is_validated_on_the_scale_of_training(data):
    # Two batches of 50 for training, one of 100 for validation.
    model = make_model()
    model[4].p = 0.0
    backend = make_backend(
        data, val=data, model=model, batch_size=50, loss=nn.CrossEntropyLoss(reduction="sum"),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
    )  # fmt: skip
    losses = [float(backend.train_step(batch).loss) for batch in backend.train_batches(0)]
    assert backend.evaluate(lambda: True)["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_model_that_does_not_match_the_classes_says_both_numbers(data):
    with pytest.raises(ValueError, match="4 outputs but classes= names 3"):
        make_backend(data, num_classes=3)


def test_a_model_that_cannot_read_the_images_says_which_shape_it_met(data):
    with pytest.raises(ValueError, match=r"fails on a batch of shape \(1, 3, 32, 32\)"):
        make_backend(data, model=nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 4)))


def test_it_fills_the_processors_unless_told_to_use_fewer_threads(data):
    backend = make_backend(data)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(processors() + 1)
        assert backend.fills_processors
        if processors() > 1:
            torch.set_num_threads(processors() - 1)
            assert not backend.fills_processors
    finally:
        torch.set_num_threads(threads)


def test_a_device_that_is_not_there_says_what_to_use(data):
    with pytest.raises(ValueError, match="use 'cpu'"):
        make_backend(data, config={"device": "cuda:7"})


def test_an_optimizer_of_another_model_is_refused(data):
    other = torch.optim.SGD(make_model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="none of the model's parameters"):
        make_backend(data, optimizer=other)
    with pytest.raises(TypeError, match="function that makes one"):
        make_backend(data, optimizer="adam")
    with pytest.raises(ValueError, match=r"LBFGS.*use another"):
        make_backend(data, optimizer=torch.optim.LBFGS)


class Drawing(Pairs):
    """A data set that augments: reading it draws from the global generator."""

    def __getitem__(self, index):
        x, y = self.items[index]
        return x + 0.01 * torch.rand(1).numpy(), y


def test_a_data_set_that_draws_is_recognised_and_reading_for_a_picture_moves_nothing(data):
    items = [(data.images[i], int(data.labels[i])) for i in range(len(data))]
    assert not make_backend(Pairs(items)).reads_at_boundary
    model = make_model()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    backend = make_backend(Drawing(items), model=model)
    assert backend.reads_at_boundary
    backend.read_sample(5)
    assert torch.equal(before, torch.get_rng_state())


class Blank(TensorDataset):
    """Changes what it is made of as it is read, as augmentation does."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return torch.zeros_like(x), y


class BlankArrays(ArrayDataset):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return np.zeros_like(x), y


def test_a_data_set_that_augments_is_read_item_by_item(data):
    tensors = Blank(torch.from_numpy(data.images), torch.from_numpy(data.labels))
    arrays = BlankArrays(data.images, data.labels, data.classes)
    for augmenting in (tensors, arrays):
        backend = make_backend(augmenting)
        assert not backend.read_sample(3).input.any()
        assert not next(backend.train_batches(0)).inputs.any()


def test_labels_of_items_count_more_than_an_attribute(data):
    odd = Pairs([(data.images[i], int(data.labels[i]) % 2) for i in range(len(data))])
    odd.targets = [9] * len(data)  # as before a target_transform
    assert make_backend(odd, model=make_model(2), num_classes=2).labels().max() == 1


@pytest.mark.parametrize(
    ("item", "words"),
    [((image(), 7), r"label 7 at index 2,"), ((image(16), 0), r"train_data\[2\] has shape")],
)
def test_what_no_probe_met_is_named_when_it_is_met(item, words):
    items = [(image(), 0)] * 300
    items[2] = item
    backend = make_backend(Pairs(items))
    assert 2 not in backend.train_source.probes()
    with pytest.raises(ValueError, match=words):
        list(backend.train_batches(0))


def test_validation_data_of_another_shape_is_refused(data):
    with pytest.raises(ValueError, match="val_data has inputs of shape"):
        make_backend(data, val=(image(16)[None], np.array([0])))


def test_validation_leaves_frozen_layers_frozen(data):
    backend = make_backend(data, val=data)
    backend.model.train()
    backend.model[4].eval()
    backend.evaluate(lambda: True)
    assert not backend.model[4].training
    assert backend.model[0].training


def normalised():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 4),
    )  # fmt: skip


def test_frozen_layers_stay_so_after_an_evaluation_of_the_users(data):
    model = normalised()
    model[1].eval()
    backend = make_backend(data, model=model)
    for epoch in range(2):
        model.eval()
        backend.train_step(next(backend.train_batches(epoch)))
        assert model.training
        assert not model[1].running_mean.any()
    model.train()  # the user's own word
    model[0].eval()
    next(backend.train_batches(2))
    model.eval()
    backend.train_step(next(backend.train_batches(3)))
    assert model[1].running_mean.any()
    assert not model[0].training


def test_a_picture_that_is_not_finite_spoils_no_running_statistics(data):
    images = data.images.copy()
    images[7] = np.nan
    model = normalised()
    model.register_buffer("mask", torch.tensor([0.0, -np.inf]))  # some are so by right
    backend = make_backend((images, data.labels), model=model, batch_size=100)
    model[1].running_mean.fill_(0.5)
    batch = next(backend.train_batches(0))
    with pytest.raises(
        NonFiniteLossError, match=r"nan; 1\.running_mean, 1\.running_var .* set back"
    ):
        backend.train_step(batch)
    assert (model[1].running_mean == 0.5).all()
    assert torch.equal(model[1].running_var, torch.ones(8))
    assert model.mask[1] == -np.inf


def test_checking_a_model_leaves_its_modes_as_they_were(data):
    model = make_model()
    model[0].eval()
    make_backend(data, model=model)
    assert [module.training for module in model] == [False, True, True, True, True, True]


def train(backend, epochs=2):
    backend.begin()
    losses = [
        float(backend.train_step(batch).loss)
        for epoch in range(epochs)
        for batch in backend.train_batches(epoch)
    ]
    return losses, [p.detach().clone() for p in backend.model.parameters()]


def test_equal_seeds_give_equal_runs_and_another_seed_another(data):
    runs = [train(make_backend(data, config={"seed": seed})) for seed in (0, 0, 1)]
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))
    assert runs[0][0] != runs[2][0]


@pytest.mark.parametrize("draw", [np.random.rand, random.random])
def test_equal_seeds_give_equal_runs_also_of_augmentation_that_torch_does_not_draw(data, draw):
    class Noisy(Pairs):
        def __getitem__(self, index):
            x, y = self.items[index]
            return x + np.float32(0.1 * draw()), y

    items = [(data.images[i], int(data.labels[i])) for i in range(len(data))]
    runs = [train(make_backend(Noisy(items)), epochs=1)[0] for _ in range(2)]
    assert runs[0] == runs[1]


def test_arrays_and_a_map_style_data_set_train_alike(data):
    items = Pairs([(data.images[i], int(data.labels[i])) for i in range(len(data))])
    assert train(make_backend(data))[0] == train(make_backend(items))[0]


def test_an_epoch_shows_every_sample_once_and_a_begun_one_goes_on(data):
    backend = make_backend(data)
    whole = [batch.indices for batch in backend.train_batches(3)]
    assert sorted(np.concatenate(whole)) == list(range(100))
    rest = [batch.indices for batch in backend.train_batches(3, skip=4)]
    assert all(np.array_equal(a, b) for a, b in zip(whole[4:], rest, strict=True))


def test_no_batch_of_one_for_batch_normalisation(data):
    backend = make_backend(data, batch_size=33)  # 100 = 3 * 33 + 1
    sizes = [len(batch.indices) for batch in backend.train_batches(0)]
    assert sizes == [33, 33, 34]
    assert backend.steps_per_epoch == 3


def test_batches_of_one_are_as_many_as_samples(data):
    backend = make_backend(data, batch_size=1)
    assert [len(batch.indices) for batch in backend.train_batches(0)] == [1] * 100
    assert backend.steps_per_epoch == 100


def test_what_a_step_leaves_behind_holds_no_graph(data):
    backend = make_backend(data)
    batch = next(backend.train_batches(0))
    output = backend.train_step(batch)
    assert not output.logits.requires_grad
    assert output.indices is batch.indices
    assert output.targets is batch.targets


def test_a_non_finite_loss_changes_no_weight(data):
    backend = make_backend(data, loss=lambda logits, targets: logits.sum() * float("nan"))
    before = [p.detach().clone() for p in backend.model.parameters()]
    with pytest.raises(NonFiniteLossError):
        backend.train_step(next(backend.train_batches(0)))
    after = backend.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_evaluation_is_exact_and_gives_up_at_a_boundary(data):
    backend = make_backend(data, val=data)
    model = backend.model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(data.images))
    expected = float((logits.argmax(1).numpy() == data.labels).mean())
    assert backend.evaluate(lambda: True)["accuracy"] == pytest.approx(expected)
    model.train()
    assert backend.evaluate(lambda: False) is None
    assert model.training
