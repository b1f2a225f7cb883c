"""When a schedule of torch takes its steps."""

import pytest
import torch

from coflect_widget.data import synthetic
from tests.backends.test_torch_backend import make_backend, make_model


@pytest.fixture(scope="module")
def data():
    return synthetic(n=100)


def test_a_schedule_steps_at_each_epochs_end(data):
    schedulers = torch.optim.lr_scheduler
    backend = make_backend(data, scheduler=lambda o: schedulers.StepLR(o, 1, gamma=0.1))
    assert backend.learning_rate() == pytest.approx(1e-3)
    backend.optimizer.step()
    backend.end_epoch({})
    assert backend.learning_rate() == pytest.approx(1e-4)
    backend = make_backend(
        data, val=data, scheduler=lambda o: schedulers.ReduceLROnPlateau(o, factor=0.1, patience=0)
    )
    for loss in (1.0, 1.0):
        backend.end_epoch({"loss": loss})
    assert backend.learning_rate() == pytest.approx(1e-4)


def test_a_schedule_that_counts_in_batches_steps_after_each(data):
    schedulers = torch.optim.lr_scheduler
    make = lambda o: schedulers.OneCycleLR(o, max_lr=0.5, epochs=2, steps_per_epoch=7)  # noqa: E731
    backend = make_backend(data, scheduler=make)
    rates = []
    for epoch in range(3):
        for batch in backend.train_batches(epoch):
            backend.train_step(batch)
            rates.append(backend.learning_rate())
        backend.end_epoch({})
        assert len(backend.warnings) == (epoch == 2)  # it has ended
    assert max(rates) == pytest.approx(0.5, rel=0.05)
    assert rates[13] < 1e-4
    assert rates[-1] == rates[13]
    with pytest.raises(ValueError, match=r"OneCycleLR of 5 steps.*steps_per_epoch=7"):
        make_backend(data, scheduler=lambda o: schedulers.OneCycleLR(o, 0.5, total_steps=5))


def test_a_cyclic_schedule_goes_up_and_down_by_batches(data):
    cyclic = torch.optim.lr_scheduler.CyclicLR
    backend = make_backend(
        data, scheduler=lambda o: cyclic(o, 0.01, 0.1, step_size_up=3, cycle_momentum=False)
    )
    rates = []
    for batch in backend.train_batches(0):
        backend.train_step(batch)
        rates.append(backend.learning_rate())
    backend.end_epoch({})
    assert rates == pytest.approx([0.04, 0.07, 0.1, 0.07, 0.04, 0.01, 0.04])
    assert backend.learning_rate() == rates[-1]


def test_a_plateau_of_the_maximum_is_one_of_the_accuracy(data):
    make = torch.optim.lr_scheduler.ReduceLROnPlateau
    backend = make_backend(data, val=data, scheduler=lambda o: make(o, "max", 0.1, patience=0))
    for loss, accuracy in ((2.0, 0.5), (1.0, 0.6), (0.5, 0.7)):
        backend.end_epoch({"loss": loss, "accuracy": accuracy})
    assert backend.learning_rate() == pytest.approx(1e-3)
    backend.end_epoch({"loss": 3.0, "accuracy": 0.7})
    assert backend.learning_rate() == pytest.approx(1e-4)


def test_a_schedule_of_another_optimizer_is_refused(data):
    other = torch.optim.SGD(make_model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="another optimizer"):
        make_backend(data, scheduler=torch.optim.lr_scheduler.ConstantLR(other))
    with pytest.raises(TypeError, match="function that makes one"):
        make_backend(data, scheduler="cosine")
    with pytest.raises(ValueError, match="give val_data"):
        make_backend(data, scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau)
