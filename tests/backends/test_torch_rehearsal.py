"""The rehearsed step: what does not fit is found before a thread starts, and nothing is changed."""

import random
import threading
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import coflect_widget as coflect
from coflect_widget.backends.torch import checks as torch_checks
from coflect_widget.backends.torch.rehearsal import rows_for
from tests.backends.torch_parts import Items, N, backend, cnn, losses_of, pictures

IMAGES, LABELS = pictures()
LABELS2 = LABELS % 2


def normalised():
    """Normalises features by the batch."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8),
        nn.Linear(8, 2),
    )  # fmt: skip


class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = normalised()

    def forward(self, x):
        return self.inner(x).detach()


class FailsInTraining(nn.Sequential):
    def forward(self, x):
        if self.training:
            raise RuntimeError("only for inference")
        return super().forward(x)


MISFITS = {
    "BCE with two outputs": ({"loss": nn.BCEWithLogitsLoss()}, r"loss=BCEWithLogitsLoss\(\) fails"),
    "MSE of class numbers": ({"loss": nn.MSELoss()}, r"loss=MSELoss\(\) fails"),
    "weights of three": (
        {"loss": nn.CrossEntropyLoss(weight=torch.ones(3))}, "weights of 3 classes.* 2 outputs",
    ),
    "weights in a function": (
        {"loss": lambda o, t: F.cross_entropy(o, t, weight=torch.ones(3))}, "all 2 classes",
    ),
    "a value for each": (
        {"loss": lambda o, t: F.cross_entropy(o, t, reduction="none")}, r"return loss\.mean\(\)",
    ),
    "three arguments": ({"loss": lambda o, t, w: 0}, "missing 1 required"),
    "a float": ({"loss": lambda o, t: F.cross_entropy(o, t).item()}, r"without \.item\(\)"),
    "a pair": ({"loss": lambda o, t: (F.cross_entropy(o, t), 1)}, "gives a tuple"),
    "detached": ({"loss": lambda o, t: F.cross_entropy(o, t).detach()}, "without a gradient"),
    "batches of one": ({"batch_size": 1}, "batch_size=2 or more"),
    "frozen": ({"model": normalised().requires_grad_(False)}, "nothing in the model can be"),
    "cut off": ({"model": Cut()}, "nothing in the model can be trained"),
    "fails in train mode": ({"model": FailsInTraining(normalised())}, "only for inference"),
    "changed in place": (
        {"model": nn.Sequential(normalised(), nn.Sigmoid(), nn.ReLU(inplace=True),
                                nn.Hardtanh(inplace=True))}, "gradient that can be computed",
    ),
    "on no device": ({"model": nn.Linear(3, 2, device="meta")}, r"to_empty\(device='cpu'\)"),
    "a class of losses": ({"loss": nn.CrossEntropyLoss}, r"pass an object of it"),
    "a word": ({"loss": "mse"}, r"must be a function"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_is_named_before_a_thread_starts(arguments, words, tmp_path):
    threads = threading.active_count()
    arguments = {"model": normalised(), **arguments}
    with pytest.raises((ValueError, TypeError), match=words):
        coflect.Session(
            arguments.pop("model"), (IMAGES, LABELS2), run_dir=tmp_path / "runs", **arguments
        )
    assert threading.active_count() == threads
    assert not (tmp_path / "runs").exists()


def test_one_sample_is_too_few_for_batch_normalisation_and_enough_without():
    with pytest.raises(ValueError, match="at least two samples"):
        backend((IMAGES[:1], LABELS2[:1]), model=normalised())
    held = normalised()
    held[3].eval()
    assert losses_of(backend((IMAGES, LABELS2), model=held, batch_size=1))[0]
    assert not held[3].running_mean.any()


class Drawing(Items):
    """Augments from the global generators and from one of its own."""

    def __init__(self):
        self.own = np.random.default_rng(5)
        super().__init__(self.read, N)

    def read(self, i):
        noise = torch.rand(1).item() + np.random.rand() + random.random() + self.own.random()  # noqa: NPY002
        return torch.from_numpy(IMAGES[i]) + 0.01 * noise, int(LABELS[i])


class Counting(nn.Module):
    """A loss with a state: each call weighs a little less."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, targets):
        self.calls += 1
        return F.cross_entropy(logits, targets) / self.calls


def counting():
    calls = 0

    def loss(logits, targets):
        nonlocal calls
        calls += 1
        return F.cross_entropy(logits, targets) / calls

    return loss


def holding(model):
    return lambda o, t: (
        F.cross_entropy(o, t) + 0.01 * sum(p.square().sum() for p in model.parameters())
    )


class Checkpointed(nn.Module):
    """Computes its features twice, the older way, which knows no gradients of single tensors."""

    def __init__(self):
        super().__init__()
        self.inner = cnn()

    def forward(self, x):
        return self.inner(checkpoint(lambda y: y, x.requires_grad_(), use_reentrant=True))


