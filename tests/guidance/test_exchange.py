"""What is ignored everywhere is exchanged among the rows of a batch, and leaves no other trace."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.plan import located_places, make_plan
from coflect_widget.guidance.rows import RowChooser
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Located
from coflect_widget.guidance.terms import REFRESH
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi

torch.set_num_threads(1)
DATA = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 3
INDICES = torch.arange(24) + 100


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ).train()  # fmt: skip


def guide(*strokes, located=(), model=None, **settings):
    def rows(indices):
        return DATA[[k % 24 for k in indices]], LABELS[[k % 24 for k in indices]]

    guidance = GuidanceLosses(
        TorchGuided(model or network(), rows), IMAGE, GuidanceConfig(**settings), 1
    )
    said = guidance.set_state(GuidanceState(tuple(strokes), 0.3, tuple(located)))
    return guidance, said


def ignore(roi, sample=None, strength=1.0, **more):
    return ActiveStroke("ignore", parse_roi(roi), sample, strength, "i1", **more)


def changed(guidance, indices=INDICES):
    """(24, 16, 16) where a row's pixels are not its own any more."""
    out = guidance.prepare(DATA, LABELS, indices).inputs
    return (out != DATA).any(1), out


def test_only_the_place_changes_and_the_batch_keeps_its_pixels():
    guidance, said = guide(ignore((0.0, 0.0, 0.5, 0.25)))
    assert said == "fill"
    place, out = changed(guidance)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[:4, :8] = True
    assert torch.equal(place.any(0), inside)
    assert place.any((1, 2)).all()
    before, after = (x[:, :, inside].flatten().sort().values for x in (DATA, out))
    assert torch.equal(before, after)


def test_a_stroke_on_a_sample_reaches_like_places_unless_it_is_for_that_sample_alone():
    corner = (0.0, 0.0, 0.25, 0.25)
    place, _ = changed(guide(ignore(corner, 5))[0])
    assert place[:, 0, 0].all()
    assert place[:, -1, -1].all()
    assert not place[:, 8, 8].any()
    alone, _ = guide(ignore(corner, 5, spreads=False))
    assert alone.prepare(DATA, LABELS, INDICES).inputs is DATA
    assert alone.active  # it is replayed


def test_strength_is_the_share_of_rows():
    few, _ = changed(guide(ignore((0.0, 0.0, 0.5, 0.5), strength=0.02))[0])
    assert 0 < few.any((1, 2)).sum() < 12


def test_a_class_of_its_own():
    guidance, _ = guide(ignore((0.0, 0.0, 0.5, 0.5), label=1), ignore((0.5, 0.5, 1.0, 1.0)))
    place, _ = changed(guidance)
    assert torch.equal(place[:, 0, 0], LABELS == 1)
    assert place[:, -1, -1].all()
    as_probabilities = guidance.prepare(DATA, torch.eye(3)[LABELS], INDICES).inputs
    assert torch.equal((as_probabilities != DATA).any(1)[:, 0, 0], LABELS == 1)


def test_a_found_artefact_changes_at_its_own_place_and_others_at_one_of_the_places():
    box = {103: (0.0, 0.0, 0.25, 0.25), 110: (0.5, 0.5, 0.75, 0.75), 999: (0.75, 0.0, 1.0, 0.25)}
    located = Located(tuple(box), tuple(box.values()), 1.0, "i2", "i1")
    guidance, _ = guide(located=[located])
    each = [changed(guidance)[0] for _ in range(40)]
    place = sum(one.int() for one in each) > 0
    assert place[3, :4, :4].all()
    assert not place[3, 6:].any()
    assert place[10, 8:12, 8:12].all()
    assert not place[10, :6].any()
    # an untouched row would tell what it is not
    assert all(one.any((1, 2)).all() for one in each)
    assert place[0, :4, :4].all()
    assert place[0, :4, 12:].all()
    assert place[0, 8:12, 8:12].all()
    assert not place[0, 14:].any()
    assert max(int(one[0].sum()) for one in each) <= 36  # one of them at a time
    assert guidance.prepare(DATA, LABELS, None).inputs.equal(
        DATA
    )  # nobody knows which rows these are


