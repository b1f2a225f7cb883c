"""Loops that train on a loader's batch in pieces: one step a batch, each row once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import tiny_cnn


@pytest.fixture(scope="module")
def pairs(shapes):
    return TensorDataset(torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels))


def steps_of(session):
    """What the loop told of each of its steps."""
    told = []
    observer = session._parts.loop.observer

    class Listening:
        def __getattr__(self, name):
            return getattr(observer, name)

        def observe(self, step, epoch, *outputs):
            told.extend(outputs)
            observer.observe(step, epoch, *outputs)

    session._parts.loop.observer = Listening()
    return told


def loop(session, loader, cut, accumulate=1, **given):
    model = session._backend.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for number, (x, y) in enumerate(session.loop(loader)):
        for a, b in zip(cut(x), cut(y), strict=True):
            logits = model(a)
            loss = F.cross_entropy(logits, b) / 4
            session.observe(None, logits, b, **given)
            (loss + session.guidance_loss(a, b, loss)).backward()
        if number % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()


CUTS = {
    "even": lambda t: t.chunk(4),
    "uneven": lambda t: t.split([5, 20, 7]) if len(t) == 32 else t.split(3),
    "single rows": lambda t: t.split(1),
    "whole": lambda t: [t],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_pieces_are_one_step_with_the_rows_of_their_batch(make_session, pairs, cut, accumulate):
    part = TensorDataset(*(t[:230] for t in pairs.tensors))  # the last batch has 6
    session = make_session(data=part, config={"log_every": 1})
    told = steps_of(session)
    loop(session, DataLoader(part, 32, shuffle=True), CUTS[cut], accumulate)
    session.wait(240)
    assert (session.state, session.metrics["step"]) == ("finished", 8)
    assert [len(o.indices) for o in told] == [32] * 7 + [6]
    assert sorted(np.concatenate([o.indices for o in told])) == list(range(230))
    for output in told:
        assert torch.equal(output.targets, pairs.tensors[1][output.indices])
        assert len(output.logits) == len(output.indices)
        expected = F.cross_entropy(output.logits, output.targets)
        assert output.loss == pytest.approx(float(expected), abs=1e-5)
        assert not output.logits.requires_grad


def test_a_piece_is_not_held_by_its_graph(make_session, pairs):
    session = make_session()
    for x, y in session.loop(DataLoader(pairs, 32)):
        for a, b in zip(x.chunk(2), y.chunk(2), strict=True):
            session.observe(None, session._backend.model(a), b)
        pieces = session._parts.own_loop._pieces
        assert not any(o.logits.requires_grad for o in pieces._outputs)
        break
    assert session.state == "stopped"


def test_a_loss_that_is_given_counts_by_its_rows(make_session, pairs):
    session = make_session()
    told = steps_of(session)
    for _, y in session.loop(DataLoader(pairs, 256)):
        for number, b in enumerate(y.split([64, 192])):
            session.observe(None, torch.zeros(len(b), 4), b, torch.tensor(float(number)))
    assert [output.loss for output in told] == pytest.approx([0.75])


def drop_one(t):
    return t.chunk(4)[:3]


def one_twice(t):
    return [*t.chunk(4), t.chunk(4)[0]]


def too_long(t):
    return [t[:20], t[:20]]


def whole_and_piece(t):
    return [t, t[:8]]


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (drop_one, "24 of the 32 rows.*the indices of the samples"),
        (one_twice, "8 more rows, but of this batch of 32 only 0 are left"),
        (too_long, "20 more rows.*only 12 are left.*give observe.. the indices"),
        (whole_and_piece, "8 rows after all 32"),
    ],
)
def test_pieces_that_are_not_the_batch_are_refused(make_session, pairs, cut, words):
    session = make_session()
    with pytest.raises(ValueError, match=words):
        loop(session, DataLoader(pairs, 32), cut)
    assert session.state == "stopped"
    # The way out that it names: indices.
    data = TensorDataset(*pairs.tensors, torch.arange(len(pairs)))
    session = make_session()
    model = session._backend.model
    for x, y, i in session.loop(DataLoader(data, 32)):
        for a, b, k in zip(cut(x), cut(y), cut(i), strict=True):
            session.observe(k, model(a), b)
    assert session.wait(240)
    assert session.state == "finished"


@pytest.mark.parametrize("order", ["observed first", "guided first", "guided once", "all guided"])
@pytest.mark.parametrize("uneven", [False, True])
def test_guidance_knows_the_rows_of_a_piece(make_session, pairs, monkeypatch, order, uneven):
    session = make_session()
    told = steps_of(session)
    session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3))
    asked = []
    term_of = session._backend.guidance_term

    def remember(inputs, targets, loss, indices):
        asked.append((inputs, indices))
        return term_of(inputs, targets, loss, indices)

    monkeypatch.setattr(session._backend, "guidance_term", remember)
    model = session._backend.model
    cut = CUTS["uneven" if uneven else "even"]
    for x, y in session.loop(DataLoader(pairs, 32, shuffle=True)):
        pieces = list(zip(cut(x), cut(y), strict=True))
        for number, (a, b) in enumerate(pieces):
            if order in ("guided first", "all guided"):
                session.guidance_loss(a, b, torch.tensor(0.5))
            if order != "all guided":
                session.observe(None, model(a), b)
            if order == "observed first" or (order == "guided once" and number == 2):
                session.guidance_loss(a, b, torch.tensor(0.5))
        if order == "all guided":
            for a, b in pieces:
                session.observe(None, model(a), b)
    assert len(asked) == (8 if order == "guided once" else 24 if uneven else 32)
    for inputs, indices in asked:
        assert torch.equal(inputs, pairs.tensors[0][indices])
    guided = [float(o.guidance_loss) for o in told if o.guidance_loss is not None]
    assert guided
    assert all(np.isfinite(guided))


def test_the_guidance_of_pieces_is_told_as_that_of_the_whole(make_session, pairs):
    """The share that guidance adds, whether a piece's loss is divided for its gradient or not."""
    found = []
    for pieces, share in ((1, 1.0), (4, 1.0), (4, 0.25)):
        model = tiny_cnn()
        session = make_session(model=model, config={"guidance": {"replay_share": 1.0}})
        told = steps_of(session)
        session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3))
        session._backend.guidance_term = lambda inputs, targets, loss, indices: loss * 0.3
        for x, y in session.loop(DataLoader(pairs, 32)):
            for a, b in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
                logits = model(a)
                session.observe(None, logits, b)
                session.guidance_loss(a, b, F.cross_entropy(logits, b) * share)
            break
        found.append([float(o.guidance_loss) / float(o.loss) for o in told])
    assert found == [pytest.approx([0.3], abs=1e-4)] * 3


def test_a_loop_that_is_left_within_a_batch_keeps_what_was_observed(make_session, pairs):
    session = make_session()
    told = steps_of(session)
    for x, y in session.loop(DataLoader(pairs, 32)):
        for a, b in zip(x[:16].chunk(2), y.chunk(4), strict=False):
            session.observe(None, session._backend.model(a), b)
        break
    assert [o.indices.tolist() for o in told] == [list(range(16))]
