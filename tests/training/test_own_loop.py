"""A loop that the user wrote: commands, forecast, overlays and guidance reach it all the same."""

import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import coflect_widget as coflect
from coflect_widget.backends.torch.loader import follow
from tests.conftest import eventually, tiny_cnn
from tests.one_worker import BUSY


@pytest.fixture(scope="module")
def pairs(shapes):
    return TensorDataset(torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels))


def loader_of(pairs, **more):
    return DataLoader(pairs, batch_size=32, shuffle=True, **more)


class Person(threading.Thread):
    """Someone at the dashboard while the cell is busy: calls the session from another thread."""

    def __init__(self, session, act):
        super().__init__()
        self.session, self.act, self.error = session, act, None
        self.start()

    def run(self):
        try:
            self.act()
        except BaseException as error:  # noqa: BLE001 - raised again by `done`
            self.error = error
            self.session.stop()  # the loop shall not outlive the test

    def done(self):
        self.join(60)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def train(session, loader, epochs, on_step=lambda: None, indices=None):
    model = session._backend.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in session.loop(loader, epochs=epochs):
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        session.observe(indices, logits, y)
        optimizer.zero_grad()
        (loss + session.guidance_loss(x, y, loss)).backward()
        optimizer.step()
        on_step()


class Streamed(IterableDataset):
    """Its loader has ``__len__`` all the same, which raises."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __iter__(self):
        return ((*self.pairs[i], i) for i in range(96))


def test_a_loader_of_unknown_length(make_session, pairs):
    session = make_session()
    model = session._backend.model
    for x, y, indices in session.loop(DataLoader(Streamed(pairs), batch_size=32), epochs=2):
        session.observe(indices, model(x), y)
    assert (session.state, session.metrics["step"]) == ("finished", 6)


def test_a_bare_loop_has_metrics_a_forecast_validation_and_a_checkpoint(
    make_session, shapes, pairs
):
    session = make_session(val=shapes, config={"forecast_every": 4, "log_every": 4})
    train(session, loader_of(pairs), epochs=3)
    assert session.wait(240)
    assert session.state == "finished"
    assert (session.metrics["step"], session.metrics["epoch"]) == (24, 3)
    assert 0 < session.metrics["loss"] < 3
    assert 0 <= session.metrics["val_accuracy"] <= 1
    assert session.events("train_started")[0].data["total_steps"] == 24
    assert len(session.candidates) == 10
    store = session._parts.forecaster.store
    assert store.seen.all()
    assert np.array_equal(store.target, shapes.labels)
    assert "finished" in [e.data.reason for e in session.events("checkpoint")]


def test_metrics_and_queue_are_there_when_the_loop_has_ended(make_session, pairs):
    session = make_session(config={"forecast_every": 4})
    train(session, loader_of(pairs), epochs=1)
    assert {"loss", "accuracy"} <= session.metrics.keys()
    assert session.candidates


def test_the_speed_of_a_loop_leaves_its_validation_out(make_session, shapes, pairs, monkeypatch):
    session = make_session(val=shapes)
    evaluate = session._backend.evaluate

    def slow(boundary):
        time.sleep(1)
        return evaluate(boundary)

    monkeypatch.setattr(session._backend, "evaluate", slow)
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        train(session, loader_of(pairs), epochs=1)
        taken.append(time.perf_counter() - began)
    spent = session._parts.loop.time
    assert 1 <= spent.validation < min(taken)
    assert 16 / spent.speed < sum(taken) - 1  # of the two seconds of validation one is leeway


def test_the_loss_of_the_telemetry_is_the_loops_own(make_session, pairs):
    session = make_session(config={"log_every": 1})
    losses = []
    model = session._backend.model
    for x, y in session.loop(loader_of(pairs)):
        with torch.no_grad():
            logits = model(x)
        session.observe(None, logits, y)
        losses.append(float(F.cross_entropy(logits, y)))
    session.wait(240)
    logged = [e.data["values"]["loss"] for e in session.events("metrics") if e.split == "train"]
    assert logged == pytest.approx(losses, abs=1e-6)


def test_pause_a_stroke_an_overlay_and_stop_reach_a_busy_loop(make_session, pairs):
    session = make_session()

    def act():
        eventually(lambda: session.metrics["step"] > 3)
        session.pause()
        assert session.state == "paused"
        held = session.metrics["step"]
        given = session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3))
        assert "fill" in given.record.loss
        assert session.explain(3).map.shape == (32, 32)
        time.sleep(0.2)
        assert session.metrics["step"] == held
        session.resume()
        eventually(lambda: (session.metrics.get("guidance_loss") or 0) > 0)
        session.stop()
        assert session.state == "stopped"

    person = Person(session, act)
    train(session, loader_of(pairs), epochs=10_000)
    person.done()
    assert session.state == "stopped"
    assert [e.data["state"] for e in session.events("state")] == [
        "training", "paused", "training", "stopped",
    ]  # fmt: skip


def test_the_guidance_of_a_bare_loop_is_the_guidances_own(make_session, shapes):
    """The same batches and strokes, once through a session and once by hand: the same weights."""

    def weights(through_session):
        model = tiny_cnn()
        session = make_session(model=model)
        session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3), look=(0.4, 0.4, 0.9, 0.9))
        guidance = session._backend._guidance
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        model.train()
        order = np.arange(256).reshape(8, 32)
        for rows in session.loop(order) if through_session else order:
            x, y = torch.from_numpy(shapes.images[rows]), torch.from_numpy(shapes.labels[rows])
            optimizer.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if through_session:
                session.observe(rows, logits, y, loss)
                term = session.guidance_loss(x, y, loss)
            else:
                term = guidance.loss(x, y, loss.detach(), torch.from_numpy(rows))
            (loss if term is None else loss + term).backward()
            optimizer.step()
        session._parts.forecaster.drain(30)
        return torch.cat([p.detach().flatten() for p in model.parameters()]), session

    ours, session = weights(True)
    assert torch.equal(ours, weights(False)[0])
    session.wait(240)
    assert session.metrics["guidance_loss"] > 0


def test_a_loop_may_run_on_a_thread_of_the_users(make_session, pairs):
    session = make_session()
    thread = threading.Thread(target=train, args=(session, loader_of(pairs), 10_000))
    thread.start()
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    session.resume()
    session.close()
    thread.join(30)
    assert not thread.is_alive()


def test_commands_from_the_loops_own_body_do_not_wait_for_themselves(make_session, pairs):
    session = make_session()
    given = []

    def on_step():
        step = len(given)
        given.append(session.state)
        if step == 2:
            session.feedback(sample=0, ignore=(0, 0, 0.2, 0.2))
            with pytest.raises(RuntimeError, match="cannot wait for its own end"):
                session.wait()
            with pytest.raises(RuntimeError, match="already running"):
                session.train(epochs=1)
        if step == 4:
            session.stop()
            assert session.state == "stopped"

    train(session, loader_of(pairs), epochs=100, on_step=on_step)
    assert given == ["training"] * 5
    assert session.metrics["step"] == 5
    session.train(epochs=1)  # an epoch of our own batches, from its beginning
    session.wait(240)
    assert session.state == "finished"
    assert session.metrics["step"] == 9


def test_a_loop_that_is_left_is_over(make_session, pairs):
    session = make_session()
    with pytest.raises(ZeroDivisionError):
        train(session, loader_of(pairs), epochs=9, on_step=lambda: 1 // 0)
    assert session.state == "stopped"
    for _ in session.loop(loader_of(pairs)):
        break
    assert session.state == "stopped"
    iterator = session.loop(loader_of(pairs))
    next(iterator)  # held by a variable, so nothing tells it that it is over
    with pytest.raises(KeyError), session:
        raise KeyError("lost")
    assert session.state == "failed"
    assert "lost" in session.run.events("failure")[-1].data["error"]


def test_a_loop_in_the_body_of_another_is_refused_and_leaves_it_alone(make_session, pairs):
    session = make_session()
    steps = 0
    for x, y in session.loop(loader_of(pairs)):
        with pytest.raises(RuntimeError, match="in its body"):
            for _ in session.loop(loader_of(pairs)):
                pass
        session.observe(None, torch.zeros(len(x), 4), y)
        steps += 1
    assert steps == 8
    assert session.state == "finished"
    assert session.metrics["step"] == 8


def test_a_loop_that_a_newer_one_ended_says_so(make_session, pairs):
    session = make_session()
    old = session.loop(loader_of(pairs))
    next(old)
    for _ in session.loop(loader_of(pairs)):
        with pytest.raises(RuntimeError, match="one after the other"):
            next(old)
        break


def test_what_cannot_be_used_is_named_with_the_remedy(make_session, pairs):
    session = make_session()
    logits, y = torch.zeros(4, 4), torch.zeros(4, dtype=torch.long)
    with pytest.raises(RuntimeError, match="for the body of a loop"):
        session.observe([0, 1, 2, 3], logits, y)
    for _ in session.loop([0]):
        for indices, shown, words in [
            (None, logits, "indices in train_data"),
            ([0, 1, 2, 256], logits, "indices has 256, but the session's train_data has 256"),
            ([0, 1, 2], logits, "3 indices"),
            ([0.5] * 4, logits, "whole numbers"),
            ([0, 1, 2, 3], torch.zeros(4, 7), r"shape \(4, 7\); expected \(B, 4\)"),
        ]:
            with pytest.raises(ValueError, match=words):
                session.observe(indices, shown, y)
    with pytest.raises(TypeError, match="only once"):
        session.loop(iter([0]), epochs=2)
    with pytest.raises(TypeError, match="gives no batches"):
        session.loop(3)
    with pytest.raises(ValueError, match="epochs"):
        session.loop([0], epochs=0)
    assert session.metrics["step"] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loaders_order_is_followed_and_not_changed(pairs, workers):
    numbered = TensorDataset(*pairs.tensors, torch.arange(len(pairs)))

    def orders(followed):
        torch.manual_seed(5)
        loader = loader_of(numbered, num_workers=workers)
        if not followed:
            return [index.tolist() for _, _, index in loader]
        with follow(loader) as indices:
            said = [(index.tolist(), indices().tolist()) for _, _, index in loader]
        assert not isinstance(loader.batch_sampler, type(indices))
        assert all(given == told for given, told in said)
        return [told for _, told in said]

    assert orders(followed=True) == orders(followed=False)


def test_workers_that_stay_are_followed_in_each_epoch(pairs):
    numbered = TensorDataset(*pairs.tensors, torch.arange(len(pairs)))
    loader = loader_of(numbered, num_workers=1, persistent_workers=True)
    sampler = loader.batch_sampler
    next(iter(loader))  # gone through before
    for _ in range(2):
        with follow(loader) as indices:
            assert all(index.tolist() == indices().tolist() for _, _, index in loader)
    assert loader.batch_sampler is sampler
    assert loader._iterator._index_sampler is sampler


def test_a_loader_that_the_body_looks_into_is_still_followed(pairs):
    numbered = TensorDataset(*pairs.tensors, torch.arange(len(pairs)))
    loader = loader_of(numbered)
    with follow(loader) as indices:
        for _ in range(2):
            for number, (_, _, index) in enumerate(loader):
                if number == 0:
                    beside = iter(loader)
                next(beside)
                next(iter(loader))
                assert index.tolist() == indices().tolist()
            del beside


def test_a_part_of_full_length_is_followed_to_its_samples(pairs):
    order = torch.randperm(len(pairs)).tolist()
    part = Subset(pairs, order)
    places = {
        pairs: order,
        None: order,
        part: list(range(256)),
        Subset(pairs, order): list(range(256)),
    }
    for data, expected in places.items():
        loader = DataLoader(part, 32)
        with follow(loader, 256, data) as indices:
            assert [index for _ in loader for index in indices().tolist()] == expected


def test_observing_changes_no_random_number(make_session, pairs):
    def weights(with_session):
        torch.manual_seed(7)
        model = tiny_cnn()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        session = make_session(model=model, config=BUSY)
        loader = loader_of(pairs)
        torch.manual_seed(9)
        for x, y in session.loop(loader, epochs=2) if with_session else [*loader, *loader]:
            optimizer.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if with_session:
                session.observe(None, logits, y)
            loss.backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(True), weights(False))


def test_mixed_targets_count_by_their_larger_part(make_session, pairs):
    session = make_session()
    targets = F.one_hot(torch.tensor([2, 1]), 4).float() * 0.8 + 0.05
    for _ in session.loop([0]):
        session.observe([5, 6], torch.randn(2, 4), targets)
    session.wait(240)
    assert session._parts.forecaster.store.target[[5, 6]].tolist() == [2, 1]
    assert coflect.open_run(session.run.path) is not None


class Drawing(TensorDataset):
    """Augments: it may only be read between two steps."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + 0.01 * torch.rand(1), y


