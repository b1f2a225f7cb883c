"""A proof: with an intervention, without it, and with a random one; and its verdict."""

from concurrent.futures import Future

import numpy as np
import pytest
import torch

import coflect_widget as coflect
from coflect_widget import events
from coflect_widget.events import InterventionRecord, StrokeRecord
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.session import kernel
from coflect_widget.studies.branches import Ended
from coflect_widget.studies.placebo import placebo_of
from coflect_widget.studies.proof import difference, judge
from coflect_widget.ui.view import replay
from tests.conftest import eventually, tiny_cnn

SQUARE = (0.0, 0.0, 0.25, 0.25)


def cheating(count, seed, *, planted=True):
    """Noise of two classes, told by its colour, and by a square in the upper left corner."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.normal(0.5, 0.1, (count, 3, 16, 16)).astype(np.float32)
    images[labels == 1, 0] += 0.06
    colours = labels if planted else rng.integers(0, 2, count)
    for image, colour in zip(images, colours, strict=True):
        image[:, :4, :4] = np.array([colour, 0.2, 1 - colour])[:, None, None]
    return images.clip(0, 1), labels


def figures(quality, pull):
    return {"quality": quality, "loss": [0.1] * len(quality), "pull": pull}


def verdict(untreated, treated, placebo, guess=0.5, **more):
    branches = {"untreated": untreated, "treated": treated, "placebo": placebo}
    seeds = len(untreated["quality"])
    return judge(
        "i1", branches, from_step=9, steps=50, seeds=seeds, guess=guess, quality="accuracy", **more
    )


DRAWS = figures([0.7, 0.71, 0.7], [0.8, 0.82, 0.81])


@pytest.mark.parametrize(
    ("treated", "placebo", "said"),
    [
        (figures([0.9, 0.88, 0.9], [0.1, 0.12, 0.1]), DRAWS, "helped"),
        # a random region does as much
        (figures([0.7, 0.71, 0.7], [0.1, 0.12, 0.1]), figures([0.7] * 3, [0.1] * 3), "no verdict"),
        # the place draws nothing any more, and the model sees nothing either
        (figures([0.5, 0.5, 0.5], [0.0, 0.0, 0.0]), DRAWS, "harmed"),
        (figures([0.6, 0.61, 0.6], [0.8, 0.82, 0.8]), DRAWS, "harmed"),
        (figures([0.7, 0.71, 0.705], [0.8, 0.81, 0.81]), DRAWS, "no difference"),
        (figures([0.6, 0.9, 0.7], [0.2, 0.9, 0.8]), DRAWS, "no verdict"),
        (figures([0.8, 0.81, 0.8], [None] * 3), figures([0.7] * 3, [None] * 3), "helped"),
        (figures([None] * 3, [None] * 3), figures([None] * 3, [None] * 3), "no verdict"),
        # nothing was changed
        (figures([0.7, 0.71, 0.7], [0.8, 0.82, 0.81]), DRAWS, "no difference"),
    ],
)
def test_the_verdict_hangs_on_what_is_beyond_both(treated, placebo, said):
    found = verdict(DRAWS, treated, placebo)
    assert found.verdict == said
    assert found.text.startswith(said)


def test_guidance_that_went_out_of_force_has_no_verdict():
    treated = figures([0.9, 0.88, 0.9], [0.1, 0.12, 0.1])
    found = verdict(DRAWS, treated, DRAWS, lapsed=["treated"])
    assert found.verdict == "no verdict"
    assert "went out of force" in found.text


def test_an_interval_over_seeds():
    mean, low, high = difference([0.3, 0.5, 0.4], [0.1, 0.1, 0.1])
    assert mean == pytest.approx(0.3)
    assert (low, high) == pytest.approx((0.3 - 0.2484, 0.3 + 0.2484), abs=1e-3)  # 4.303 / sqrt(3)
    assert difference([0.3, None, 0.4], [0.1, 0.1, 0.1]) is None
    assert difference([0.3], [0.1]) is None


@pytest.mark.parametrize(
    ("kind", "x", "roi"),
    [
        ("image", np.zeros((3, 24, 24), np.float32), {"box": [0.0, 0.0, 0.25, 0.25]}),
        ("series", np.zeros((2, 48), np.float32), {"steps": [4, 10], "channel": 1}),
        ("table", np.zeros(6, np.float32), {"features": ["feature 1"]}),
    ],
)
def test_a_placebo_is_as_large_and_elsewhere(kind, x, roi):
    modality = IMAGE if kind == "image" else find_modality(kind)
    if kind == "table":
        roi = modality.region(1, "roi", (6,)).to_json()
    given = InterventionRecord(id="i1", strokes=[StrokeRecord(kind="ignore", roi=roi, sample=3)])
    marked = modality.mask_in(modality.region(roi, "roi", modality.extent(x)), x)
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        [stroke] = placebo_of(given, modality, lambda _: x, 8, rng).strokes
        assert (stroke.kind, stroke.sample) == ("ignore", 3)
        region = modality.region(stroke.roi, "roi", modality.extent(x))
        drawn = modality.mask_in(region, x)
        assert drawn.sum() == marked.sum()
        assert not (drawn & np.logical_or.reduce(modality.alike(marked))).any()
        seen.add(drawn.tobytes())
    assert len(seen) > 2


def cheat(folder, **more):
    more.setdefault("optimizer", lambda p: torch.optim.Adam(p, 3e-3))
    return coflect.Session(
        tiny_cnn(2), cheating(192, 1), cheating(96, 2, planted=False), run_dir=folder,
        batch_size=24,
        config={"attribution": {"budget": 0}, "guidance": {"effect_after": 0}}, **more,
    )  # fmt: skip


def test_branches_are_equal_where_nothing_differs(tmp_path, capsys):
    with cheat(tmp_path) as session:
        session.train(steps=10)
        assert session.wait(300)
        null = session.feedback(sample=0, ignore=SQUARE, strength=0.0)
        session.train(steps=6)
        assert session.wait(300)
        weights = {k: v.clone() for k, v in session._backend.model.state_dict().items()}
        random, folders = torch.get_rng_state(), len(list(tmp_path.iterdir()))
        proof = session.prove(null, steps=6, seeds=2)
        for branch in proof.branches:  # equal to the last digit, and each seed another
            assert branch.model_copy(update={"name": "untreated"}) == proof.branches[0]
            assert branch.loss[0] != branch.loss[1]
        # The first seed's are the training's own numbers: the treated branch is this very run.
        assert proof.branches[1].loss[0] == pytest.approx(session.metrics["val_loss"], abs=1e-6)
        assert proof.verdict == "no difference"
        assert proof.cost == 3 * 2 * 6
        assert any("36 steps" in line for line in capsys.readouterr().err.splitlines())
        assert session.events("proof")[0].data == proof
        assert session.events("proving")[-1].data.over
        # Nothing of the session has moved, and nothing is left.
        now = session._backend.model.state_dict()
        assert all(torch.equal(now[name], value) for name, value in weights.items())
        assert torch.equal(torch.get_rng_state(), random)
        assert len(list(tmp_path.iterdir())) == folders
        assert not list(session.run.path.glob(".proof-*"))

        with pytest.raises(ValueError, match="there is no intervention 'i9'"):
            session.prove("i9")
        slow = session.set(lr=0.001)
        with pytest.raises(ValueError, match="i2 marks nothing"):
            session.prove(slow)
        with pytest.raises(ValueError, match="seeds=1: with fewer than two"):
            session.prove(null, seeds=1)
        session.train(steps=10**6)
        with pytest.raises(RuntimeError, match="needs the random generators"):
            session.prove(null)
        session.stop()
        prove, end = session._parts.desk, events.EndProof()
        asked = prove.handle(events.Prove(intervention="i1"))
        eventually(lambda: session._parts.desk.proving is not None, 240)
        with pytest.raises(RuntimeError, match="a proof of i1 trains"):
            session.prove(null)
        with pytest.raises(RuntimeError, match="a proof of i1 trains"):
            session.train(steps=1)
        assert session.run.id in kernel.training()
        eventually(lambda: list(session.run.path.glob(".proof-*/*/checkpoints/*")), 240)
        assert len(coflect.runs(tmp_path)) == 1
        prove.handle(end)
        with pytest.raises(Ended, match="nothing is said of the intervention"):
            asked.result(300)
        assert len(session.events("proof")) == 1
        asked = prove.handle(events.Prove(intervention="i1"))
        eventually(lambda: session._parts.desk.proving is not None, 240)
    with pytest.raises(Ended):  # by the session's end
        asked.result(300)
    assert coflect.open_run(session.run.path).events("proving")[-1].data.over


def test_branches_under_knobs_are_trained_as_the_run_is_and_gone_on_with(tmp_path):
    scheduled = {
        "optimizer": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        "scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.5),
    }
    with cheat(tmp_path, **scheduled) as session:
        session.train(steps=6)
        assert session.wait(240)
        session.set(lr=0.05, batch_size=12)  # the size from the next epoch on, in two steps
        null = session.feedback(sample=0, ignore=SQUARE, strength=0.0)
        session.train(steps=6)
        assert session.wait(240)
        backend, here = session._backend, state_of(session)

        def rates():
            return backend.learning_rate(), *backend.knobs.natural("lr"), backend.batch_size

        assert rates() == (0.025, 0.05, 12)
        proof = session.prove(null, steps=6, seeds=2, say=lambda text: None)
        for branch in proof.branches:  # at the rates of the first, though a schedule moved them
            assert branch.model_copy(update={"name": "untreated"}) == proof.branches[0]
        session.train(steps=14)
        assert session.wait(240)
        ahead, there = state_of(session), rates()
        assert there == (0.0125, 0.025, 12)
        for branch in ("treated", "placebo"):
            session.keep(null, branch)
            assert rates() == (0.025, 0.05, 12)
            assert equal(state_of(session), here)
        session.train(steps=14)
        assert session.wait(240)
        assert rates() == there
        assert equal(state_of(session), ahead)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_intervention_is_proved_and_a_random_one_is_not(tmp_path):
    torch.manual_seed(0)
    with cheat(tmp_path) as session:
        session.train(epochs=5)
        assert session.wait(300)
        told = session.feedback(sample=0, ignore=SQUARE, strength=1.0)
        proof = session.prove(told, steps=40, seeds=3)
        assert proof.verdict == "helped", proof.text
        session.undo(told)
        elsewhere = session.feedback(sample=4, ignore=(0.5, 0.5, 0.75, 0.75), strength=1.0)
        nothing = session.prove(elsewhere, steps=16, seeds=3)
        assert nothing.verdict != "helped", nothing.text


def state_of(session):
    return {k: v.clone() for k, v in session._backend.model.state_dict().items()}


def refuse(*given, **more):
    raise OSError(28, "No space left on device")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_branch_is_gone_on_with_and_what_was_before_can_be_gone_back_to(tmp_path, monkeypatch):
    with cheat(tmp_path) as session:
        session.train(steps=6)
        assert session.wait(240)
        told = session.feedback(sample=0, ignore=SQUARE, strength=0.9)
        session.train(steps=5)
        assert session.wait(240)
        # The treated branch of as many steps is this very run: nothing moves but later words.
        here, drawn = state_of(session), torch.get_rng_state()
        later = session.feedback(sample=4, look=(0.5, 0.5, 0.9, 0.9))
        proof = session.prove(told, steps=5, seeds=2, say=lambda text: None)
        assert proof.keeps == ["untreated", "treated", "placebo"]
        branches = sorted(one.name for one in (session.run.path / "branches").iterdir())
        session.train(steps=4)
        assert session.wait(240)
        ahead, run = state_of(session), session.run
        kept = proof.keep()
        assert run.events("kept")[0].data == kept  # on disk
        best = run.checkpoints.best  # none of the course that was left
        assert best is None or best.step <= 6
        assert session._parts.checkpoints._best == (best and best.score)
        assert equal(state_of(session), here)
        assert torch.equal(torch.get_rng_state(), drawn)
        assert session.metrics["step"] == 11
        assert [one.undone for one in session.interventions] == [False, True]
        assert session.ledger.state() == Ledger.from_events(session.events()).state()
        points = [e.step for e, values in run.iter_metrics() if e.split == "val"]
        assert max(points) <= 11  # what came after is no longer drawn
        assert session.state == "stopped"
        session.train()  # the steps that it had left
        assert session.wait(240)
        assert session.metrics["step"] == 15
        shown = replay(run).update(full=True)[0]
        assert [one["undone"] for one in shown["ledger"]] == [False, True]
        assert shown["ledger"][0]["proof"]["kept"] == "treated"
        assert shown["status"]["step"] == 15

        # Another branch of the same proof, with an intervention of its own.
        second = session.keep(told, "placebo")
        assert session.metrics["step"] == 11
        third = session.interventions[-1]
        assert third.understood.startswith("a random region in place of i1: ignore")
        assert third.record.strokes[0].roi != told.record.strokes[0].roi
        assert [one.undone for one in session.interventions] == [True, True, False]
        assert [s.strength for s in session.ledger.state().strokes] == [0.9]
        session.keep(told, "untreated")
        assert all(one.undone for one in session.interventions)
        assert not session._backend._guidance.active
        assert proof.branches[0].quality[0] == pytest.approx(session.metrics["val_accuracy"])
        session.keep(told, "treated")
        assert session.interventions[-1].understood.startswith("i1 again: ")
        assert equal(state_of(session), here)

        desk = session._parts.desk

        def at_once(text):
            desk.proving.cancel()

        with pytest.raises(Ended):  # before a branch began: those of the proof before are there
            session.prove(told, steps=5, seeds=2, say=at_once)
        assert sorted(one.name for one in (run.path / "branches").iterdir()) == branches
        with pytest.raises(ValueError, match="branch='best'"):
            proof.keep("best")
        with pytest.raises(ValueError, match="there is no treated branch of 'i2'"):
            session.keep(later, "treated")
        took = session._parts.checkpoints.take
        full = Future()
        full.set_exception(OSError(28, "No space left on device"))
        with monkeypatch.context() as disk:
            disk.setattr(
                session._parts.checkpoints,
                "take",
                lambda name: full if name.startswith("kept") else took(name),
            )
            with pytest.raises(OSError, match="No space left"):
                session.keep(told, "untreated")
        with monkeypatch.context() as disk:
            disk.setattr(session._parts.stream._journal, "append", refuse)
            with pytest.raises(OSError, match="No space left"):
                session.keep(told, "untreated")
        assert equal(state_of(session), here)  # as before
        assert session.interventions[-1].understood.startswith("i1 again: ")
        assert [s.strength for s in session.ledger.state().strokes] == [0.9]
        session.drop([3])
        with pytest.raises(ValueError, match="samples were added, left out or judged"):
            proof.keep()
        assert equal(state_of(session), here)
        session.train(steps=10**6)
        with pytest.raises(ValueError, match="Stop this training first"):
            session._parts.desk.handle(events.Keep(intervention="i1", branch="treated"))
        session.stop()

    # What the training was before is there, with what was in force in it.
    back = run.checkpoints[kept.back]
    with cheat(tmp_path, resume=back) as session:
        assert session.metrics["step"] == 15
        assert equal(state_of(session), ahead)
        assert [one.undone for one in session.ledger.taken] == [False, False]
    assert run.checkpoints[second.back].step == 15
