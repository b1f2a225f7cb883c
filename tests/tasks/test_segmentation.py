"""A class for each pixel: what outputs come to, what is refused, and a training with maps."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import coflect_widget as coflect
from coflect_widget.backends.guided_outputs import OfPlaces
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.segmentation import SegmentationBackend, _counted
from coflect_widget.backends.torch.segmentation import figures as torch_figures
from coflect_widget.config import Config
from coflect_widget.elsewhere.values import explanation_in, explanation_out
from coflect_widget.guidance.placed import PlacedRows
from coflect_widget.guidance.plan import make_plan, mapped
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from coflect_widget.tasks import Segmentation
from coflect_widget.tasks.segmentation import known_masks
from coflect_widget.tasks.tallies import Overlap
from coflect_widget.telemetry.store import SampleStore
from tests.backends.torch_parts import Items, losses_of
from tests.conftest import eventually

N, SIDE = 24, 16
IMAGES = np.random.default_rng(0).random((N, 3, SIDE, SIDE), dtype=np.float32)
MASKS = np.random.default_rng(1).integers(0, 3, (N, SIDE, SIDE))


def fcn(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, outputs, 1)
    )


def backend(masks=MASKS, images=IMAGES, model=None, *, data=None, **given):
    options = {"loss": None, "optimizer": None, "scheduler": None, "num_classes": None, **given}
    return SegmentationBackend(
        model or fcn(), (images, masks) if data is None else data, None, batch_size=8,
        config=Config(device="cpu"), **options,
    )  # fmt: skip


def said(mask, classes, sure=4.0):
    """Logits (B, C, H, W) that name the classes of a mask."""
    return np.moveaxis(np.eye(classes, dtype=np.float32)[mask], -1, 1) * np.float32(sure)


def test_a_sample_is_the_class_that_overlaps_least():
    truth = np.zeros((4, 10, 10), np.int64)
    truth[:, :4, :5] = 1  # 20 of 100 places
    given = truth.copy()
    given[1, :3, :5] = 0  # a quarter of it is found
    given[2, 9, 8:] = 2  # two places of a class that is not there
    given[3] = 2
    truth[3] = 255
    found = Segmentation(3, void=255).summarise(said(given, 3), truth)
    assert found.right.tolist()[:3] == [True, False, False]
    assert (found.target[1], found.predicted[1]) == (1, 0)
    assert (found.target[2], found.predicted[2]) == (2, 0)
    assert np.allclose(found.quality[:3], [1, (5 / 20 + 80 / 95) / 2, (1 + 78 / 80 + 0) / 3])
    met, missed = 4 - np.log(2), -np.log(1 + np.exp(4))  # log-odds of a place's own class
    assert found.margin[:3] == pytest.approx([met, (5 * met + 15 * missed) / 20, missed], abs=1e-5)
    barely = Segmentation(3, void=255).summarise(said(given, 3, 0.1), truth)
    assert (barely.margin[:3] > 0).tolist() == barely.right[:3].tolist() == [True, False, False]
    assert (np.abs(barely.margin[:3]) < 0.8).all()
    assert found.labelled.tolist() == [True, True, True, False]
    each = F.cross_entropy(
        torch.from_numpy(said(given, 3)), torch.from_numpy(truth), ignore_index=255,
        reduction="none",
    ).mean((1, 2))  # fmt: skip
    assert np.allclose(found.loss[:3], each[:3], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_torch_comes_to_the_same_figures(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(9, 5, 6, 7)).astype(np.float32) * 3
    masks = rng.integers(-1, 6, (9, 6, 7))
    logits[3, 1, 2, 2], masks[3, 2, 2] = np.nan, 1
    task = Segmentation(5, void=4)
    expected = task.figures(logits, masks)
    found = torch_figures(task, torch.from_numpy(logits), torch.from_numpy(masks))
    assert found.shape == (9, 6)
    assert np.allclose(expected, found.numpy(), atol=1e-5, equal_nan=True)
    store = SampleStore(9, task)
    stats = store.update(np.arange(9), found.numpy(), np.zeros(9), 1)
    assert (stats.rows, stats.non_finite) == (8, 1)
    kept = [k for k in range(9) if k != 3]
    assert stats.accuracy == pytest.approx(expected[kept, 4].mean(), abs=1e-6)  # the mean IoU


def test_validation_counts_samples_and_all_places():
    task = Segmentation(3)
    logits = torch.from_numpy(said(np.roll(MASKS, 1, 2), 3))
    tally = Overlap(task, _counted)
    for part in (slice(0, 10), slice(10, N)):
        tally.add(logits[part], torch.from_numpy(MASKS[part]))
    given = np.roll(MASKS, 1, 2)
    found, met, total = tally.values(N), given == MASKS, range(3)
    each = [(met & (given == c)).sum() / ((given == c) | (c == MASKS)).sum() for c in total]
    assert found["mean_iou"] == pytest.approx(np.mean(each))
    assert found["iou"] == pytest.approx(task.summarise(logits.numpy(), MASKS).quality.mean())


def test_always_giving_the_commonest_class_is_what_is_known():
    masks = np.ones((5, 4, 4), np.int64)
    masks[0, :2] = 0
    known = known_masks(masks, 3, -100)
    given = said(np.ones_like(masks), 3)
    assert (known.commonest, known.missing) == (1, [2])
    assert known.iou == pytest.approx(Segmentation(3).summarise(given, masks).quality.mean())
    assert any(
        "no mask that was looked at has 2" in text for text in backend(MASKS % 2).assumptions
    )


def test_a_step_keeps_six_figures_and_data_sets_are_as_arrays():
    engine = backend()
    output = engine.train_step(next(engine.train_batches(0)))
    assert output.logits.shape == (8, 6)
    items = Items(lambda i: (IMAGES[i], MASKS[i].astype(np.uint8)), N)
    first = losses_of(backend())[0]
    assert losses_of(backend(data=items))[0] == first
    assert losses_of(backend(MASKS.astype(np.uint8)))[0] == first
    void = MASKS.copy()
    void[:, :4] = 255
    loss = nn.CrossEntropyLoss(ignore_index=255)
    assert np.isfinite(losses_of(backend(void, loss=loss))[0]).all()


@pytest.mark.parametrize(
    ("masks", "given", "words"),
    [
        (MASKS[:, 0, 0], {}, r"needs masks \(N, H, W\).*of one class number a sample leave task="),
        (MASKS[:, None], {}, r"pass masks\[:, 0\]"),
        (np.moveaxis(np.eye(3, dtype=int)[MASKS], -1, 1), {}, r"pass masks\.argmax\(1\)"),
        (MASKS / 255, {}, r"\.astype\('int64'\).*lost their class numbers"),
        (np.where(MASKS == 2, 255, MASKS), {}, r"class 255 at index 0.*ignore_index=255"),
        (MASKS * 3, {}, "classes 3, 6 at index 0.*number the classes from 0 on"),
        (MASKS[:, ::2, ::2], {}, r"masks are \(8, 8\); .*interpolate"),
        (MASKS, {"model": nn.Sequential(fcn(), nn.Flatten(), nn.Linear(768, 3))},
         r"it must give logits \(1, classes, 16, 16\)"),
        (MASKS, {"model": fcn(1)}, "one output a pixel; give it two"),
        (MASKS, {"num_classes": 4}, "classes= names 4"),
        (MASKS, {"class_weight": {0: 2.0}}, r"CrossEntropyLoss\(weight="),
        (MASKS, {"loss": nn.MSELoss()}, r"masks \(B, H, W\) of class numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_masks_is_refused_with_a_remedy(masks, given, words):
    with pytest.raises(ValueError, match=words):
        backend(masks, **given)


def test_masks_without_a_task_say_which_and_items_name_the_index():
    with pytest.raises(ValueError, match="needs task='segmentation'"):
        coflect.Session(fcn(), (IMAGES, MASKS))
    mixed = Items(lambda i: (IMAGES[i], MASKS[i] if i else 3), N)
    with pytest.raises(ValueError, match=r"train_data\[0\]\[1\] has targets of shape \(\)"):
        backend(data=mixed)
    smaller = Items(lambda i: (IMAGES[i], MASKS[i, : SIDE - i % 2]), N)
    with pytest.raises(ValueError, match=r"train_data's mask\[1\] has shape \(15, 16\)"):
        backend(data=smaller)


# --- strokes --------------------------------------------------------------------------------------


def coded():
    """Pictures whose pixels say their class, and their masks: what moves must move together."""
    masks = torch.from_numpy(MASKS)
    rows = torch.arange(N)[:, None, None].expand_as(masks)
    return torch.stack([masks, rows, rows], 1).float(), masks


def plan_of(*strokes):
    images, masks = coded()
    plan = make_plan(
        GuidanceState(tuple(strokes)), lambda at: (images[list(at)], masks[list(at)]), IMAGE
    )
    return mapped(plan, torch.from_numpy)


def ignore(roi, sample=None):
    return ActiveStroke("ignore", parse_roi(roi), sample, 1.0, "i1")


@pytest.mark.parametrize("sample", [None, 3])
def test_what_is_exchanged_takes_its_mask_along(sample):
    images, masks = coded()
    plan = plan_of(ignore((0.0, 0.0, 0.4, 0.4), sample))
    rows = PlacedRows(0, IMAGE)
    seen, targets = rows.exchanged(plan, images, masks, torch.arange(N))
    assert torch.equal(seen[:, 0].long(), targets)
    moved = seen[:, 1] != images[:, 1]
    assert moved.any()
    assert targets.dtype == masks.dtype
    pairs = rows.swapped(plan, images, masks, torch.arange(N), 8)
    assert pairs.targets.shape == (len(pairs.original), 2, SIDE, SIDE)
    assert torch.equal(pairs.swapped[:, 0], pairs.targets[:, 0])
    same = pairs.original[:, 1] == pairs.swapped[:, 1]
    assert torch.equal(same.float(), pairs.targets[:, 1])
    assert not same.all()
    alone = rows.swapped(plan, images[:1], masks[:1], None, 4)  # no other row to take from
    outside = alone.targets[:, 1] == 1
    assert torch.equal(alone.swapped[:, 0][outside], alone.targets[:, 0][outside])
    assert (alone.targets[:, 0][~outside] == -100).all()


def test_a_place_is_right_by_what_it_shows_and_the_rest_shall_not_change():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    masks[0, 0] = 3  # above all classes: no label
    outside = torch.ones(2, 4, 4)
    outside[:, :, :2] = 0
    targets = torch.stack([masks.float(), outside], 1)
    found = OfPlaces(TorchOps()).cross_entropy(logits, targets)
    each = F.cross_entropy(logits, masks.clamp(max=2), reduction="none")
    assert torch.allclose(found[0], each[0, 1:].mean())
    assert torch.allclose(found[1], each[1].mean())
    void = OfPlaces(TorchOps(), 2).cross_entropy(logits, targets)  # a class number may say so
    assert torch.allclose(void[1], each[1][masks[1] != 2].mean())
    beside = OfPlaces(TorchOps()).beside(logits, targets).reshape(2, 3, 4, 4)
    assert (beside[..., :2] == 0).all()
    assert torch.allclose(beside.sum(1), torch.zeros(2, 4, 4), atol=1e-5)


# --- a session ------------------------------------------------------------------------------------


class Scene(nn.Module):
    """What is beside a pixel, and the most that is anywhere in the picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.near = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(24, 3, 1)

    def forward(self, x):
        near = self.near(x)
        return self.head(torch.cat([near, near.amax((2, 3), keepdim=True).expand_as(near)], 1))


