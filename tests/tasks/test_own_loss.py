"""A loss of the user's own: of a language model, of dict targets; only losses are ever kept."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset

import coflect_widget as coflect
from coflect_widget.tasks import OwnLoss
from tests.backends.torch_parts import Items, cnn, pictures
from tests.conftest import eventually
from tests.training.test_own_loop import Person

WORDS, ROWS, LENGTH, BATCH = 50_000, 96, 33, 16
SPOILT = [5, 40, 77]


class Language(nn.Module):
    def __init__(self, words=300):
        super().__init__()
        self.words = nn.Embedding(words, 8)
        self.out = nn.Linear(8, words)

    def forward(self, ids):
        return self.out(self.words(ids))


def tokens(words):
    """Rows (96, 33) of the same sentence of twelve words, but for those that are spoilt."""
    rng = np.random.default_rng(0)
    sentence = rng.permutation(words)[:12]
    rows = sentence[(rng.integers(0, 12, (ROWS, 1)) + np.arange(LENGTH)) % 12]
    rows[SPOILT] = rng.integers(0, words, (len(SPOILT), LENGTH))
    return [{"input_ids": torch.from_numpy(row)} for row in rows]


def session_of(tmp_path, data, model=None, **more):
    more = {"batch_size": BATCH, "run_dir": tmp_path / "runs", **more}
    return coflect.Session(model or Language(), data, task="own_loss", **more)


def losses_of(model, ids):
    logits = model(ids[:, :-1]).flatten(0, 1)
    tokens = F.cross_entropy(logits, ids[:, 1:].flatten(), reduction="none")
    return tokens.view(len(ids), -1).mean(1)


def test_a_loss_above_the_quantile_of_the_newest_is_wrong():
    task = OwnLoss(0.8)
    losses = np.arange(1, 101, dtype=np.float32)
    found = task.summarise(losses, None).on_host()
    assert np.array_equal(found.right, losses <= np.quantile(losses, 0.8))
    assert np.array_equal(found.margin >= 0, found.right)
    assert np.array_equal(found.predicted, ~found.right)
    assert not found.target.any()
    broken = task.summarise(np.array([1, np.nan, -3], np.float32), None).on_host()
    assert broken.usable.tolist() == [True, False, True]
    assert broken.right[2]
    with pytest.raises(ValueError, match=r"losses has shape \(2, 3\); expected \(B,\)"):
        task.check(np.ones((2, 3)))


@pytest.mark.parametrize("words", [1000, pytest.param(WORDS, marks=pytest.mark.slow)])
def test_a_language_model_has_metrics_a_queue_spikes_and_pauses(tmp_path, words):
    torch.manual_seed(0)
    data, model = tokens(words), Language(words)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    config = {"log_every": 1, "forecast_every": 4}
    session = session_of(tmp_path, data, model, optimizer=optimizer, config=config)
    with session:
        queued = []
        forecaster = session._parts.forecaster
        take = forecaster.observe

        def observe(step, epoch, *outputs):
            queued.extend(outputs)
            take(step, epoch, *outputs)

        forecaster.observe = observe

        def act():
            eventually(lambda: session.metrics["step"] > 4)
            session.pause()
            held = session.metrics["step"]
            session.set(lr=0.03)
            session.run.note("looks well")
            assert session.state == "paused"
            assert session.metrics["step"] == held
            session.resume()

        person, seen = Person(session, act), []
        for batch in session.loop(DataLoader(data, BATCH, shuffle=True), epochs=4):
            losses = losses_of(model, batch["input_ids"])
            session.observe(None, loss=losses)
            seen.append(losses.mean().item())
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
        person.done()
        assert optimizer.param_groups[0]["lr"] == 0.03
        assert session.run.labels.notes == ["looks well"]
        assert (session.state, session.metrics["step"]) == ("finished", 24)
        assert set(SPOILT) <= {one.index for one in session.candidates[:5]}
        known = losses.detach().numpy()
        for k in session.loop(range(30)):  # without training, with an array of numpy
            given = np.where(np.arange(BATCH) == 3, 1000, 1) * known if k == 28 else known
            session.observe(np.arange(BATCH) + 10, loss=given)
            seen.append(given.mean())
        logged = [e.data["values"]["loss"] for e in session.events("metrics")]
        assert logged == pytest.approx(seen, rel=1e-5)
        assert "accuracy" not in session.metrics
        # All that waits for the forecast, or is kept, is a number a sample, without a graph.
        assert len(queued) == 54
        for output in queued:
            assert output.logits.shape == output.targets.shape == (BATCH,)
            assert output.logits.untyped_storage().nbytes() == 4 * BATCH
            assert not output.logits.requires_grad
        assert session.classes == ["usual loss", "large loss"]
        (spike,) = [e.data for e in session.events("spike")]
        assert list(spike["index"]) == [13]
        assert session._parts.modality.name == "text"
        said = " ".join(e.data["text"] for e in session.events("notice"))
        assert "not above the quantile 0.8 of the newest losses" in said
        assert "no maps and takes no strokes" in said
        with pytest.raises(ValueError, match="no maps and takes no strokes"):
            session.feedback(sample=3, ignore=(0, 2))
        with pytest.raises(Exception, match="no maps and takes no strokes"):
            session.explain(3)
        with pytest.raises(ValueError, match=r"session\.loop\(loader\)"):
            session.train(epochs=1)
        assert session.state == "finished"


class Boxes(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = cnn(4)

    def forward(self, images, targets):
        """As detection models do it: losses of dict targets."""
        found = self.inner(torch.stack(images))
        return torch.stack(
            [
                F.l1_loss(row.expand(len(t["boxes"]), 4), t["boxes"])
                for row, t in zip(found, targets, strict=True)
            ]
        )


def test_dict_targets_of_a_detector_in_pieces_and_a_subset(tmp_path):
    images, _ = pictures()
    rng = np.random.default_rng(0)
    items = [
        (torch.from_numpy(x), {"boxes": torch.rand(int(rng.integers(1, 4)), 4), "name": "a"})
        for x in images
    ]
    for k in (7, 30):
        items[k][1]["boxes"].add_(20)
    data, model = Items(items), Boxes()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    more = {"config": {"forecast_every": 2}, "optimizer": optimizer}
    with session_of(tmp_path, data, model, **more) as session:
        assert session._parts.modality.name == "image"
        assert session._parts.gallery.thumbnail(7) is not None
        loader = DataLoader(
            Subset(data, range(64)),
            BATCH,
            shuffle=True,
            collate_fn=lambda rows: list(zip(*rows, strict=True)),
        )
        for xs, ys in session.loop(loader, epochs=4):
            optimizer.zero_grad()
            for part in (slice(0, 8), slice(8, 16)):
                losses = model(xs[part], ys[part])
                session.observe(None, loss=losses)
                (losses.mean() / 2).backward()
            optimizer.step()
        assert session.metrics["step"] == 16
        store = session._parts.forecaster.store
        assert store.seen.sum() == 64
        assert {one.index for one in session.candidates[:2]} == {7, 30}
    other = Boxes()
    optimizer = torch.optim.SGD(other.parameters(), 0.5)
    resumed = {"optimizer": optimizer, "resume": session.run}
    with session_of(tmp_path, data, other, **resumed) as session:
        for one, before in zip(other.parameters(), model.parameters(), strict=True):
            assert torch.equal(one, before)
        assert optimizer.param_groups[0]["lr"] == 0.01
        for _ in session.loop([0]):
            session.observe(np.arange(4), loss=np.ones(4))
        assert session.metrics["step"] == 17
        assert session._parts.forecaster.store.seen.sum() == 64


def test_what_cannot_be_drawn_is_listed_by_its_number(tmp_path):
    data = Items([{"graph": object(), "size": k} for k in range(40)])
    model = nn.Linear(1, 1)
    with session_of(tmp_path, data, model) as session:
        assert session._parts.modality.name == "item"
        for k in session.loop(range(6), epochs=3):
            indices = np.arange(6) + 6 * k
            losses = np.where(indices == 20, 50.0, 1.0) + indices / 100
            session.observe(indices, loss=losses)
        assert session.candidates[0].index == 20
        with pytest.raises(ValueError, match="no place to be marked"):
            session.feedback(sample=3, ignore=(0, 1))


def test_one_item_of_another_form_has_no_picture_and_does_no_harm(tmp_path):
    images, _ = pictures()
    data = Items([{"image": x, "n": k} for k, x in enumerate(images)])
    with session_of(tmp_path, data, nn.Linear(1, 1)) as session:
        data.items[1] = {"n": 1}
        assert session._parts.gallery.thumbnail(0) is not None
        assert session._parts.gallery.thumbnail(1) is None
        for k in session.loop(range(60)):
            session.observe(np.arange(8), loss=1.0 + 1000 * (np.arange(8) == 1) * (k == 58))
        (spike,) = session.events("spike")
        assert list(spike.data["index"]) == [1]
        assert not [e for e in session.events("notice") if e.data["level"] == "error"]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (torch.tensor(1.0), r"shape \(\) for 4 samples; .*reduction='none'"),
        (torch.ones(4, 9), r"shape \(4, 9\) for 4 samples; .*\.mean\(1\)"),
        (torch.ones(36), r"shape \(36,\) for 4 samples; .*reduction='none'"),
        (torch.ones(3), "4 indices, losses of shape"),
        (None, r"session\.observe\(indices, loss=losses\)"),
    ],
)
def test_losses_that_are_not_of_samples_are_refused(tmp_path, loss, words):
    with session_of(tmp_path, [{"input_ids": [1, 2, 3]}] * 8) as session:
        for _ in session.loop([0]):
            with pytest.raises(ValueError, match=words):
                session.observe(np.arange(4), loss=loss)
            with pytest.raises(ValueError, match="takes losses alone"):
                session.observe(np.arange(4), torch.ones(4, 2), torch.ones(4), torch.ones(4))
            session.observe(np.arange(1), loss=torch.tensor(1.0))  # a batch of one


def test_losses_that_are_not_finite_name_their_samples(tmp_path, recwarn):
    with session_of(tmp_path, [{"input_ids": [1, 2, 3]}] * 8) as session:
        for _ in session.loop([0]):
            session.observe(np.arange(4), loss=torch.tensor([1, 1, float("nan"), 1]))
        (told,) = [e.data for e in session.events("non_finite")]
        assert list(told["samples"]) == [2]
    assert any("Sample 2 has losses that are NaN or infinite" in str(w.message) for w in recwarn)


def test_memory_stays_flat(tmp_path):
    with session_of(tmp_path, [{"input_ids": [1, 2, 3]}] * ROWS) as session:
        sizes = []
        tracemalloc.start()
        for k in session.loop(range(240)):
            session.observe(np.arange(BATCH) + k % 80, loss=torch.ones(BATCH, 4000)[:, 0])
            if k in (80, 239):
                session._parts.forecaster.drain(30)
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert sizes[1] - sizes[0] < 500_000


def test_what_means_nothing_is_refused_before_anything_starts(tmp_path, make_session):
    rows = [{"input_ids": [1, 2, 3]}] * 8
    refused = {"classes": ["a", "b"], "loss": F.mse_loss, "val_data": rows, "class_weight": {0: 1}}
    for argument, given in refused.items():
        with pytest.raises(ValueError, match=rf"{argument}= is not for task='own_loss'; leave it"):
            session_of(tmp_path, rows, **{argument: given})
    with pytest.raises(TypeError, match=r"pass its data set, train_data=loader\.dataset"):
        session_of(tmp_path, DataLoader(rows))
    with pytest.raises(TypeError, match="columns; under task='own_loss'"):
        session_of(tmp_path, {"input_ids": np.ones((8, 3), np.int64)})
    session = make_session()
    for _ in session.loop([0]):
        with pytest.raises(ValueError, match=r"Losses alone.*task='own_loss'"):
            session.observe(np.arange(4), loss=torch.ones(4))