def test_what_is_swapped_does_not_tell_by_which_stroke_it_was_found():
    """One class may be found by a narrower box than another, a pixel beside its artefact."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 2, (40, 2)) * 12
    entries = []
    for number, (wide, off) in enumerate([(4, 0), (6, -1), (5, 0)]):
        index = tuple(range(number, 40, 3))
        boxes = [
            (x + off, y + off, x + off + wide, y + off + wide) for x, y in corners[list(index)]
        ]
        clipped = tuple(tuple(min(max(v, 0), 16) / 16 for v in box) for box in boxes)
        entries.append(Located(index, clipped, 1.0, f"f{number}", f"i{number}"))
    (places,) = located_places(entries, (16, 16))
    assert places.index.tolist() == list(range(40))
    assert len(np.unique(places.box, axis=0)) == 4  # one a corner
    for (x, y), box in zip(corners, places.box, strict=True):
        assert (box[:2] <= (y, x)).all()
        assert (box[2:] >= (y + 4, x + 4)).all()


def test_what_was_found_everywhere_needs_no_second_pass():
    found = Located(tuple(range(100, 124)), ((0.0, 0.0, 0.25, 0.25),) * 24, 1.0, "i2", "i1")
    other = ActiveStroke("ignore", parse_roi((0.5, 0.0, 0.75, 0.25)), 6, 1.0, "i9")
    for stroke, expected in [(ignore((0.0, 0.0, 0.25, 0.25), 5), False), (other, True)]:
        guidance, _ = guide(stroke, located=[found])
        terms = [
            guidance.added(guidance.prepare(DATA, LABELS, INDICES), torch.tensor(1.0))
            for _ in range(40)
        ]
        assert any(term is not None for term in terms) == expected


def test_two_artefacts_in_one_picture_are_both_swapped():
    entries = [
        Located((7,), ((0.0, 0.0, 0.25, 0.25),), 0.5, "f1", "i1"),
        Located((7, 8), ((0.5, 0.5, 0.75, 0.75), (0.0, 0.0, 0.25, 0.25)), 0.2, "f2", "i2"),
        Located((8,), ((0.0, 0.75, 1.0, 1.0),), 0.2, "f3", "i3"),
    ]
    found = located_places(entries, (16, 16))
    assert [(p.index.tolist(), p.box.tolist()) for p in found] == [
        ([7, 8], [[0, 0, 4, 4], [0, 0, 4, 4]]),
        ([7], [[8, 8, 12, 12]]),
        ([8], [[12, 0, 16, 16]]),
    ]
    assert found[0].strength.tolist() == pytest.approx([0.5, 0.2])


def test_found_elsewhere_the_like_places_are_left_alone():
    stroke = ignore((0.0, 0.0, 0.25, 0.25), 5)
    located = Located((103,), ((0.5, 0.5, 0.75, 0.75),), 1.0, "i2", "i1")
    guidance, _ = guide(stroke, located=[located])
    place, _ = changed(guidance)
    assert not place[:, :6].any()
    assert place[:, 8:12, 8:12].all()


@pytest.mark.parametrize("chooser", ["torch", "numpy"])
def test_a_found_artefact_changes_hands_across_classes_whatever_the_size_of_their_boxes(chooser):
    """Else what is swapped in would still be of the row's own class, and give it away."""
    rng = np.random.default_rng(0)
    labels, corners = rng.permutation(64) % 2, rng.integers(0, 2, (64, 2)) * 12
    images = np.full((64, 3, 16, 16), 0.5, np.float32)
    boxes = []
    for k, (label, (x, y)) in enumerate(zip(labels, corners, strict=True)):
        images[k, :, y : y + 4, x : x + 4] = label
        wide = label  # one stroke was drawn a pixel wider than the other
        first, last = (np.array([x, y]) - wide).clip(0), (np.array([x, y]) + 4 + wide).clip(max=16)
        boxes.append((*first, *last))
    fractions = tuple(tuple(v / 16 for v in box) for box in boxes)
    state = GuidanceState((), 0.3, (Located(tuple(range(64)), fractions, 1.0, "i2", "i1"),))
    if chooser == "torch":

        def rows(indices):
            return torch.from_numpy(images[list(indices)]), torch.from_numpy(labels[list(indices)])

        guidance = GuidanceLosses(TorchGuided(network(), rows), IMAGE, GuidanceConfig(), 1)
        guidance.set_state(state)
        data = torch.from_numpy(images), torch.from_numpy(labels), torch.arange(64)
        outs = [guidance.prepare(*data).inputs.numpy() for _ in range(100)]
    else:
        plan = make_plan(state, lambda k: (images[list(k)], labels[list(k)]), IMAGE)
        random = RowChooser(1, IMAGE)
        outs = [random.counterfactual(plan, images, labels, np.arange(64)) for _ in range(100)]
    shown = np.stack(outs)[:, :, 0]  # (100, 64, 16, 16)
    of_class = np.stack([(shown == value).sum((2, 3)) >= 4 for value in (0, 1)])  # colour, try, row
    own, other = (
        np.mean([of_class[c][:, labels == k].mean() for c, k in pairs])
        for pairs in (((0, 0), (1, 1)), ((0, 1), (1, 0)))
    )
    assert own == pytest.approx(other, abs=0.02)
    assert 0.02 < own + other < 0.3  # a few show one, so that what was made of it is unlearned


def test_statistics_see_the_batch_as_it_is_now_and_then():
    model = network()
    guidance, _ = guide(ignore((0.0, 0.0, 0.5, 0.5)), model=model)
    plain = copy.deepcopy(model)
    norm, expected = model[1], plain[1]
    start = norm.running_mean.clone()
    random_state = torch.get_rng_state()
    for step in range(REFRESH):
        assert torch.equal(norm.running_mean, start), step
        with guidance.hold():
            model(guidance.prepare(DATA, LABELS, INDICES).inputs)
        guidance.exchanged_step_done(DATA)
    torch.set_rng_state(random_state)
    for _ in range(REFRESH):
        plain(DATA)
    assert torch.allclose(norm.running_mean, expected.running_mean, atol=1e-5)
    assert norm.track_running_stats
    assert norm.momentum == expected.momentum


def test_guidance_draws_from_no_generator_but_its_own():
    guidance, _ = guide(ignore((0.0, 0.0, 0.5, 0.5)))
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    guidance.prepare(DATA, LABELS, INDICES)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


@pytest.mark.parametrize("count", [1, 2])
def test_tiny_batches(count):
    guidance, _ = guide(ignore((0.0, 0.0, 0.5, 0.5)))
    out = guidance.prepare(DATA[:count], LABELS[:count], INDICES[:count]).inputs
    assert out.shape == DATA[:count].shape
