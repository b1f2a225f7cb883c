"""Samples added, left out and labelled anew in mid-training; and the rows behind a spike."""

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.events import LeaveOut
from coflect_widget.records.run import Run
from coflect_widget.ui.view import replay
from tests.conftest import eventually, tiny_cnn

STEPS = 8  # of an epoch of 256 samples
MAPS = {"attribution": {"method": "smoothgrad"}}  # a linear model has no layer to read


def linear(outputs=4, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, outputs))


class Log(nn.Module):
    def forward(self, x):
        return torch.log(x + 1)


class Pairs:
    """A map-style data set."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]), int(self.labels[index])


def weights(session):
    return {name: value.clone() for name, value in session._backend.model.state_dict().items()}


def held(make_session, **arguments):
    session = make_session(batch_size=32, **arguments)
    session.train(epochs=5)
    eventually(lambda: session.metrics["step"] >= 3)
    session.pause()
    return session


# --- left out and labelled anew ------------------------------------------------------------------


def test_samples_are_left_out_and_labelled_anew_and_each_undo_gives_back_what_was(make_session):
    session = held(make_session)
    own = [session._backend.label_of(i) for i in range(4)]
    one = session.drop([3, 1])
    two = session.relabel([1, 2], 0)
    three = session.relabel(np.array([0, 2]), [1, 2])
    session.judge(0, "leave out")  # a later word on the same sample
    labels = session._backend._judged.label
    assert [labels(i, own[i]) for i in range(4)] == [-1, 0, 2, -1]
    assert [e.understood for e in session.interventions] == [
        "leave out samples 3, 1", "train samples 1, 2 as class 0",
        "train samples 0, 2 as classes 1, 2",
    ]  # fmt: skip
    assert [e.record.data.kind for e in session.interventions] == ["drop", "relabel", "relabel"]
    session.undo(one)
    assert [labels_of(session, i, own) for i in range(4)] == [-1, 0, 2, own[3]]
    session.undo(three)
    assert [labels_of(session, i, own) for i in range(4)] == [-1, 0, 0, own[3]]
    session.undo(two)
    assert [labels_of(session, i, own) for i in range(4)] == [-1, own[1], own[2], own[3]]
    session.judge(0, "undo")
    assert not session._backend._judged.any
    assert [e.data.id for e in session.events("undo")] == [one.id, three.id, two.id]


def labels_of(session, index, own):
    return session._backend._judged.label(index, own[index])


def test_a_sample_that_is_left_out_is_trained_on_no_more(make_session):
    session = held(make_session)
    session.step("epoch")
    gone = session.drop(range(40))
    session.step("epoch")
    session._parts.forecaster.drain(30)
    at = session.metrics["step"] - STEPS
    seen = session._parts.forecaster.store.last_seen
    assert (seen[:40] <= at).all()
    assert (seen[40:] > at).all()
    session.undo(gone)
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert (session._parts.forecaster.store.last_seen > at + STEPS).all()


@pytest.mark.parametrize("kept", [0, 1])
def test_a_batch_of_which_nothing_is_left_weighs_nothing(make_session, kept):
    def cycle(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=5 * STEPS)

    session = held(make_session, scheduler=cycle, config={"log_every": 1})
    session.step("epoch")
    at, before = session.metrics["step"], session._backend.scheduler.last_epoch
    order = session._backend.order(session.metrics["epoch"])
    session.drop(order[: 3 * 32 - kept])  # all of two batches, and all or all but one of another
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert session._parts.forecaster.failures == 0
    assert session._backend.scheduler.last_epoch == before + STEPS  # by batches, as it would be
    session.stop()
    session._parts.stream.flush()
    told = [event.step for event, _ in session.run.iter_metrics() if event.split == "train"]
    assert [step - at for step in told if step > at] == list(range(4, STEPS + 1))
    assert session._parts.forecaster.store.last_seen[order[: 3 * 32]].max() <= at
    last = session._backend.train_step(next(iter(session._backend.train_batches(1))))
    assert len(last.indices) == len(last.targets) == len(last.logits)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda s: s.drop(256), IndexError, "indices go from 0 to 255"),
        (lambda s: s.drop([]), ValueError, "no sample was named"),
        (lambda s: s.drop("all"), TypeError, "whole number"),
        (lambda s: s.relabel(3, 9), ValueError, "label=9 is no class"),
        (lambda s: s.relabel([1, 2, 3], [0, 1]), ValueError, "2 labels for 3 samples"),
        (lambda s: s.add(np.zeros((3, 8, 8), np.float32), 1), ValueError, r"one sample \(3, 32"),
        (lambda s: s.add(np.zeros((3, 32, 32), np.uint8), 1), ValueError, "floating point"),
        (lambda s: s.add(np.full((3, 32, 32), np.nan, np.float32), 1), ValueError, "NaN"),
        (lambda s: s.add(np.zeros((3, 32, 32), np.float32), 7), ValueError, "label=7 is no class"),
        (lambda s: s.add(np.zeros((3, 32, 32), np.float32), 0.5), ValueError, "class number"),
        (lambda s: s.add(np.zeros((2, 3, 32, 32), np.float32), [1]), ValueError, "for 2 samples"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_what_to_do_and_changes_nothing(make_session, change, error, says):
    session = make_session()
    with pytest.raises(error, match=says):
        change(session)
    assert session.interventions == []
    assert session._backend.num_train == 256
    assert not session._backend._judged.any


def test_batches_of_a_loader_of_ones_own_cannot_be_changed(make_session, shapes):
    model = tiny_cnn()
    session = make_session(model)
    for x, y in session.loop(torch.utils.data.DataLoader(shapes, batch_size=64)):
        for change in (lambda: session.drop(1), lambda: session.relabel(1, 2),
                       lambda: session.add(np.zeros((3, 32, 32), np.float32), 1)):  # fmt: skip
            with pytest.raises(ValueError, match="change the loader's data set"):
                change()
        session.observe(None, model(x), y)
        break


# --- added ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["arrays", "map-style"])
def test_added_samples_are_trained_on_from_the_next_epoch_on(make_session, shapes, kind):
    pairs = (shapes.images, shapes.labels)
    data = pairs if kind == "arrays" else Pairs(*pairs)
    session = held(make_session, data=data)
    new = 1 - shapes.images[:40]
    done = session.add(new, shapes.labels[:40])
    assert (
        done.understood == "add 40 samples, samples 256 to 295, trained on from the next epoch on"
    )
    one = session.add(torch.zeros(3, 32, 32), 2)  # a single one
    assert one.record.data.index == [296]
    assert np.array_equal(session._parts.samples.train(256).input, new[0])
    assert session._parts.samples.train(296).target == 2
    session.relabel(296, 1)
    session.step("epoch")
    begun = session.metrics["step"]
    store = session._parts.forecaster.store
    session._parts.forecaster.drain(30)
    assert store.num_samples == 297
    assert not store.seen[256:].any()
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert session.metrics["step"] == begun + 10  # 297 samples in batches of 32
    assert store.seen.all()
    assert store.target[295:].tolist() == [shapes.labels[39], 1]
    assert session.events("knobs")[-1].data.num_train == 297
    session.undo(done)
    session.step("epoch")
    session._parts.forecaster.drain(30)
    at = session.metrics["step"]
    assert at == begun + 10 + 8  # 257 of them, the single one with the last batch
    assert (store.last_seen[256:296] <= begun + 10).all()
    assert store.last_seen[296] > begun + 10
    session.resume()
    assert session.wait(240)
    assert session.metrics["epoch"] == 5
    assert replay(Run(session.run.path)).update(full=True)[0]["status"]["num_train"] == 297


def test_samples_added_and_taken_back_leave_no_trace(make_session):
    plain = make_session(batch_size=32)
    plain.train(epochs=5)
    assert plain.wait(120)
    session = held(make_session)
    first = session.add(np.zeros((40, 3, 32, 32), np.float32), np.zeros(40, np.int64))
    second = session.add(np.ones((3, 32, 32), np.float32), 1)
    session.undo(first)
    session.undo(second)
    session.resume()
    assert session.wait(240)
    assert session.metrics["step"] == 5 * STEPS
    mine, theirs = weights(session), weights(plain)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_a_run_that_goes_on_has_its_changed_data_and_can_undo_them(make_session, shapes):
    before = make_session(batch_size=32)
    told = [before.add(1 - shapes.images[:40], shapes.labels[:40]), before.drop([3, 256])]
    before.undo(before.add(shapes.images[0], 1))
    told += [before.relabel(3, 1), before.add(shapes.images[:2], [0, 1])]
    assert sorted(p.name for p in (before.run.path / "added").iterdir()) == [
        "0001.npz", "0002.npz", "0003.npz",
    ]  # fmt: skip
    session = make_session(batch_size=32)
    mine, theirs = session._parts, before._parts
    mine.data._folder = theirs.data._folder
    for entry in before.interventions:
        mine.steering.ledger.append(entry.record, entry.step, entry.when)
        if entry.undone:
            mine.steering.ledger.undo(entry.id)
    mine.data.take(theirs.data.kept())
    mine.labels.put(list(theirs.labels.verdicts.values()))
    assert session._backend.num_train == 299
    assert np.array_equal(session._backend.order(3), before._backend.order(3))
    assert np.array_equal(session._parts.samples.train(298).input, shapes.images[1])
    assert session._backend._judged.label(3, 0) == 1
    session.train(epochs=1)
    assert session.wait(240)
    assert session.metrics["step"] == 10
    for one in reversed(told):
        session.undo(one.id)
    assert len(session._backend.order(3)) == 256
    assert session._backend._judged.label(3, 0) == 0
    assert np.array_equal(session._backend.order(3), make_session()._backend.order(3))


def test_a_regression_grows_too(make_session, shapes):
    values = shapes.labels[:, None].astype(np.float32)
    session = make_session(linear(1), data=(shapes.images, values), loss=nn.MSELoss(), config=MAPS)
    session.add(shapes.images[0], 2.5)
    session.add(shapes.images[:2], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="1 finite number for each of 2 samples"):
        session.add(shapes.images[:2], [1.0, np.nan])
    with pytest.raises(ValueError, match="where each has one class, and this is a regression"):
        session.drop(3)
    session.train(epochs=1)
    assert session.wait(240)
    assert session.metrics["step"] == 5  # 259 samples in batches of 64
    assert np.isfinite(session.metrics["loss"])


# --- spikes --------------------------------------------------------------------------------------


def test_three_poisoned_rows_are_named_and_left_out_with_one_command(make_session, shapes):
    images, labels = shapes.images.copy(), shapes.labels.copy()
    session = make_session(linear(), data=(images, labels), batch_size=32, config=MAPS)
    session.train(epochs=60)
    eventually(lambda: session.metrics["epoch"] >= 8)
    session.pause()
    session.step("epoch")
    epoch = session.metrics["epoch"]
    rows = session._backend.order(epoch)[96:128][[4, 17, 30]]  # of its fourth batch
    images[rows] *= 400
    with torch.no_grad():  # as surely wrong as can be
        labels[rows] = session._backend.model(torch.from_numpy(images[rows])).argmin(1).numpy()
    session.step("epoch")
    session._parts.forecaster.drain(30)
    (spike,) = session.events("spike")
    assert sorted(spike.data.index) == sorted(rows.tolist())
    assert spike.step == epoch * STEPS + 4
    assert spike.data.loss > 2 * spike.data.usual[1] > 2 * spike.data.usual[0] > 0
    assert min(spike.data.value) > spike.data.loss
    assert f"{spike.data.index[0]} (" in spike.data.text

    def alarms():
        session._parts.stream.flush()
        return replay(Run(session.run.path)).update(full=True)[0]["alarms"]

    (alarm,) = alarms()
    assert (alarm["kind"], alarm["text"]) == ("spike", spike.data.text)
    assert [one["index"] for one in alarm["samples"]] == spike.data.index
    assert all(one["thumbnail_buffer"] is not None for one in alarm["samples"])
    answer = session._parts.desk.handle(LeaveOut(index=spike.data.index)).result(30)
    assert answer.text.startswith("Applied at step")
    assert alarms() == []
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert len(session.events("spike")) == 1
    session.undo(session.interventions[-1])
    assert session.drop(spike).record.data.index == spike.data.index
    session.step("epoch")
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert any(e.data.alarm == "spike" and e.data.over for e in session.events("notice"))


def test_a_row_that_spoils_a_normalised_batch_is_found_by_itself(make_session, shapes):
    images = shapes.images.copy()
    model = nn.Sequential(Log(), nn.BatchNorm2d(3), *tiny_cnn())
    session = make_session(model, data=(images, shapes.labels), batch_size=32)
    session.train(epochs=3)
    eventually(lambda: session.metrics["step"] >= 3)
    session.pause()
    session.step("epoch")
    before = [p.detach().clone() for p in model.parameters()]
    epoch = session.metrics["epoch"]
    row = int(session._backend.order(epoch)[7])
    images[row] = -5  # finite, and its logarithm is not
    session.step()
    (spike,) = session.events("spike")
    assert spike.data.index == [row]
    assert (spike.data.loss, spike.data.value) == (None, [None])
    assert "by itself" in session.events("notice")[-1].data.text
    assert all(map(torch.equal, before, model.parameters()))
    session.drop(spike)
    session.resume()
    assert session.wait(240)
    assert np.isfinite(session.metrics["loss"])
