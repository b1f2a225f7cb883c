"""Knobs of a whole session: on disk when acknowledged, undone to the last bit, else refused."""

import json

import pytest
import torch

from coflect_widget.events import KnobInput, SetKnobs
from tests.conftest import eventually, tiny_cnn


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def halves(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


#: Ten knobs: how each is said, and what it is of the optimizer's group afterwards.
TEN = [
    ({"lr": 0.02}, ("lr", 0.02)),
    ("lr x 0.5", ("lr", None)),
    ("weight decay 0.01", ("weight_decay", 0.01)),
    ({"momentum": 0.5}, ("momentum", 0.5)),
    ({"dampening": 0.1}, ("dampening", 0.1)),
    ("batch size 32", None),
    ({"freeze": "0"}, None),
    ("freeze 3, 1", None),
    ({"unfreeze": "3", "weight_decay": "x 2"}, ("weight_decay", 0.02)),
    ({"lr": "x 3", "momentum": 0.0}, ("momentum", 0.0)),
]


def weights(session):
    return {name: value.clone() for name, value in session._backend.model.state_dict().items()}


def paused_in_training(make_session, **arguments):
    session = make_session(
        optimizer=sgd, scheduler=halves, batch_size=64, config={"author": "Ada"}, **arguments
    )
    session.train(epochs=6)
    eventually(lambda: session.metrics["step"] >= 5)
    session.pause()
    return session


def test_ten_knobs_in_mid_training_each_undone_leave_no_trace(make_session, shapes):
    plain = make_session(optimizer=sgd, scheduler=halves, batch_size=64)
    plain.train(epochs=6)
    assert plain.wait(120)
    session = paused_in_training(make_session)
    group = session._backend.optimizer.param_groups[0]
    rate, told = group["lr"], []
    for said, after in TEN:
        done = session.set(**said) if isinstance(said, dict) else session.feedback(instruction=said)
        told.append(done)
        lines = (session.run.path / "events.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        on_disk = [r for r in records if r["type"] == "intervention" and r["data"]["id"] == done.id]
        assert len(on_disk) == 1, "acknowledged before it is on disk"
        assert on_disk[0]["data"]["author"] == "Ada"
        assert on_disk[0]["step"] == session.metrics["step"]
        if after is not None and after[1] is not None:
            assert group[after[0]] == pytest.approx(after[1], rel=1e-12)
    assert group["lr"] == pytest.approx(0.03)
    frozen = [p.requires_grad for p in session._backend.model.parameters()]
    assert frozen == [False, False, False, False, True, True, True, True]
    shown = session.events("knobs")[-1].data
    assert {v.name: v.values for v in shown.values}["lr"] == pytest.approx([0.03])
    assert (shown.batch_size, shown.next_batch_size) == (64, 32)
    # Out of order: what stays in force is what would be had the others never been.
    for one in (told[0], told[9], told[8]):
        assert session.undo(one).undone
    assert group["lr"] == pytest.approx(rate / 2)
    assert group["weight_decay"] == 0.01
    for one in (told[1], *told[2:8]):
        session.undo(one)
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (rate, 0.9, 1e-3)
    assert [e.data.author for e in session.events("undo")] == ["Ada"] * 10
    with pytest.raises(ValueError, match="undone already"):
        session.undo(told[0])
    session.resume()
    assert session.wait(240)
    session._parts.checkpoints.drain()
    reasons = [e.data.reason for e in session.events("checkpoint")]
    assert reasons.count("knob") == 1, "one state of a step, however often a knob is turned"
    mine, theirs = weights(session), weights(plain)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_the_loss_follows_and_a_schedule_goes_on(make_session, shapes):
    session = paused_in_training(make_session, val=shapes)
    group = session._backend.optimizer.param_groups[0]
    done = session.set(lr=1e-12, weight_decay=0, momentum=0)
    assert "the StepLR goes on from there" in done.understood
    before = weights(session)
    step, epoch = session.metrics["step"], session.metrics["epoch"]
    session.step(3)
    assert session.metrics["step"] == step + 3
    step += 3
    assert session.state == "paused"
    for unit in (0, -2, 1.5, True, "steps"):
        with pytest.raises(ValueError, match="a number of steps"):
            session.step(unit)
    after = weights(session)
    moved = [n for n in before if "running" not in n and "tracked" not in n]
    assert all(torch.allclose(before[n], after[n], atol=1e-9) for n in moved)
    session.step("epoch")
    # Where the steps ended with an epoch, training was held in its validation.
    assert session.metrics["step"] in (step, 4 * (step // 4 + 1))
    assert session.metrics["epoch"] * 4 == session.metrics["step"]
    assert group["lr"] == pytest.approx(1e-12 * 0.5 ** (session.metrics["epoch"] - epoch))
    session.undo(done)
    freeze = session.set(freeze=["0", "1"])
    before = weights(session)
    session.step(2)
    after = weights(session)
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == {name for name in before if name[0] in "01"}
    session.undo(freeze)
    session.step()
    again = weights(session)
    assert not torch.equal(again["0.weight"], after["0.weight"])
    assert not torch.equal(again["1.running_mean"], after["1.running_mean"])


def test_a_batch_size_holds_from_the_next_epoch_on(make_session):
    session = paused_in_training(make_session)
    done = session.set(batch_size=32)
    assert "64 -> 32; from the next epoch on" in done.understood
    session.step("epoch")
    epochs = session.metrics["epoch"]
    at = session.metrics["step"]
    session.step("epoch")
    assert session.metrics["step"] == at + 8
    half = session.set(batch_size="x 0.5")
    assert half.understood == "batch size 32 -> 16"  # between two epochs it holds at once
    session.undo(half)
    session.resume()
    assert session.wait(240)
    assert session.metrics["epoch"] == 6
    assert session.metrics["step"] == at + 8 * (6 - epochs)
    told = session.events("train_started")[1].data
    assert (told.batch_size, told.steps_per_epoch) == (32, 8)
    assert told.total_steps == session.metrics["step"]


def test_what_cannot_be_turned_is_refused_before_anything_changes(make_session):
    session = paused_in_training(make_session)
    kept = []
    session._parts.knobs._before_knob = lambda: kept.append(session.metrics["step"])
    refused = [
        ({"lr": 0}, "above 0"), ({"lr": -1}, "above 0"), ({"weigth_decay": 1}, "'weight_decay'"),
        ({"freeze": ["0", "1", "3", "7"]}, "nothing would be left"),
        ({"freeze": "layer1"}, "no layer 'layer1'"), ({"batch_size": 257}, "at most 256"),
        ({"lr": 0.1, "batch_size": 0}, "whole number"),
    ]  # fmt: skip
    for given, says in refused:
        with pytest.raises(ValueError, match=says):
            session.set(**given)
    with pytest.raises(TypeError, match="needs a knob"):
        session.set()
    with pytest.raises(ValueError, match=r"order|alone"):
        session.feedback(instruction="lr x 0.5", sample=3, look=(0, 0, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"lr x 0\.5"):
        session.feedback(instruction="lr y 0.5")
    assert session.interventions == []
    assert kept == []
    done = session.set(lr=0.02)
    assert kept == [session.metrics["step"]]
    session.undo(done)
    assert len(kept) == 2


def test_a_browser_turns_knobs_by_a_command(make_session):
    session = make_session()
    command = SetKnobs(knobs=[KnobInput(name="lr", factor=0.5)])
    answer = session._parts.desk.handle(command).result(30)
    assert answer.text == "Applied at step 0: lr 0.001 -> 0.0005 (x 0.5)"
    undone = session._parts.desk.undo(session.interventions[0].id).result(30)
    assert undone.undone
    with pytest.raises(ValueError, match="no knob"):
        session._parts.desk.handle(SetKnobs(knobs=[KnobInput(name="lrr", factor=0.5)]))


def test_what_a_knob_did_is_told_with_figures(make_session, shapes):
    session = make_session(
        val=shapes, optimizer=sgd, batch_size=64, config={"guidance": {"effect_after": 4}}
    )
    session.train(epochs=8)
    eventually(lambda: session.metrics["epoch"] >= 2)
    done = session.set(lr="x 0.5")
    assert session.wait(240)
    (effect,) = [e.data for e in session.events("effect")]
    assert effect.intervention == done.id
    assert effect.verdict in ("no verdict", "harmed")
    assert {m.name for m in effect.measures} == {"validation loss", "validation accuracy"}
    assert session.interventions[0].effect == effect
    assert session.ledger.from_events(session.events()).interventions[0].record == done.record


def test_a_loop_of_ones_own_turns_what_the_session_knows(make_session, shapes):
    model = tiny_cnn()
    session = make_session(model)
    loader = torch.utils.data.DataLoader(shapes, batch_size=64, shuffle=True)
    for x, y in session.loop(loader):
        with pytest.raises(ValueError, match=r"Session\(..., optimizer=optimizer\)"):
            session.set(lr=0.1)
        with pytest.raises(ValueError, match="belongs to the loader"):
            session.set(batch_size=8)
        session.set(freeze="7")
        assert not model[7].weight.requires_grad
        session.observe(None, model(x), y)
        break
    other = tiny_cnn()
    mine = torch.optim.SGD(other.parameters(), lr=0.1)
    session = make_session(other, optimizer=mine)
    for x, y in session.loop(loader):
        done = session.set(lr=0.2)
        assert mine.param_groups[0]["lr"] == 0.2
        assert "a schedule that your loop steps goes on from there" in done.understood
        session.observe(None, other(x), y)
        break


def test_a_ledger_of_another_session_brings_its_strokes_and_no_knobs(make_session):
    first = make_session()
    first.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4))
    first.set(lr=0.5)
    second = make_session(guidance=first.ledger)
    assert [e.record.knobs for e in second.interventions] == [[]]
    assert second._backend.learning_rate() == 1e-3
    assert any("i2, are not taken over" in e.text for e in second.events("notice"))


def test_a_backend_without_knobs_says_so(make_session):
    session = make_session()
    session._backend.knobs = None
    with pytest.raises(ValueError, match="has no knobs"):
        session.set(lr=0.1)


def gone_on(make_session, before, **arguments):
    """Another session that goes on from where `before` stands, as a checkpoint would have it."""
    session = make_session(run_dir=before.run.path.parent, **arguments)
    mine, theirs = session._parts, before._parts
    for entry in before.interventions:
        mine.steering.ledger.append(entry.record, entry.step, entry.when)
        if entry.undone:
            mine.steering.ledger.undo(entry.id)
    mine.backend.model.load_state_dict(theirs.backend.model.state_dict())
    mine.backend.optimizer.load_state_dict(theirs.backend.optimizer.state_dict())
    mine.backend.scheduler.load_state_dict(theirs.backend.scheduler.state_dict())
    mine.knobs.take(json.loads(json.dumps(theirs.knobs.kept())))
    return session


def test_a_run_that_goes_on_has_its_knobs_and_can_undo_them(make_session):
    before = paused_in_training(make_session)
    before.step("epoch")
    rate = before._backend.learning_rate()
    told = [before.set(lr=0.02), before.set(freeze=["0", "1"], momentum="x 0.5")]
    before.undo(before.set(weight_decay=0.5))
    told.append(before.set(batch_size=32))
    session = gone_on(make_session, before, optimizer=sgd, scheduler=halves, batch_size=64)
    group = session._backend.optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.02, 0.45, 1e-3)
    assert session._backend.batch_size == 32
    trained = [p.requires_grad for p in session._backend.model.parameters()]
    assert trained == [False] * 4 + [True] * 4
    session.train(epochs=1)
    assert session.wait(240)
    assert session.metrics["step"] == 8
    assert group["lr"] == pytest.approx(0.01)
    for one in told:
        session.undo(one.id)
    assert (group["lr"], group["momentum"]) == (rate / 2, 0.9)
    assert session._backend.batch_size == 64
    assert all(p.requires_grad for p in session._backend.model.parameters())
    assert session._backend.model[1].training


def ends_at_nothing(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)


def test_a_schedule_that_ends_at_0_ends_neither_resuming_nor_other_knobs(make_session):
    session = make_session(optimizer=sgd, scheduler=ends_at_nothing, batch_size=64)
    slower = session.set(lr=0.05)
    session.train(epochs=4)
    assert session.wait(240)
    group = session._backend.optimizer.param_groups[0]
    assert group["lr"] == 0
    decay = session.set(weight_decay=0.5)
    session.undo(session.set(momentum=0.5))
    assert (group["weight_decay"], group["momentum"]) == (0.5, 0.9)
    with pytest.raises(ValueError, match="gives lr 0 at this step"):
        session.set(lr=0.1)
    session.checkpoint()
    session.close()
    more = {"optimizer": sgd, "scheduler": ends_at_nothing, "batch_size": 64}
    resumed = make_session(resume=session.run, **more)
    group = resumed._backend.optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0, 0.5)
    resumed.train(epochs=1)
    assert resumed.wait(240)
    # The curve comes back from 0, and the rate is half of what it gives.
    natural = resumed._backend.knobs.natural("lr")[0]
    assert natural > 0
    assert group["lr"] == pytest.approx(natural / 2)
    resumed.undo(slower.id)
    assert group["lr"] == natural
    resumed.undo(decay.id)
    assert group["weight_decay"] == 1e-3


def test_a_value_that_is_0_by_itself_has_its_limits_all_the_same(make_session):
    session = make_session(optimizer=lambda p: torch.optim.SGD(p, 0.1))
    (group,) = session._backend.optimizer.param_groups
    session.set(momentum=0.9)
    smaller = session.set(momentum=0.5)
    session.set(momentum="x 1.5")
    with pytest.raises(ValueError, match=r"momentum=1.35 must be a number from 0 to below 1"):
        session.undo(smaller)
    assert group["momentum"] == pytest.approx(0.75)


def test_a_group_at_0_keeps_no_other_from_being_turned(make_session):
    def two(parameters):
        first, *others = parameters
        return torch.optim.AdamW([{"params": [first], "lr": 0.0}, {"params": others, "lr": 1e-3}])

    session = make_session(optimizer=two)

    def rates():
        return [group["lr"] for group in session._backend.optimizer.param_groups]

    for given, wanted in (
        ("x 0.5", [0, 5e-4]), ([None, 2e-3], [0, 2e-3]), ([0, 4e-3], [0, 4e-3]),
        ([1e-4, None], [1e-4, 4e-3]), ([0, None], [0, 4e-3]),
    ):  # fmt: skip
        session.set(lr=given)
        assert rates() == pytest.approx(wanted)
    with pytest.raises(ValueError, match="lr=0 must be a number above 0"):
        session.set(lr=[None, 0])  # this one is not 0 by itself
