"""The coach: the right sentence in each situation of a real training, and none in a healthy one."""

import logging
import re

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget import events
from coflect_widget.events import Dismiss
from tests.conftest import eventually

CLASSES = ["north", "east", "south", "west"]


@pytest.fixture(autouse=True)
def one_thread():
    """So small a network is trained fastest by one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def quadrants(n, seed=0, noise=0.4, classes=4):
    """Pictures in which the brightest quarter is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    pictures = rng.normal(0, noise, (n, 1, 16, 16)).astype(np.float32)
    for picture, label in zip(pictures, labels, strict=True):
        row, column = divmod(int(label), 2)
        picture[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 0.6
    return pictures, labels


def marked(data, seed=None):
    """The same with a mark in the lower right corner that tells the class, or with `seed` lies."""
    pictures, labels = data[0].copy(), data[1]
    told = labels if seed is None else np.random.default_rng(seed).integers(0, 4, len(labels))
    for picture, label in zip(pictures, told, strict=True):
        row, column = divmod(int(label), 2)
        picture[0, 12:, 12:] = -3
        picture[0, 12 + 2 * row : 14 + 2 * row, 12 + 2 * column : 14 + 2 * column] = 9
    return pictures, labels


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(),
            nn.Linear(512, 4),
        )  # fmt: skip


@pytest.fixture
def begin(make_session):
    """A session of the small network; `lr` is Adam's."""

    def make(data, val=None, lr=0.01, model=None, **config):
        return make_session(
            model or network(),
            data,
            val,
            classes=CLASSES,
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr),
            config={"log_every": 2, **config},
        )

    return make


def advice(session):
    """What was said, in order; an empty key where something was taken back."""
    session.events()  # what the last events gave rise to is in the record after the next
    return session.events("advice")


def now(session):
    """The advice that holds, or None."""
    said = advice(session)
    return said[-1].data if said and said[-1].key else None


def heard(session, key):
    """Wait for an advice of this kind."""
    return eventually(lambda: (a := now(session)) and a.key.startswith(key) and a, what=key)


def test_a_shortcut_and_the_stroke_that_helps(begin, caplog):
    caplog.set_level(logging.INFO, "coflect")
    data = marked(quadrants(1024, noise=1.0))
    session = begin(data, marked(quadrants(512, 1, noise=1.0), seed=2),
                    guidance={"effect_after": 30})  # fmt: skip
    session.train(epochs=4)
    session.wait()
    said = heard(session, "parted:")
    assert re.fullmatch(
        rf"Training (0\.9\d|1\.00), validation {session.metrics['val_accuracy']:.2f}: it may be "
        "learning a shortcut, or its samples by heart. See where it looks.",
        said.text,
    )
    assert (said.does, said.button) == ("look", "See where it looks")
    assert 0 <= said.sample < 1024
    (logged,) = (record for record in caplog.records if record.name == "coflect")
    assert logged.levelname == "WARNING"
    assert logged.getMessage().endswith(said.text.partition(":")[2])
    stroke = session.feedback(sample=7, ignore=(0.75, 0.75, 1, 1), strength=0.8)
    session.train(epochs=6)
    session.wait()
    eventually(lambda: session.effects)
    helped = heard(session, "helped:")
    (effect,) = session.effects
    figures = next(m for m in effect.measures if m.name == "validation accuracy")
    assert re.fullmatch(
        f"Helped: validation accuracy {figures.before:.2f} to {figures.after:.2f} since the box "
        rf"on #7 \({stroke.id}\)(, \d\.\d\d now)?\.",
        helped.text,
    )
    assert (helped.does, helped.sample, helped.intervention) == ("open", 7, stroke.id)
    assert figures.after > figures.before + 0.2


