"""Whether a schedule of the learning rate counts batches or epochs, and what is said of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from coflect_widget.backends.torch.schedules import unit_of
from tests.backends.torch_parts import backend, losses_of, pictures

EPOCHS, PER_EPOCH = 4, 25
STEPS = EPOCHS * PER_EPOCH


def warm_up(o, warm=6, steps=STEPS):
    """As transformers makes it: 0 at first, and 0 at the end."""
    return schedules.LambdaLR(
        o, lambda t: t / warm if t < warm else max(0.0, (steps - t) / (steps - warm))
    )


def sequence(o, warm, steps):
    first = schedules.LinearLR(o, 0.01, total_iters=warm)
    return schedules.SequentialLR(o, [first, schedules.CosineAnnealingLR(o, steps - warm)], [warm])


IN_STEPS = {
    "warm-up from 0": warm_up,
    "warm-up from 0, then constant": lambda o: schedules.LambdaLR(o, lambda t: min(1.0, t / 500)),
    "line down to 0": lambda o: schedules.LambdaLR(o, lambda t: max(0.0, 1 - t / STEPS)),
    "half a cosine": lambda o: schedules.LambdaLR(
        o, lambda t: max(0.0, 0.5 * (1 + np.cos(np.pi * t / STEPS)))
    ),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, STEPS),
    "warm-up, then cosine": lambda o: sequence(o, 10, STEPS),
    "polynomial": lambda o: schedules.PolynomialLR(o, STEPS, power=0.9),
    "linear": lambda o: schedules.LinearLR(o, 1.0, 0.01, total_iters=STEPS),
    "long warm-up": lambda o: schedules.LinearLR(o, 0.001, total_iters=500),
    "chained": lambda o: schedules.ChainedScheduler(
        [schedules.LinearLR(o, 0.1, total_iters=10), schedules.CosineAnnealingLR(o, STEPS)]
    ),
}
IN_EPOCHS = {
    "steps": lambda o: schedules.StepLR(o, 2),
    "milestones": lambda o: schedules.MultiStepLR(o, [2, 3]),
    "exponential": lambda o: schedules.ExponentialLR(o, 0.95),
    "power": lambda o: schedules.LambdaLR(o, lambda t: 0.95**t),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, EPOCHS),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 2),
    "line": lambda o: schedules.LambdaLR(o, lambda t: max(0.0, 1 - t / EPOCHS)),
    "warm-up": lambda o: schedules.LinearLR(o, total_iters=2),
    "warm-up, then cosine": lambda o: sequence(o, 2, EPOCHS),
    "table": lambda o: schedules.LambdaLR(o, lambda t: [1, 0.5, 0.2, 0.1, 0.1][t]),
    "constant": lambda o: schedules.LambdaLR(o, lambda t: 1.0),
}
DOUBTFUL = {
    "cosine of 50": lambda o: schedules.CosineAnnealingLR(o, 50),
    "a fall after 30": lambda o: schedules.StepLR(o, 30),
    "falls at 30 and 60": lambda o: schedules.MultiStepLR(o, [30, 60]),
    "almost 0 at first": lambda o: schedules.LinearLR(o, 0.001, total_iters=3),
    "rising only": lambda o: schedules.LambdaLR(o, lambda t: min(1.0, (t + 1) / 12)),
    "hardly changing": lambda o: schedules.ExponentialLR(o, 0.99),
}


def made(make):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.1, momentum=0.9)
    return make(optimizer), optimizer


def found(make, epochs=EPOCHS):
    scheduler, optimizer = made(make)
    before = optimizer.param_groups[0]["lr"]
    state = repr(scheduler.state_dict())
    unit = unit_of(scheduler, epochs * PER_EPOCH, PER_EPOCH)
    assert optimizer.param_groups[0]["lr"] == before
    assert repr(scheduler.state_dict()) == state
    return unit


@pytest.mark.parametrize("make", IN_STEPS.values(), ids=IN_STEPS)
def test_what_is_made_for_steps_counts_batches_and_says_why(make):
    unit = found(make)
    assert (unit.unit, unit.doubtful) == ("batch", False)
    assert "steps after each batch, not at each epoch's end: " in unit.said
    assert "'schedule_unit': 'epoch'" in unit.said


@pytest.mark.parametrize("make", IN_EPOCHS.values(), ids=IN_EPOCHS)
def test_what_is_made_for_epochs_counts_them_and_nothing_is_said(make):
    unit = found(make)
    assert (unit.unit, unit.said) == ("epoch", "")


@pytest.mark.parametrize("make", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_may_be_either_stays_with_epochs_and_the_way_is_said(make):
    if make is DOUBTFUL["hardly changing"]:
        unit = found(lambda o: schedules.ExponentialLR(o, 0.999))
        unit = unit_of(made(lambda o: schedules.ExponentialLR(o, 0.999))[0], 2000, 500)
    else:
        unit = found(make)
    assert (unit.unit, unit.doubtful) == ("epoch", True)
    assert "If it counts batches, pass config={'schedule_unit': 'batch'}" in unit.said


def test_one_epoch_at_a_time_is_enough_to_see_a_first_rate_of_0():
    assert found(warm_up, epochs=1).unit == "batch"
    assert found(IN_STEPS["line down to 0"], epochs=1).doubtful  # 100 steps are 4 epochs of 25
    assert found(IN_STEPS["long warm-up"], epochs=1).doubtful
    assert found(IN_EPOCHS["exponential"], epochs=1).said == ""


IMAGES, LABELS = pictures()


def rates(engine, epochs):
    """The learning rate of each step."""
    engine.expect(epochs * engine.steps_per_epoch)
    engine.begin()
    seen = []
    for epoch in range(epochs):
        for batch in engine.train_batches(epoch):
            seen.append(engine.learning_rate())
            engine.train_step(batch)
        engine.end_epoch({})
    return seen


def sgd(p):
    return torch.optim.SGD(p, lr=0.1)


def test_a_warm_up_in_steps_is_trained_as_a_loop_of_ones_own_trains_it():
    engine = backend(
        (IMAGES, LABELS), optimizer=sgd, scheduler=lambda o: warm_up(o, 6, 36), batch_size=8
    )
    assert engine.assumptions == []  # before the length of the training is known
    scheduler, optimizer = made(lambda o: warm_up(o, 6, 36))
    expected = []
    for _ in range(36):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(engine, 3) == pytest.approx(expected)
    assert len(engine.assumptions) == 1


@pytest.mark.parametrize(("unit", "changes"), [("batch", 12), ("epoch", 1)])
def test_the_setting_decides_and_nothing_is_guessed(unit, changes):
    engine = backend(
        (IMAGES, LABELS), optimizer=sgd, batch_size=8, config={"schedule_unit": unit},
        scheduler=lambda o: schedules.CosineAnnealingLR(o, 100),
    )  # fmt: skip
    rates(engine, 1)
    assert engine.scheduler.last_epoch == changes
    assert engine.assumptions == []


def test_a_schedule_in_batches_that_follows_the_validation_is_refused():
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau, which follows the validation"):
        backend(
            (IMAGES, LABELS), (IMAGES, LABELS), config={"schedule_unit": "batch"},
            scheduler=schedules.ReduceLROnPlateau,
        )  # fmt: skip


def test_a_schedule_of_ones_own_that_cannot_be_copied_counts_epochs():
    class Own(schedules.LRScheduler):
        def get_lr(self):
            return [0.1 / (1 + self.last_epoch)]

        def __deepcopy__(self, memo):
            raise RuntimeError("not this one")

    engine = backend((IMAGES, LABELS), optimizer=sgd, scheduler=Own)
    engine.expect(24)
    assert engine.assumptions == []
    assert losses_of(engine)[0]