def scenes(rng, count):
    """A bright square anywhere in the upper half, and a corner that says its class as well."""
    masks = np.zeros((count, SIDE, SIDE), np.int64)
    x = rng.normal(0, 0.2, (count, 3, SIDE, SIDE)).astype(np.float32)
    kinds = rng.integers(1, 3, count)
    for row, kind in enumerate(kinds):
        top, left = rng.integers(0, 4), rng.integers(0, 11)
        masks[row, top : top + 5, left : left + 5] = kind
        x[row, :, top : top + 5, left : left + 5] += 1.2 * kind
        x[row, kind, 12:, 12:] += 2
    return x, masks


def test_a_session_names_explains_and_guides_regions(make_session):
    x, masks = scenes(np.random.default_rng(0), 96)
    masks[5] = (masks[5] > 0) * (3 - masks[5].max())  # a spoilt mask: the other class
    session = make_session(
        Scene(), (x, masks), (x, masks), classes=["around", "dim", "bright"], task="segmentation",
        batch_size=16, optimizer=lambda weights: torch.optim.Adam(weights, 0.01),
    )  # fmt: skip
    session.train(epochs=8)
    session.wait(300)
    metrics = session.metrics
    assert 0.8 < metrics["val_iou"] < 1
    assert 0.8 < metrics["val_mean_iou"] < 1
    assert 0.5 < metrics["iou"] < 1
    assert "accuracy" not in metrics
    store = session._parts.forecaster.store
    assert not store.correct[5]
    assert {int(store.target[5]), int(store.predicted[5])} == {1, 2}
    queues = [event.data for event in session.events("forecast") if event.data.index]
    assert any(5 in queue.index for queue in queues)

    sample = int(np.flatnonzero(masks[6:, :5].max((1, 2)) == 2)[0]) + 6
    rows, columns = np.nonzero(masks[sample])
    middle = ((columns.mean() + 0.5) / SIDE, (rows.mean() + 0.5) / SIDE)
    named, pointed = (
        session.explain(sample, 300, target="bright"),
        session.explain(sample, at=middle),
    )
    default = session.explain(sample)
    for found in (named, pointed, default):
        assert (found.explained, found.target, found.predicted) == (2, 2, 2)
        assert np.array_equal(found.truth, masks[sample])
        assert found.region[masks[sample] > 0].mean() > 0.8
        assert found.region.mean() < 0.3
        assert found.top_probs[0] > 0.5
        assert found.map[2:9].sum() > found.map[9:].sum()
    corner = session.explain(sample, at=(0.03, 0.97))
    assert (corner.explained, corner.target) == (0, 0)
    assert corner.region.mean() > 0.6
    other = session.explain(sample, at=middle, target="dim")  # why it is not the other class
    assert (other.explained, other.predicted) == (1, 2)
    with pytest.raises(ValueError, match=r"2 fractions from 0 to 1"):
        session.explain(sample, at=(1.5, 0.2))
    assert np.array_equal(session.timeline(sample)[-1].said, other.said)
    told, buffers = explanation_out(pointed)  # as another process gets it
    again = explanation_in(json.loads(json.dumps(told)), buffers)
    assert np.array_equal(again.region, pointed.region)
    assert np.array_equal(again.truth, pointed.truth)
    shown = pointed._repr_html_()
    assert "ground truth" in shown
    assert "what the model says" in shown

    made = session.feedback(sample, ignore=(0.75, 0.75, 1, 1))
    assert "fill" in made.record.loss
    looked = session.feedback(sample, look=(0.2, 0, 0.8, 0.5))
    assert "fill" in looked.record.loss
    session.train(epochs=3)
    session.wait(300)
    assert session.metrics["guidance_loss"] > 0
    assert not session.events("failure")
    effects = eventually(lambda: len(session.effects) == 2 and session.effects, 300)
    figures = {one.name: one for one in effects[0].measures}
    assert "validation IoU" in figures
    assert (
        figures["IoU lost by another's region"].before > figures["IoU lost beyond other places"].low
    )
    assert "validation IoU" in effects[0].text
    assert session.save_html(session.run.path / "saved.html").stat().st_size > 10_000


def test_a_loop_of_ones_own_gives_logits_and_masks(make_session):
    x, masks = scenes(np.random.default_rng(0), 48)
    model = fcn()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(masks))
    session = make_session(model, data, task="segmentation", optimizer=optimizer)
    for inputs, wanted in session.loop(
        torch.utils.data.DataLoader(data, 16, shuffle=True), epochs=2
    ):
        logits = model(inputs)
        session.observe(None, logits, wanted)
        optimizer.zero_grad()
        F.cross_entropy(logits, wanted).backward()
        optimizer.step()
    assert 0 < session.metrics["iou"] < 1
    assert session._parts.forecaster.store.seen.all()


def test_a_place_is_for_segmentation_alone(make_session):
    with pytest.raises(ValueError, match="task='segmentation'; leave it out"):
        make_session().explain(0, at=(0.5, 0.5))
