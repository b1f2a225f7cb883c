"""What was stopped, or failed, goes on where it ended: by a method, a button or a script."""

import threading

import numpy as np
import pytest
import torch

from coflect_widget import events
from tests.conftest import eventually, tiny_cnn


def weights(session):
    return torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])


def ask(session, command):
    """As a browser does; the answer's text."""
    return session._parts.desk.handle(command).result(60).text


def test_a_stopped_training_goes_on_as_if_it_had_never_stopped(make_session):
    whole = make_session()
    whole.train(epochs=6)
    whole.wait()
    parted = make_session()
    with pytest.raises(ValueError, match=r"train\(epochs=...\) says how long"):
        parted.train()
    parted.train(epochs=6)
    with pytest.raises(ValueError, match="under way"):
        ask(parted, events.Continue())
    eventually(lambda: parted.metrics["step"] >= 2)
    parted.stop()
    assert (parted.state, parted.metrics["step"] < whole.metrics["step"]) == ("stopped", True)
    left = whole.metrics["step"] - parted.metrics["step"]
    assert ask(parted, events.Continue()) == f"Training goes on: {left} steps to come"
    parted.wait()
    assert parted.metrics["step"] == whole.metrics["step"]
    assert parted.metrics["epoch"] == 6
    assert torch.equal(weights(parted), weights(whole))
    with pytest.raises(ValueError, match="no stopped training has steps left"):
        ask(parted, events.Continue())
    assert ask(parted, events.Continue(epochs=1)) == "Training goes on: 4 steps to come"
    parted.wait()
    assert parted.metrics["epoch"] == 7
    said = [e.command for e in parted.events("command")]
    assert said == ["stop", "continue", "continue: 1 epochs"]


def test_two_hands_on_the_button_begin_one_training(make_session):
    session = make_session()
    session.train(steps=10**6)
    session.stop()
    desk, answers = session._parts.desk, []

    def press():
        try:
            answers.append(desk.handle(events.Continue()).result(60).text)
        except (RuntimeError, ValueError) as error:
            answers.append(str(error))

    hands = [threading.Thread(target=press) for _ in range(8)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert sum("goes on:" in answer for answer in answers) == 1
    assert len(session.events("train_started")) == 2
    session.stop()


class Files:
    """Samples of which one cannot be read until somebody mends it."""

    def __init__(self, n=64):
        rng = np.random.default_rng(0)
        self.x, self.y = rng.normal(size=(n, 3, 16, 16)).astype(np.float32), rng.integers(0, 4, n)
        self.lacks = None

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        if index == self.lacks:
            raise FileNotFoundError(f"{index}.png")
        return self.x[index], int(self.y[index])


def test_a_failure_says_its_trace_and_the_next_step_which_works(make_session):
    data = Files()
    session = make_session(data=data, batch_size=16)
    data.lacks = 9
    session.train(epochs=2)
    with pytest.raises(FileNotFoundError):
        session.wait()
    (failure,) = session.events("failure")
    assert "__getitem__" in failure.traceback
    assert failure.remedy.startswith("A sample could not be read (line ")
    assert "of test_continue.py): mend" in failure.remedy
    session.dashboard()
    kept = eventually(
        lambda: (k := session._dashboard.widget._snapshot) and k["update"]["status"]["trace"] and k
    )
    assert kept["update"]["status"]["remedy"] == failure.remedy
    assert kept["update"]["status"]["trace"] == failure.traceback
    data.lacks = None
    session.train()
    session.wait()
    assert (session.state, session.metrics["epoch"], session.metrics["step"]) == ("finished", 2, 8)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "smaller batch_size="),
        (MemoryError(), "smaller batch_size="),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "make a new session"),
        (KeyError("x"), "The trace's last line says where it happened"),
    ],
)
def test_each_failure_has_a_next_step(make_session, error, told):
    class Breaks(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.broken = tiny_cnn(), False

        def forward(self, x):
            if self.broken and self.training and x.shape[0] > 1:
                raise error
            return self.net(x)

    model = Breaks()
    session = make_session(model)
    model.broken = True
    session.train(epochs=1)
    with pytest.raises(type(error)):
        session.wait()
    assert told in session.events("failure")[0].remedy


def test_a_loop_of_ones_own_is_not_continued_by_a_button(make_session, shapes):
    session = make_session()
    batches = [shapes[i] for i in range(4)]
    for x, y in session.loop([(x[None], torch.tensor([y])) for x, y in batches]):
        session.observe([0], session._backend.model(torch.as_tensor(x)), y)
        session.stop()
    assert session.state == "stopped"
    with pytest.raises(ValueError, match="no stopped training"):
        ask(session, events.Continue())
    iterator = session.loop([0, 1])
    next(iterator)  # held by a variable, so that nothing but the error ends it
    with pytest.raises(KeyError), session:
        raise KeyError("x")
    assert "then run your loop again" in session.events("failure")[0].remedy
