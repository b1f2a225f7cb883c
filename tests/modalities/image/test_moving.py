"""A stroke is kept as a place: data sets whose pictures move at each reading are told apart."""

import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coflect_widget.modalities.image.moving import moves
from tests.conftest import eventually, tiny_cnn


def crop(x, rng, pad=4):
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    a, b = rng.integers(0, 2 * pad + 1, 2)
    return padded[:, a : a + x.shape[1], b : b + x.shape[2]]


def flip(x, rng):
    return x[:, :, ::-1] if rng.random() < 0.5 else x


def zoom(x, rng):
    side = int(32 * rng.uniform(0.5, 1))
    a, b = rng.integers(0, 33 - side, 2)
    return ndimage.zoom(x[:, a : a + side, b : b + side], (1, 32 / side, 32 / side), order=1)


def turn(x, rng):
    return ndimage.rotate(x, rng.uniform(-20, 20), (1, 2), reshape=False, order=1)


def colours(x, rng):
    x = x * rng.uniform(0.6, 1.4)
    gray = x.mean(0, keepdims=True)
    return (gray + (x - gray) * rng.uniform(0.4, 1.6)) * rng.uniform(0.8, 1.2, (3, 1, 1))


def gamma(x, rng):
    return np.clip(x, 0, 1) ** rng.uniform(0.5, 2)


def noise(x, rng):
    return x + rng.normal(0, 0.2, x.shape)


def erase(x, rng):
    x, (a, b) = x.copy(), rng.integers(0, 20, 2)
    x[:, a : a + 12, b : b + 12] = 0
    return x


def another(x, rng):
    return rng.normal(size=x.shape)


MOVING = {
    "crop": [crop], "mirror": [flip], "zoom": [zoom], "turn": [turn],
    "crop, mirror, colours and noise": [crop, flip, colours, noise],
}  # fmt: skip
STILL = {
    "nothing": [], "colours": [colours], "gamma": [gamma], "noise": [noise], "erase": [erase],
    "erase and colours": [erase, colours], "noise alone": [another],
}  # fmt: skip


@pytest.mark.parametrize("how", [*MOVING, *STILL])
def test_movement_is_told_from_noise_and_colours(how, shapes):
    changes = (MOVING | STILL)[how]
    found = []
    for index in range(8):
        rng = np.random.default_rng(index)
        readings = []
        for _ in range(6):
            x = shapes.images[index]
            for change in changes:
                x = change(x, rng)
            readings.append(x.astype(np.float32))
        found.append(moves(readings))
    right = np.array(found) == (how in MOVING)
    assert right.mean() >= 7 / 8, found


class Changed(torch.utils.data.Dataset):
    """Counts its reads; `draw` gives the generator's next number below 9."""

    def __init__(self, shapes, change, draw):
        self.images, self.labels = torch.from_numpy(shapes.images), shapes.labels
        self.change, self.draw, self.reads = change, draw, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.reads += 1
        return self.change(self.images[index], self.draw), int(self.labels[index])


def cropped(x, draw):
    a, b = draw(), draw()
    return F.pad(x, (4,) * 4)[:, a : a + 32, b : b + 32]


def mirrored(x, draw):
    return x.flip(2) if draw() % 2 else x


def brighter(x, draw):
    return x * (0.5 + draw() / 9)


def as_it_is(x, draw):
    return x


def by_torch():
    return int(torch.randint(0, 9, ()))


#: Numbers that nobody else sees; in turn, so that no two readings in a row are the same.
OWN = itertools.cycle((0, 1, 4, 7, 2, 5, 8, 3, 6))
DRAWS = {"torch": by_torch, "python": lambda: random.randrange(9), "own": lambda: next(OWN)}


def said(session):
    return [e.data["text"] for e in session.events("notice") if "lies elsewhere" in e.data["text"]]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("change", [cropped, mirrored])
def test_the_first_stroke_on_a_picture_that_moves_says_so(make_session, shapes, change, draw):
    session = make_session(data=Changed(shapes, change, DRAWS[draw]))
    assert said(session) == []
    torch.manual_seed(0)  # six readings that happen to be the same would tell nothing
    random.seed(0)
    state = torch.get_rng_state(), random.getstate()
    session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    (text,) = said(session)
    assert "Sample 5" in text
    assert "session.similar('i1')" in text
    session.feedback(sample=9, look=(0, 0, 0.5, 0.5))
    assert len(said(session)) == 1
    if draw != "own":
        assert torch.equal(state[0], torch.get_rng_state())
        assert state[1] == random.getstate()


def test_it_is_said_while_training_too(make_session, shapes):
    session = make_session(data=Changed(shapes, cropped, by_torch))
    session.train(epochs=1000)
    session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    assert eventually(lambda: said(session))
    session.stop()


@pytest.mark.parametrize("change", [brighter, as_it_is])
def test_nothing_is_said_of_a_picture_that_stays(make_session, shapes, change):
    data = Changed(shapes, change, by_torch)
    session = make_session(data=data)
    for sample in (5, 9):
        session.feedback(sample=sample, ignore=(0, 0, 0.2, 0.2))
    assert said(session) == []
    if change is as_it_is:
        before = data.reads
        session.feedback(sample=11, ignore=(0, 0, 0.2, 0.2))
        assert data.reads - before <= 6  # the guidance reads its samples; nobody else does


def test_a_ledger_of_another_session_says_so_too(make_session, shapes):
    first = make_session()
    first.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    session = make_session(data=Changed(shapes, cropped, by_torch), guidance=first.ledger)
    assert len(said(session)) == 1


class Augmented(nn.Module):
    """The way out that is named: the batch is moved in the model, while it trains."""

    def __init__(self):
        super().__init__()
        self.body = tiny_cnn()

    def forward(self, x):
        if self.training:
            x = torch.stack([cropped(row, by_torch) for row in x])
        return self.body(x)


@pytest.mark.parametrize("own_loop", [False, True])
def test_the_way_out_works(make_session, shapes, own_loop):
    data = TensorDataset(torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels))
    model = tiny_cnn() if own_loop else Augmented()
    session = make_session(model, data)
    drawn = session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    assert said(session) == []
    if own_loop:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for x, y in session.loop(DataLoader(data, 32, shuffle=True)):
            logits = model(torch.stack([cropped(row, by_torch) for row in x]))
            loss = F.cross_entropy(logits, y)
            session.observe(None, logits, y)
            optimizer.zero_grad()
            (loss + session.guidance_loss(x, y, loss)).backward()
            optimizer.step()
    else:
        session.train(epochs=1)
    assert session.wait(240)
    assert session.state == "finished"
    assert session.metrics["guidance_loss"] > 0
    assert isinstance(session.similar(drawn), list)