def test_a_stroke_that_harms_is_to_be_undone_and_what_is_dismissed_stays_away(begin):
    session = begin(quadrants(512, noise=0.1), quadrants(512, 1, noise=0.1))
    session.train(epochs=1000)
    eventually(lambda: (session.metrics.get("val_accuracy") or 0) > 0.95)
    session.pause()
    assert not advice(session)
    stroke = session.feedback(sample=0, look=(0.1, 0.1, 0.2, 0.2), strength=0.05)
    # What guidance may do to a model in the worst case, done by hand: it knows nothing more.
    backend = session._backend
    with torch.no_grad():
        for group in backend.optimizer.param_groups:
            group["lr"] = 0.0
        for parameter in backend.model.parameters():
            parameter.zero_()
    session.resume()
    said = heard(session, "harmed:")
    alarm = [e for e in session.events("notice") if e.alarm == "collapse"][-1]
    before, after = alarm.figures["before"], alarm.figures["after"]
    assert said.text.startswith(f"Since the box on #0 ({stroke.id}): {alarm.about} ")
    assert said.text.endswith(f"{min(before, 0.99) if before < 1 else 1:.2f} to {after:.2f}.")
    assert (said.does, said.button) == ("undo", f"Undo {stroke.id}")
    assert said.intervention == stroke.id
    session.pause()
    session._parts.desk.handle(Dismiss(key=said.key)).result(10)
    eventually(lambda: now(session) is None or now(session).key != said.key)
    dismissed = len(advice(session))
    session.resume()
    step = session.metrics["step"]
    eventually(lambda: session.metrics["step"] > step + 40)
    assert said.key not in [e.key for e in advice(session)[dismissed:]]
    session.stop()


def test_a_sample_with_nan_pixels_is_named_until_it_is_left_out(begin):
    pictures, labels = quadrants(256, noise=0.3)
    pictures[17, 0, 3, 3] = np.nan
    session = begin((pictures, labels))
    session.train(epochs=3)
    eventually(lambda: session.state == "paused")
    said = heard(session, "not-finite:17")
    assert said.text == (
        "Sample #17 makes the loss NaN: sample 17 has input values that are NaN or infinite "
        "(1 of 256)."
    )
    assert (said.does, said.button, said.sample) == ("leave_out", "Leave out #17", 17)
    session.judge(17, "leave out")
    eventually(lambda: now(session) is None)
    session.resume()
    session.wait()
    assert session.state == "finished"
    assert now(session) is None


def test_a_learning_rate_that_is_too_large_is_named_where_no_sample_is_at_fault(begin):
    session = begin(quadrants(256), lr=1e30)
    session.train(epochs=3)
    eventually(lambda: session.state == "paused")
    said = heard(session, "not-finite:step")
    assert said.text == (
        "The loss was NaN or infinite at step 1, and no sample's values are: begin again with a "
        "lower learning rate."
    )
    session.stop()


def test_a_stopped_run_offers_to_go_on(begin):
    session = begin(quadrants(256))
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3)
    session.stop()
    step = session.metrics["step"]
    said = heard(session, "stopped:")
    assert said.text == f"Stopped after step {step} of 100000; {100_000 - step} steps are left."
    assert (said.does, said.button) == ("continue", "Continue")
    assert session.advice == said
    session.train()
    eventually(lambda: now(session) is None)
    session.stop()


def test_a_failure_is_said_with_its_error(begin):
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.broken = network(), False

        def forward(self, x):
            if self.broken and self.training:
                raise OSError("the disk is gone")
            return self.net(x)

    model = Breaks()
    session = begin(quadrants(256), model=model)
    model.broken = True
    session.train(epochs=2)
    with pytest.raises(OSError, match="disk"):
        session.wait()
    said = heard(session, "failed:")
    assert said.text == "Training failed after step 0: OSError: the disk is gone"
    assert (said.does, said.button) == ("continue", "Continue, 8 steps left")


def test_the_last_few_wrong_samples_are_named_once_nothing_is_at_risk(begin):
    pictures, labels = quadrants(1024, noise=0.2)
    labels[[5, 50, 500]] = (labels[[5, 50, 500]] + 1) % 4
    session = begin((pictures, labels), quadrants(512, 1, noise=0.2))
    session.train(epochs=10)
    session.wait()
    said = heard(session, "few:")
    assert said.text == "Nothing is at risk; 3 samples are wrong now: #5, #50, #500."
    assert said.sample in (5, 50, 500)
    assert {e.key for e in advice(session)} == {said.key}  # nothing before


def test_a_training_that_learns_nothing_is_told_of_its_learning_rate(begin):
    session = begin(quadrants(512), quadrants(256, 1), lr=1e-9)
    session.train(epochs=30)
    session.wait()
    said = heard(session, "flat")
    first = advice(session)[0]
    assert first.step >= 200, "too early to tell"
    assert said.text.startswith("The loss has not fallen in ")
    assert said.text.endswith("the learning rate, 1e-09, may be too small, or far too large.")


