"""What would have been: a run made again without something that was said, bit for bit."""

import pytest
import torch

import coflect_widget as coflect
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


@pytest.mark.timeout(600)
def test_without_one_of_them_it_is_the_run_that_never_had_it(make):
    session = make()
    given = told(session)
    before = outcome(session)
    random = torch.get_rng_state()
    ends = {}
    for name in ("box", "slow", "drop"):
        replayed = session.replay(without=[given[name]])
        with pytest.raises(RuntimeError, match=f"a replay, {replayed.id}, trains"):
            session.train(epochs=1)
        assert replayed.wait(300)
        ends[name] = replayed
    again = session.replay()
    assert again.wait(300)
    same(outcome(session), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch_equal(weights_of(again), before["weights"])
    for name, replayed in ends.items():
        other = make("others")
        told(other, without={name})
        wanted = other._backend.model.state_dict()
        assert torch_equal(weights_of(replayed), wanted), name
        assert not torch_equal(wanted, before["weights"])
        opened = coflect.open_run(replayed.path)
        assert opened.meta["replay"]["of"] == session.run.id
        assert opened.meta["replay"]["without"] == [given[name].id]
        assert opened.state == "finished"
        wanted_ledger = [(one.step, one.undone) for one in other.interventions]
        assert [(one.step, one.undone) for one in opened.ledger.interventions] == wanted_ledger
        other.close()
    compared = coflect.compare([session.run, *ends.values()])
    curves = compared.curves()["train loss"]
    assert len(curves) == 4
    firsts = {int(steps[0]) for steps, _ in curves.values()}
    assert len(firsts) == 1  # each from the beginning


def torch_equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)