def test_a_loops_own_body_may_look_at_samples(make_session, shapes):
    data = Drawing(torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels))
    session = make_session(data=data)
    found = []

    def on_step():
        if session.metrics["step"] in (2, 5):
            found.append(session.explain(3, timeout=60))

    train(session, loader_of(data), epochs=1, on_step=on_step)
    # the step is counted when the next batch is asked for: the weights are one step further
    assert [explanation.model_step for explanation in found] == [2, 5]


def test_an_old_loop_that_is_collected_ends_no_newer_one(make_session, pairs):
    session = make_session()
    old = session.loop(loader_of(pairs))
    next(old)
    seen = 0
    for _ in session.loop(loader_of(pairs)):
        seen += 1
        if seen == 3:
            old.close()
    assert seen == 8
    assert session.state == "finished"


def test_a_loader_of_a_part_of_the_data_is_followed_to_its_samples(make_session, pairs):
    session = make_session()
    part = Subset(Subset(pairs, range(100, 200)), range(50, 90))
    train(session, DataLoader(part, batch_size=8, shuffle=True), epochs=1)
    session.wait(240)
    store = session._parts.forecaster.store
    assert np.flatnonzero(store.seen).tolist() == list(range(150, 190))
    assert np.array_equal(store.target[150:190], pairs.tensors[1][150:190].numpy())
    other = TensorDataset(*(tensor[:40] for tensor in pairs.tensors))
    with pytest.raises(ValueError, match="samples are not known"):
        train(session, DataLoader(other, batch_size=8), epochs=1)