def test_flipped_labels_are_named_with_their_classes(begin):
    pictures, labels = quadrants(2048)
    rng = np.random.default_rng(3)
    flipped = rng.random(2048) < 0.15
    given = np.where(flipped, (labels + rng.integers(1, 4, 2048)) % 4, labels)
    session = begin((pictures, given), quadrants(512, 1))
    session.train(epochs=8)
    session.wait()
    said = heard(session, "labels")
    index = said.sample
    assert flipped[index]
    assert said.text.endswith(
        f"#{index}, labelled {CLASSES[given[index]]!r}, looks like {CLASSES[labels[index]]!r}."
    )
    assert (said.does, said.button) == ("open", f"Show #{index}")
    # the same in a cell
    page = session.suspects[:3]._repr_html_()
    assert page.count("<img") == 3
    first = session.suspects[0]
    label, other = CLASSES[given[first.index]], CLASSES[first.suggested]
    assert f"labelled {label}; looks like {other}" in page


def test_an_open_review_window_names_the_riskiest_sample(begin):
    session = begin(quadrants(1024, noise=2.5), quadrants(512, 1, noise=2.5), lr=0.003)
    session.train(epochs=3)
    session.wait()
    session.open_window()
    said = heard(session, "look:")
    first = session.at_risk[0]
    assert (said.sample, said.does) == (first.index, "open")
    due = session.events("forecast")[-1]
    assert said.text == (
        f"A good time to look: #{first.index} will be wrong at epoch {due.epoch + due.horizon} "
        f"with a probability of {first.risk:.0%}, and {len(session.at_risk) - 1} more."
    )


@pytest.mark.parametrize("noise", [0.3, pytest.param(1.2, marks=pytest.mark.slow)])
def test_a_healthy_training_is_left_alone(begin, caplog, noise):
    caplog.set_level(logging.INFO, "coflect")
    session = begin(quadrants(2048, noise=noise), quadrants(512, 1, noise=noise), forecast_every=8)
    session.train(epochs=10)
    session.wait()
    assert session.metrics["val_accuracy"] > 0.9
    assert session.events("forecast")
    assert advice(session) == []
    assert [r for r in caplog.records if r.name == "coflect"] == []
    # nor one of a model that has learned all it can
    again = begin(quadrants(2048, noise=noise), quadrants(512, 1, noise=noise), lr=1e-9,
                  model=session._backend.model, forecast_every=8)  # fmt: skip
    again.train(epochs=8)
    again.wait()
    assert advice(again) == []


def test_a_healthy_regression_is_left_alone(make_session):
    pictures, labels = quadrants(1024, noise=0.3)
    session = make_session(
        nn.Sequential(nn.Flatten(), nn.Linear(256, 1)),
        (pictures, (labels % 2).astype(np.float32)),
        (pictures[:256], (labels[:256] % 2).astype(np.float32)),
        loss=nn.functional.mse_loss,
        config={"log_every": 2, "attribution": {"method": "smoothgrad"}},
    )
    session.train(epochs=6)
    session.wait()
    assert advice(session) == []


def test_the_advice_reaches_the_screen_and_goes_from_it(begin):
    session = begin(quadrants(256))
    session.dashboard()
    session.train(steps=100_000)
    session.stop()
    said = heard(session, "stopped:")
    publisher = session._dashboard._publisher
    eventually(lambda: publisher._view.everything()[0]["advice"] is not None)
    shown = publisher._view.everything()[0]["advice"]
    assert shown == {
        "key": said.key, "text": said.text, "button": "Continue", "does": "continue",
        "sample": None, "intervention": None,
    }  # fmt: skip
    assert (
        publisher._view.everything()[0]["status"]["steps_left"] == 100_000 - session.metrics["step"]
    )
    session.train()
    eventually(lambda: publisher._view.everything()[0]["advice"] is None)
    assert publisher._view.everything()[0]["status"]["steps_left"] is None
    session.stop()


def test_events_of_before_are_read_without_what_is_new():
    old = events.Notice.model_validate({"level": "info", "text": "x", "alarm": "parted"})
    assert (old.figures, old.about) == ({}, "")
