"""What would have been: a run made again without something that was said, bit for bit."""

import time

import pytest
import torch

import coflect_widget as coflect
from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.events import Prove
from tests.conftest import to_step
from tests.session.test_resume import Augmented, arguments, network, outcome, same


@pytest.fixture
def make(tmp_path):
    made = []

    def session(run_dir="runs", model=None, **more):
        made.append(
            coflect.Session(
                model or network(), Augmented(), Augmented(64),
                **arguments(tmp_path / run_dir, **more),
            )
        )  # fmt: skip
        return made[-1]

    yield session
    for one in made:
        one.close()


def told(session, *, without=()):
    """Words at fixed steps; of those in `without` nothing is said."""
    session.train(epochs=4)
    session.pause()
    given = {}

    def say(name, step, how):
        to_step(session, step)
        if name not in without:
            given[name] = how()

    say("box", 2, lambda: session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5))
    say("focus", 3, lambda: session.feedback(instruction="set focus to 0.6"))
    say("slow", 6, lambda: session.set(lr=0.02))
    say("drop", 7, lambda: session.drop([7, 11]))
    say("judged", 8, lambda: session.judge(5, "wrong", 2))
    say("look", 11, lambda: session.feedback(sample=8, look=(0.2, 0.2, 0.8, 0.8)))
    say("undone", 12, lambda: "look" in given and session.undo(given["look"]))
    session.resume()
    assert session.wait(300)
    return given


def weights_of(run):
    from safetensors.torch import load_file

    last = run.checkpoints.last
    assert last.step == 20
    return load_file(last.weights)


def torch_equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_without_a_stroke_it_is_the_run_that_never_had_it_and_later_words_stay(make, monkeypatch):
    session = make()
    given = told(session, without={"slow", "judged", "undone"})
    before = outcome(session)
    random = torch.get_rng_state()
    read = Augmented.__getitem__

    def slowly(data, index):  # so that the replay is still under way when `train` is called
        time.sleep(0.005)
        return read(data, index)

    monkeypatch.setattr(Augmented, "__getitem__", slowly)
    replayed = session.replay(without=[given["box"]])
    with pytest.raises(RuntimeError, match=f"a replay, {replayed.id}, trains"):
        session.train(epochs=1)
    monkeypatch.setattr(Augmented, "__getitem__", read)
    assert replayed.wait(300)
    same(outcome(session), before)
    assert torch.equal(torch.get_rng_state(), random)
    other = make("others")
    told(other, without={"slow", "judged", "undone", "box"})
    assert torch_equal(weights_of(replayed), other._backend.model.state_dict())
    assert not torch_equal(weights_of(replayed), before["weights"])
    opened = coflect.open_run(replayed.path)
    assert opened.meta["replay"]["of"] == session.run.id
    assert opened.meta["replay"]["without"] == [given["box"].id]
    assert opened.state == "finished"
    assert [one.step for one in opened.ledger.interventions] == [3, 7, 11]
    curves = coflect.compare([session.run, replayed]).curves()["val loss"]
    assert [curves[run.id][0].tolist() for run in (session.run, replayed)] == [[5, 10, 15, 20]] * 2

    with pytest.raises(ValueError, match="without='i9' is no intervention of run_001"):
        session.replay(without="i9")
    with pytest.raises(ValueError, match="no checkpoint is from before that, and those"):
        session.replay(with_=[{"step": 1, "sample": 3, "ignore": (0.1, 0.1, 0.4, 0.4)}])
    with pytest.raises(TypeError, match="with_ has no 'ignor'; did you mean 'ignore'"):
        session.replay(with_=[{"step": 9, "ignor": (0.1, 0.1, 0.4, 0.4)}])
    with pytest.raises(ValueError, match="nothing to replay"):
        session.replay(with_=[{"step": 20, "sample": 3, "ignore": (0.1, 0.1, 0.4, 0.4)}])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["box", "slow", "drop", "look"])
def test_without_any_of_them_it_is_the_run_that_never_had_it(make, name):
    session = make()
    given = told(session)
    replayed = session.replay(without=given[name])
    assert replayed.wait(300)
    other = make("others")
    told(other, without={name})
    assert torch_equal(weights_of(replayed), other._backend.model.state_dict())
    wanted = [(one.step, one.undone) for one in other.interventions]
    opened = coflect.open_run(replayed.path)
    assert [(one.step, one.undone) for one in opened.ledger.interventions] == wanted


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_made_again_as_it_was_and_with_one_more(make):
    session = make()
    told(session)
    again = session.replay()
    assert again.wait(300)
    assert torch_equal(weights_of(again), session._backend.model.state_dict())
    plain = make("others")
    told(plain, without={"look"})
    more = plain.replay(with_=[{"step": 11, "sample": 8, "look": (0.2, 0.2, 0.8, 0.8)}])
    assert more.wait(300)
    other = make("third")
    told(other, without={"undone"})
    assert torch_equal(weights_of(more), other._backend.model.state_dict())


def test_a_model_that_several_processes_train_is_refused_at_once(make, monkeypatch):
    session = make()
    entry = session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4))
    with monkeypatch.context() as patched:
        patched.setattr(session._parts.loop, "together", object())
        with pytest.raises(RuntimeError, match=r"replay\(\) trains in one process alone"):
            session.replay(without=entry)
        with pytest.raises(RuntimeError, match=r"prove\(\) trains in one process alone"):
            session.prove(entry)
        with pytest.raises(ValueError, match="a proof trains in one process alone"):
            session._parts.desk.handle(Prove(intervention=entry.id))


class Poisoned(Augmented):
    """Its samples 0 to `count` are no numbers."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return (x * float("nan"), y) if index < self.count else (x, y)


def test_a_loss_that_is_not_finite_holds_no_replay_for_ever(make, tmp_path):
    data = Poisoned(0)
    session = coflect.Session(network(), data, Augmented(64), **arguments(tmp_path / "poisoned"))
    with session:
        session.train(epochs=2)
        session.pause()
        to_step(session, 2)
        entry = session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
        session.resume()
        assert session.wait(300)
        data.count = 1
        replayed = session.replay(without=entry)
        assert replayed.wait(300)
        assert replayed.checkpoints.last.step == session.metrics["step"]
        assert any(e.data.samples == [0] for e in replayed.session.events("non_finite"))
        data.count = 10**6
        with pytest.raises(NonFiniteLossError):
            session.replay(without=entry).wait(300)
        with pytest.raises(NonFiniteLossError):
            session.prove(entry, steps=2, seeds=2, say=lambda text: None)
        session.train(steps=1)  # nothing is under way any more
        session.stop()
