"""Volumes, slice by slice: how they are laid out, trained on, shown, chosen and marked."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import coflect_widget as coflect
from coflect_widget.modalities import VOLUME, Volume
from coflect_widget.modalities.volume import from_sheet, to_sheet
from tests.backends.torch_parts import Items

N, DEPTH, SIDE = 64, 5, 8


def volumes(rng, count=N):
    """A bright cube in one of two halves, and in the fourth slice a corner that says which."""
    x = rng.normal(0, 0.2, (count, 1, DEPTH, SIDE, SIDE)).astype(np.float32)
    kinds = np.arange(count) % 2
    for volume, kind in zip(x[:, 0], kinds, strict=True):
        top = rng.integers(0, 5)
        volume[0:2, top : top + 3, 5 * kind : 5 * kind + 3] += 0.5
        volume[3, 6:, 6:] += 6 * kind
    return x, kinds


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.AvgPool3d((1, 4, 4)), nn.Flatten(),
            nn.Linear(6 * DEPTH * 4, 2),
        )  # fmt: skip

    def forward(self, x):
        assert x.ndim == 5
        return self.body(x)


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
def test_a_sheet_has_all_slices_once(depth):
    x = np.random.default_rng(0).random((2, 3, depth, 4, 6), dtype=np.float32)
    sheet = to_sheet(x)
    assert np.array_equal(sheet[:, :, :4, :6], x[:, :, 0])
    assert np.array_equal(from_sheet(sheet, depth), x)
    assert torch.equal(to_sheet(torch.from_numpy(x)), torch.from_numpy(sheet))
    assert np.array_equal(coflect.slices(sheet[0, 0], depth), x[0, 0])
    with pytest.raises(ValueError, match="pass the map of a volume"):
        coflect.slices(np.ones((5, 7)), 4)


def test_a_box_is_of_all_slices_or_of_one():
    kind, sheets = Volume().unpacked(volumes(np.random.default_rng(0))[0], "x")
    assert sheets.shape == (N, 1, 2 * SIDE, 3 * SIDE)
    extent = kind.extent(sheets[0])

    def marked(value):
        masks = [kind.mask(one, extent) for one in kind.regions(value, "ignore", extent)]
        return from_sheet(np.logical_or.reduce(masks), DEPTH)

    everywhere = marked((0.5, 0, 1, 0.25))
    assert everywhere[:, :2, 4:].all()
    assert everywhere.sum() == DEPTH * 8
    one = marked({"slice": 3, "box": (0.75, 0.75, 1, 1)})
    assert one[3, 6:, 6:].all()
    assert one.sum() == 4
    assert (
        marked([{"slice": 0, "box": (0, 0, 1, 1)}, {"slice": 4, "box": (0, 0, 1, 1)}]).sum() == 128
    )
    drawn = marked({"box": [0, 0.5, 1 / 3, 1]})  # on the sheet, as the screen says it
    assert drawn[3].all()
    assert drawn.sum() == 64
    for wrong in ({"slice": 5, "box": (0, 0, 1, 1)}, {"slice": 0, "box": [(0, 0), (1, 1), (1, 0)]}):
        with pytest.raises(ValueError, match=r"\{'slice': 3, 'box'|from 0 to 4"):
            marked(wrong)


def test_a_mask_moves_to_another_place_of_a_slice_that_there_is():
    kind, sheets = Volume().unpacked(volumes(np.random.default_rng(0), 1)[0], "x")
    extent, rng = kind.extent(sheets[0]), np.random.default_rng(0)
    (box,) = kind.regions({"slice": 1, "box": (0.25, 0.25, 0.75, 0.5)}, "ignore", extent)
    mask = kind.mask(box, extent)
    steps = kind.moves(extent, 40, rng)
    assert len({tuple(by) for by in steps.tolist()}) == 40
    masks = [kind.moved(mask[None], sheets, by)[0] for by in steps]
    assert not any(np.array_equal(one, mask) for one in masks)
    masks += [kind.elsewhere(mask, sheets[0], rng) for _ in range(40)]
    found = np.array([from_sheet(one, DEPTH).sum((1, 2)) for one in masks])
    assert (found.max(1) == mask.sum()).all()  # in one slice, and nothing beside all slices
    assert set(found.argmax(1)) == set(range(DEPTH))


@pytest.mark.parametrize("as_items", [False, True])
def test_a_training_on_volumes_is_shown_explained_and_guided(as_items, make_session):
    x, y = volumes(np.random.default_rng(0))
    data = Items(lambda i: (torch.from_numpy(x[i]), int(y[i])), N) if as_items else (x, y)
    model = Net()
    session = make_session(
        model, data, (x, y), classes=["left", "right"], batch_size=16,
        optimizer=lambda weights: torch.optim.Adam(weights, 0.01),
    )  # fmt: skip
    assert session._parts.modality.name == "volume"
    assert any("volumes of 5 slices" in e.data["text"] for e in session.events("notice"))
    assert np.asarray(session._parts.gallery.thumbnail(1)).size
    session.train(epochs=6)
    session.wait(240)
    plain = x.copy()
    plain[:, :, 3, 6:, 6:] = 0

    def moved():
        with torch.no_grad():
            said, other = (model(torch.from_numpy(each)) for each in (x, plain))
        return float((said - other).abs().mean() / said.std())

    before = moved()
    found = session.explain(1, 240)
    by_slice = coflect.slices(found.map, DEPTH)
    assert by_slice.shape == (DEPTH, SIDE, SIDE)
    assert by_slice[3, 6:, 6:].mean() > 2 * by_slice[2].mean()
    corner = {"slice": 3, "box": (0.75, 0.75, 1, 1)}
    made = session.feedback(1, ignore=corner, scope="everywhere")
    assert "fill" in made.record.loss
    added = 0.0
    for xs, ys in session.loop(
        DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), 16),
        epochs=1,
    ):  # a loop of one's own has volumes as they are
        logits = model(xs)
        loss = nn.functional.cross_entropy(logits, ys)
        session.observe(np.arange(16), logits, ys)
        added += float(torch.as_tensor(session.guidance_loss(xs, ys, loss)).detach())
    assert added > 0
    session.train(epochs=6)
    session.wait(240)
    assert not session.events("failure") + session.events("lapsed")
    assert moved() < 0.5 * before
    assert session.metrics["val_accuracy"] > 0.9


def test_what_is_no_volume_or_another_one_is_refused():
    x, y = volumes(np.random.default_rng(0))
    kind, _ = VOLUME.unpacked(x, "train_data")
    with pytest.raises(ValueError, match="volumes of 4 slices, and those before have 5"):
        kind.unpacked(x[:, :, :4], "val_data")
    with pytest.raises(ValueError, match=r"volumes\[:, None\]"):
        VOLUME.unpacked(x[:, 0, 0], "train_data")
    with pytest.raises(ValueError, match=r"shape \(5, 8, 8\).*volumes\[:, None\]"):
        coflect.Session(Net(), (x[:, 0], y), inputs="volume")
    with pytest.raises(ValueError, match="no map of inputs of the kind 'volume'"):
        coflect.Session(Net(), (x, y), config={"attribution": {"method": "livecam"}})


def test_pictures_beyond_three_channels_are_shown_chosen_and_marked(make_session):
    rng = np.random.default_rng(0)
    y = np.arange(48) % 2
    x = rng.normal(0, 0.2, (48, 6, 8, 8)).astype(np.float32)
    x[:, 5, 2:5, 2:5] += 2 * y[:, None, None]
    x[:, 4, 6:, 6:] += 3 * y[:, None, None]
    model = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 2))
    session = make_session(
        model, (x, y), classes=["no", "yes"], batch_size=16,
        optimizer=lambda weights: torch.optim.Adam(weights, 0.01),
        config={"display": {"channels": [5]}},
    )  # fmt: skip
    session.train(epochs=4)
    session.wait(240)
    shown = session._parts.modality.render(x[1], session.config.display).picture
    assert shown[2:5, 2:5].mean() > shown[6:, 6:].mean() + 30  # the sixth channel, and no other
    assert "fill" in session.feedback(1, ignore=(0.75, 0.75, 1, 1)).record.loss
    session.train(epochs=6)
    session.wait(240)
    assert not session.events("failure") + session.events("lapsed")
    plain = x.copy()
    plain[:, :, 6:, 6:] = 0
    with torch.no_grad():
        said, other = (model(torch.from_numpy(each)) for each in (x, plain))
    assert float((said - other).abs().mean()) < 0.3 * float(said.std())
