"""Guidance that fails ends no training: it goes out of force, by name, and the training goes on."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import coflect_widget as coflect
from coflect_widget import events
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.ledger import Intervention, Ledger, fold
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.modalities import IMAGE
from coflect_widget.ui.view import View
from tests.conftest import eventually
from tests.guidance.guided_models import make
from tests.guidance.test_culprits import stroke
from tests.guidance.test_guided_matrix import (
    BATCH,
    LABELS,
    PICTURES,
    WAYS,
    one_thread,
    session_of,
    weights,
)

__all__ = ["one_thread"]  # a fixture

LEFT, RIGHT = (0.1, 0.1, 0.5, 0.5), (0.5, 0.5, 0.9, 0.9)
#: The pixel by which a model tells a picture that it does not take.
MARK = 9.0
ODD = 7


@pytest.fixture
def marked():
    """Pictures of which one, number 7, has a mark, and one, number 11, is black."""
    pictures = PICTURES.copy()
    pictures[ODD, 0, 0, 0] = MARK
    pictures[11] = 0
    return pictures


class Picky(nn.Module):
    """Fails on a small batch with the marked picture, as an operation with a bad kernel may."""

    def __init__(self, error=RuntimeError):
        super().__init__()
        self.error = error
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        if self.training and len(x) < 8 and bool((x[:, 0, 0, 0] == MARK).any()):
            raise self.error("no kernel for this picture\nand more lines")
        return self.head(self.conv(x).relu().mean((2, 3)))


class Power(nn.Module):
    """Has a second derivative that is not finite on a black picture, and a first one that is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.conv(x).abs().pow(1.5).mean((2, 3)))