TRAININGS = {
    "plain": dict,
    "augmented": lambda: {"train": Drawing()},
    "a loss with a state": lambda: {"loss": Counting()},
    "a function with a state": lambda: {"loss": counting()},
    "a loss that holds the model": lambda: (lambda m: {"model": m, "loss": holding(m)})(cnn()),
    "class weights": lambda: {"class_weight": {0: 3.0}},
    "a regression": lambda: {
        "train": (IMAGES, IMAGES.mean((1, 2, 3))), "model": cnn(1), "loss": nn.MSELoss(),
    },
    "checkpoints": lambda: {"model": Checkpointed()},
    "mixed precision": lambda: {"config": {"mixed_precision": True}},
}  # fmt: skip


@pytest.mark.parametrize("make", TRAININGS.values(), ids=TRAININGS)
def test_training_is_the_same_bit_for_bit_as_without(make, monkeypatch):
    def trained():
        arguments = {"train": (IMAGES, LABELS), **make()}
        torch.manual_seed(11)
        np.random.seed(11)  # noqa: NPY002
        random.seed(11)
        engine = backend(arguments.pop("train"), **arguments)
        drawn = (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())  # noqa: NPY002
        return drawn, *losses_of(engine, epochs=2)

    rehearsed = []
    real = torch_checks.rehearse

    def watched(*arguments, **more):
        found = real(*arguments, **more)
        rehearsed.append(found[0])
        return found

    monkeypatch.setattr(torch_checks, "rehearse", watched)
    with_it = trained()
    assert rehearsed[0] is not None  # it took place, on a copy
    monkeypatch.setattr(torch_checks, "rehearse", lambda *_, **__: (None, ""))
    without = trained()
    assert with_it[:2] == without[:2]
    assert all(torch.equal(a, b) for a, b in zip(with_it[2], without[2], strict=True))


def test_gradients_modes_and_weights_are_left_alone():
    model = cnn()
    model[1].eval()
    model(torch.from_numpy(IMAGES[:4])).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = [(p.grad, p.grad.clone()) for p in model.parameters()]
    with torch.no_grad():  # as a cell may have left it
        backend((IMAGES, LABELS), model=model, loss=holding(model))
    assert [m.training for m in model] == [True, False, True, True, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for parameter, (gradient, values) in zip(model.parameters(), kept, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, values)


def each(logits, targets):
    return F.cross_entropy(logits, targets, reduction="none")


class Uncopyable(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.lock = cnn(), threading.Lock()

    def forward(self, x):
        return self.inner(x)


class SharesItself(nn.Sequential):
    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("model", [Uncopyable, lambda: SharesItself(cnn())])
def test_a_model_without_a_copy_is_rehearsed_forward_only(model):
    made = model()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    engine = backend((IMAGES, LABELS), model=made)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
    assert losses_of(engine)[0]
    with pytest.raises(ValueError, match="a value for each sample"):
        backend(
            (IMAGES, LABELS),
            model=model(),
            loss=lambda o, t: F.cross_entropy(o, t, reduction="none"),
        )
    with pytest.raises(ValueError, match="requires_grad=False"):
        backend((IMAGES, LABELS), model=model().requires_grad_(False))


def test_the_copy_is_gone_afterwards():
    copies = []

    class Seen(nn.Sequential):
        def __deepcopy__(self, memo):
            twin = Seen(cnn())
            copies.append(weakref.ref(twin))
            return twin

    backend((IMAGES, LABELS), model=Seen(cnn()))
    assert copies
    assert all(copy() is None for copy in copies)


def test_a_loss_with_nothing_to_compare_in_a_few_rows_is_no_misfit():
    def rare(logits, targets):
        chosen = targets == 3
        return (
            F.cross_entropy(logits[chosen], targets[chosen])
            if chosen.sum() > 2
            else torch.zeros(())
        )

    assert backend((IMAGES, LABELS), loss=rare, batch_size=96).num_classes == 4


def test_rows_are_few_and_never_as_many_as_outputs():
    assert rows_for(64, 8, 10, 100) == 4
    assert rows_for(64, 8, 4, 100) == 3
    assert rows_for(1, 8, 10, 100) == 1
    assert rows_for(64, 8, 10, 10**7) == 2
    assert rows_for(2, 8, 2, 100) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_type_train_by_the_remedy_also_where_doubles_are_the_default(dtype):
    with pytest.raises(ValueError, match=r"pass model\.float\(\)"):
        backend((IMAGES, LABELS), model=cnn().to(dtype))
    torch.set_default_dtype(torch.float64)
    try:
        assert losses_of(backend((IMAGES.astype("float64"), LABELS), model=cnn().float()))[0]
    finally:
        torch.set_default_dtype(torch.float32)