class Checkpointed(nn.Module):
    """Reentrant checkpointing while it trains: a backward pass is made as a whole, never twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.conv(x)
        x = checkpoint(self.body, x, use_reentrant=True) if self.training else self.body(x)
        return self.head(x.mean((2, 3)))


class Sealed(nn.Module):
    """Refuses pictures whose first and middle pixel do not belong together."""

    def __init__(self, *, refuses):
        super().__init__()
        self.refuses = refuses
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        logits = self.head(self.conv(x).relu().mean((2, 3)))
        broken = self.training and bool((x[:, 0, 0, 0] != x[:, 0, 16, 16]).any())
        if broken and self.refuses:
            raise ValueError("the seal is broken")
        return logits * float("nan") if broken else logits


def seeded(make_model, *arguments, **more):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return make_model(*arguments, **more)


def notices(session):
    """What is wrong, in words: not how pictures are drawn, nor that other sessions are open."""
    return [e.data.text for e in session.events("notice") if e.data.level != "info"]


# --- in a training -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "error"),
    [(way, RuntimeError) for way in WAYS] + [("train", ValueError), ("train", NotImplementedError)],
)
def test_what_raises_is_out_of_force_and_the_step_is_the_unguided_one(
    way, error, marked, executor, tmp_path, monkeypatch
):
    monkeypatch.setattr("tests.guidance.test_guided_matrix.PICTURES", marked)
    found = []
    for guided in (False, True):
        session = session_of(seeded(Picky, error), tmp_path, executor)

        def draw(session=session, guided=guided):
            if guided:
                session.feedback(sample=ODD, look=LEFT)

        torch.manual_seed(3)
        WAYS[way](session, draw)
        assert session.state == "finished"
        found.append(weights(session._backend.model))
        if guided:
            [text] = notices(session)
            assert f"i1 (look on sample {ODD})" in text
            assert f"raised {error.__name__}" in text
            assert "no kernel for this picture" in text
            assert "more lines" not in text
            [lapsed] = session.events("lapsed")
            assert (lapsed.data.id, lapsed.data.kind, lapsed.data.sample) == ("i1", "look", ODD)
            assert "no kernel" in session.interventions[0].lapsed["look"]
        session.close()
    assert torch.equal(*found)


def test_only_the_stroke_that_fails_leaves_and_undo_still_works(marked, executor, tmp_path):
    session = coflect.Session(
        seeded(Picky), (marked, LABELS), batch_size=BATCH, run_dir=tmp_path, executor=executor,
        config={"guidance": {"replay_share": 1.0, "effect_after": 0}, "log_every": 1},
    )  # fmt: skip
    session.feedback(sample=5, look=LEFT)
    session.feedback(sample=ODD, look=LEFT, ignore=RIGHT, scope="sample")
    session.feedback(sample=20, look=RIGHT)
    session.train(epochs=2)
    session.wait(240)
    assert session.state == "finished"
    first, odd, third = session.interventions
    assert not first.lapsed
    assert not third.lapsed
    assert "look" in odd.lapsed
    in_force = session.ledger.state()
    assert [(s.id, s.kind) for s in in_force.strokes if s.kind == "look"] == [
        ("i1", "look"), ("i3", "look"),
    ]  # fmt: skip
    lapses = len(session.events("lapsed"))
    session.train(epochs=1)  # what is out stays out, and what is in still works
    session.wait(240)
    assert session.metrics["guidance_loss"] > 0
    session.undo("i2")
    assert session.interventions[1].undone
    assert [s.id for s in session.ledger.state().strokes] == ["i1", "i3"]
    again = session.feedback(sample=ODD, look=LEFT)  # tried again, as the notice says
    session.train(epochs=1)
    session.wait(240)
    assert "look" in session.ledger[again.id].lapsed
    assert len(session.events("lapsed")) == lapses + 1
    session.close()
    run = coflect.open_run(session.run.path)
    ledger = Ledger.from_events(run.events())
    assert [dict(e.lapsed) for e in ledger.interventions] == [
        dict(e.lapsed) for e in session.interventions
    ]
    assert ledger.state() == session.ledger.state()


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(marked, executor, tmp_path):
    session = coflect.Session(
        seeded(Power), (marked, LABELS), batch_size=BATCH, run_dir=tmp_path, executor=executor,
        config={
            "guidance": {
                "replay_share": 1.0, "effect_after": 0, "ignore_loss": "input_gradient"
            },
            "log_every": 1,
        },
    )  # fmt: skip
    session.feedback(sample=11, ignore=LEFT, scope="sample")
    session.feedback(sample=5, ignore=LEFT, scope="sample")
    session.train(epochs=2)
    session.wait(240)
    assert session.state == "finished"
    assert weights(session._backend.model).isfinite().all()
    assert [e.data.id for e in session.events("lapsed")] == ["i1"]
    [text] = notices(session)
    assert "i1 (ignore on sample 11)" in text
    assert "not finite" in text or "is nan" in text
    assert session.metrics["guidance_loss"] > 0  # of the other one
    session.close()


@pytest.mark.parametrize("refuses", [True, False])
def test_an_exchange_that_the_model_does_not_take_is_taken_back(refuses, executor, tmp_path):
    pictures = PICTURES.copy()
    pictures[:, 0, 16, 16] = pictures[:, 0, 0, 0]

    def run(draws):
        session = coflect.Session(
            seeded(Sealed, refuses=refuses), (pictures, LABELS), batch_size=BATCH,
            run_dir=tmp_path, executor=executor, config={"guidance": {"effect_after": 0}},
        )  # fmt: skip
        if draws:
            session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
        session.train(epochs=2)
        session.wait(240)
        assert session.state == "finished"
        if draws:
            [text] = notices(session)
            assert "i1 (ignore on sample 5)" in text
            assert ("seal is broken" if refuses else "makes the task loss nan") in text
        session.close()
        return weights(session._backend.model)

    assert torch.equal(run(draws=True), run(draws=False))


def test_a_failure_of_the_training_itself_is_not_laid_on_the_guidance(executor, tmp_path):
    class Ends(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.passes = make("plain"), 0

        def forward(self, x):
            self.passes += self.training and len(x) == BATCH
            if self.passes > 3:
                raise RuntimeError("out of order")
            return self.inner(x)

    session = session_of(Ends(), tmp_path, executor)
    session.feedback(sample=5, ignore=LEFT)
    session.train(epochs=2)
    with pytest.raises(RuntimeError, match="out of order"):
        session.wait(240)
    assert session.state == "failed"
    assert not session.events("lapsed")
    session.close()


def test_a_batch_that_is_not_finite_is_not_laid_on_the_guidance(marked, executor, tmp_path):
    marked[20, :, 3, 3] = np.nan
    session = coflect.Session(
        make("norm of features"), (marked, LABELS), batch_size=BATCH, run_dir=tmp_path,
        executor=executor, config={"guidance": {"replay_share": 1.0, "effect_after": 0}},
    )  # fmt: skip
    session.feedback(sample=5, look=LEFT)
    session.train(epochs=1)
    eventually(lambda: session.state in ("paused", "finished"))
    assert session.state == "paused"  # the batch's loss is not finite
    session.resume()
    session.wait(240)
    assert not session.events("lapsed")
    session.close()


# --- without a second derivative ---------------------------------------------------------------


@pytest.mark.parametrize("given", [{"look": LEFT}, {"ignore": LEFT}])
def test_without_a_double_backward_it_becomes_what_the_model_allows(given, executor, tmp_path):
    found = []
    for strokes in ({}, given):
        session = session_of(seeded(Checkpointed), tmp_path, executor, "input_gradient")
        if strokes:
            said = session.feedback(sample=5, scope="sample", **strokes).record.loss
            assert said.startswith("fill outside" if "look" in given else "fill")
            assert "no class activation map" in said or "no second derivative" in said
        session.train(epochs=2)
        session.wait(240)
        assert session.state == "finished"
        assert not notices(session)
        assert bool(session.metrics.get("guidance_loss")) == bool(strokes)
        found.append(weights(session._backend.model))
        session.close()
    assert not torch.equal(*found)


def test_checkpointed_statistics_see_no_replayed_row():
    pictures, labels = torch.from_numpy(PICTURES), torch.from_numpy(LABELS)
    model = seeded(Checkpointed).train()
    guidance = GuidanceLosses(
        TorchGuided(model, lambda k: (pictures[list(k)], labels[list(k)])),
        IMAGE,
        GuidanceConfig(),
    )
    guidance.set_state(GuidanceState((stroke("i1", "ignore", 5),)))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.head.weight.grad = torch.ones_like(model.head.weight)
    term = guidance.loss(pictures[:8], labels[:8], torch.tensor(1.0))
    assert (model.head.weight.grad == 1).all()
    assert model.conv.weight.grad is None
    term.backward()
    assert model.conv.weight.grad.abs().sum() > 0
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


# --- where looking at a value would wait for the device ----------------------------------------


def test_a_device_is_not_waited_for_and_its_weights_are_safe_at_once():
    black = torch.from_numpy(PICTURES.copy())
    black[11] = 0
    labels = torch.from_numpy(LABELS)
    model = seeded(Power).train()
    guidance = GuidanceLosses(
        TorchGuided(model, lambda k: (black[list(k)], labels[list(k)])),
        IMAGE,
        GuidanceConfig(ignore_loss="input_gradient", replay_share=1.0),
    )  # fmt: skip
    guidance.model.looks = False
    guidance.set_state(GuidanceState((stroke("i1", "ignore", 11), stroke("i2", "ignore", 5))))
    x, y = black[:8], labels[:8]
    value = guidance.loss(x, y, torch.tensor(1.0))
    assert value.item() == 0
    value.backward()
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)
    assert not guidance.lapses  # nobody has looked yet
    value = guidance.loss(x, y, torch.tensor(1.0))
    assert [lapse.part.id for lapse in guidance.lapses] == ["i1"]
    assert value.item() > 0
    value.backward()
    assert any((p.grad != 0).any() for p in model.parameters() if p.grad is not None)


def test_half_precision_is_scaled_back_before_anything_is_taken_out():
    model = make("plain").train()
    pictures, labels = torch.from_numpy(PICTURES), torch.from_numpy(LABELS)
    guidance = GuidanceLosses(
        TorchGuided(model, lambda k: (pictures[list(k)], labels[list(k)])),
        IMAGE,
        GuidanceConfig(replay_share=1.0),
    )  # fmt: skip
    guidance.model._scale = 2.0**40  # overflows
    guidance.set_state(GuidanceState((stroke("i1", "ignore", 5),)))
    with torch.autocast("cpu", torch.float16):
        values = [guidance.loss(pictures[:8], labels[:8], torch.tensor(1.0)) for _ in range(20)]
    assert values[0] is None
    assert values[-1] is not None
    assert values[-1].isfinite()
    assert not guidance.lapses


# --- in the ledger, in files, on the screen ----------------------------------------------------


def record(identifier, *kinds):
    strokes = [events.StrokeRecord(kind=kind, roi={"box": list(LEFT)}, sample=3) for kind in kinds]
    return events.InterventionRecord(
        id=identifier, sample=3, strokes=strokes, strength=0.3, stroke_strength=0.3
    )


def test_a_ledger_keeps_what_lapsed(tmp_path):
    ledger = Ledger()
    ledger.append(record("i1", "look", "ignore"), 4)
    ledger.append(record("i2", "look"), 5)
    ledger.lapse(events.Lapsed(id="i1", kind="look", sample=3, term="fill", why="is nan"))
    ledger.lapse(events.Lapsed(id="gone", kind="look"))
    kept = [("i1", "ignore"), ("i2", "look")]
    assert [(s.id, s.kind) for s in ledger.state().strokes] == kept
    ledger.append(record("i3", "ignore"), 6)  # what comes later brings nothing back
    ledger.undo("i2")
    read = Ledger.load(ledger.save(tmp_path / "ledger.json"))
    for one in (ledger, read):
        assert [(s.id, s.kind) for s in one.state().strokes] == [("i1", "ignore"), ("i3", "ignore")]
        assert dict(one["i1"].lapsed) == {"look": "fill is nan"}
    old = json.loads((tmp_path / "ledger.json").read_text())
    for entry in old["interventions"]:
        del entry["lapsed"]  # as written before there was such a thing
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert len(Ledger.load(tmp_path / "old.json").state().strokes) == 3


def test_a_lapsed_intervention_still_sets_the_strength():
    stronger = record("i1", "look").model_copy(update={"focus_set": 0.8})
    state = fold([Intervention(stronger, 1, lapsed={"look": "is nan"})], GuidanceState(), IMAGE)
    assert (state.focus, state.strokes) == (0.8, ())


def test_the_dashboard_shows_it_live_and_replayed(marked, executor, tmp_path):
    session = coflect.Session(
        seeded(Picky), (marked, LABELS), batch_size=BATCH, run_dir=tmp_path, executor=executor
    )
    session.feedback(sample=ODD, look=LEFT)
    session.train(epochs=1)
    session.wait(240)
    session.close()
    view = View(session._parts.gallery, "replay", session.run.id)
    for event in coflect.open_run(session.run.path).events():
        view.apply(event)
    [item] = view._now.ledger.values()
    assert "look out of force since step" in item["text"]
    assert "no kernel for this picture" in item["text"]
    assert item["strokes"] == []
    assert not item["undone"]


def test_cross_entropy_is_what_the_guided_step_falls_back_to():
    """A term's gradient is known before its backward pass, which then cannot fail."""
    model = make("plain").train()
    pictures, labels = torch.from_numpy(PICTURES[:8]), torch.from_numpy(LABELS[:8])
    guidance = GuidanceLosses(
        TorchGuided(model, lambda k: (pictures[list(k)], labels[list(k)])),
        IMAGE,
        GuidanceConfig(),
    )
    guidance.set_state(GuidanceState((stroke("i1", "look", 3),)))
    term = guidance.loss(pictures, labels, torch.tensor(1.0))
    alone = torch.autograd.grad(
        term, list(model.parameters()), allow_unused=True, retain_graph=True
    )
    loss = F.cross_entropy(model(pictures), labels)
    task = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    (loss + 2 * term).backward()
    for parameter, a, b in zip(model.parameters(), alone, task, strict=True):
        expected = b if a is None else b + 2 * a
        assert torch.allclose(parameter.grad, expected, rtol=1e-4, atol=1e-6)
