"""What a person tells a real session: scope, orders, the artefact search, effects, ledgers."""

import json
import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch

from coflect_widget.guidance.ledger import Ledger
from coflect_widget.guidance.plan import make_plan
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Located
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from tests.conftest import eventually, tiny_cnn

CLASSES = ["circle", "square", "triangle", "cross"]
BOX = (0.0, 0.0, 0.25, 0.25)


@pytest.fixture
def marked(shapes):
    """The shapes, three in four of them with a red square in one of two places."""
    images = shapes.images.copy()
    red = np.array([1, 0, 0], np.float32)[:, None, None]
    for k in range(len(images)):
        if k % 4:
            x = 0 if k % 2 else 26
            images[k, :, :6, x : x + 6] = red
    return images, shapes.labels


def test_scope_reaches_whom_it_says(make_session):
    session = make_session(classes=CLASSES)
    label = int(session._parts.samples.train(3).target)
    one = session.feedback(sample=3, ignore=BOX, scope="sample")
    same = session.feedback(sample=3, ignore=BOX, scope="class")
    everyone = session.feedback(sample=3, ignore=BOX, scope="everywhere")
    named = session.feedback(instruction="ignore borders for all circles")
    assert "only on sample 3" in one.understood
    assert f"for class {CLASSES[label]}" in same.understood
    assert "on every sample" in everyone.understood
    strokes = session.ledger.state().strokes
    seen = {s.id: (s.sample, s.label, s.spreads) for s in strokes}
    assert seen[one.id] == (3, None, False)
    assert seen[same.id] == (None, label, False)
    assert seen[everyone.id] == (None, None, False)
    assert seen[named.id] == (None, 0, False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ignore": BOX, "scope": "sample"}, "needs a sample"),
        ({"ignore": BOX, "scope": "class"}, "needs a sample"),
        ({"ignore": BOX, "scope": "some"}, "scope='some' must be one of"),
        ({"scope": "everywhere", "instruction": "increase focus"}, "without a stroke"),
        ({"sample": 1, "scope": "class", "instruction": "ignore left everywhere"}, "leave one"),
        ({"instruction": "pause"}, "nothing is training"),
        ({"instruction": "undo"}, "no intervention in force"),
        ({"instruction": "undo i9"}, "i9"),
        ({"sample": 1, "ignore": BOX, "instruction": "stop"}, "alone"),
        ({"sample": 999, "ignore": BOX}, "sample=999"),
        ({"sample": 1, "ignore": np.ones((5, 5), bool)}, r"\(5, 5\)"),
        ({"sample": 1, "ignore": [(0, 0), (0.8, 0.8), (0.8, 0), (0, 0.5)]}, "crosses itself"),
        ({"sample": 1, "ignore": (0.2, 0.2, 0.2, 0.4)}, "empty box"),
        ({"sample": 1, "ignore": BOX, "strength": 1.5}, "from 0 to 1"),
        ({"sample": 1, "ignore": (0, 0, 1, 1)}, "the whole image"),
        ({"sample": 1, "ignore": [(0, 0, 1, 0.5), (0, 0.4, 1, 1)]}, "the whole image"),
        ({"instruction": "ignore left and right"}, "the whole image"),
    ],
)
def test_bad_input_is_refused_with_a_remedy_and_changes_nothing(make_session, fields, words):
    session = make_session(classes=CLASSES)
    with pytest.raises((ValueError, RuntimeError), match=words):
        session.feedback(**fields)
    assert len(session.ledger) == 0
    assert not session._backend._guidance.active


def test_orders_are_obeyed_and_are_no_entries(make_session):
    session = make_session()
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3)
    assert session.feedback(instruction="Pause.").understood == "pause"
    eventually(lambda: session.state == "paused")
    assert session.feedback(instruction="resume").understood == "resume"
    eventually(lambda: session.state == "training")
    assert "one in 200 steps" in session.feedback(instruction="slower overlays").understood
    assert "one in 100 steps" in session.feedback(instruction="faster overlays").understood
    entry = session.feedback(sample=1, ignore=BOX)
    assert session.feedback(instruction="undo").id == entry.id
    assert session.interventions[0].undone
    assert session.feedback(instruction="stop").understood == "stop"
    eventually(lambda: session.state == "stopped")
    assert len(session.ledger) == 1


def test_one_stroke_reaches_the_samples_that_a_person_confirms(make_session, marked):
    session = make_session(data=marked)
    entry = session.feedback(sample=1, ignore=(0.0, 0.0, 6 / 32, 6 / 32))
    with pytest.raises(ValueError, match="nothing was looked for yet"):
        session.confirm(entry)
    hits = session.similar(entry)
    expected = {k for k in range(len(marked[0])) if k % 4} - {1}
    assert {hit.index for hit in hits} == expected
    assert all(abs(hit.box[0] - (0 if hit.index % 2 else 26 / 32)) < 0.04 for hit in hits)
    told = session.events("hits")[-1].data
    assert (told["count"], told["searched"], told["done"]) == (len(expected), 256, True)
    with pytest.raises(ValueError, match="sample 0 is not among"):
        session.confirm(entry, [0])
    confirmed = session.confirm(entry, [hits[0].index, hits[1].index])
    assert "2 more samples" in confirmed.understood
    (located,) = session.ledger.state().located
    assert set(located.index) == {hits[0].index, hits[1].index}
    session.train(steps=6)
    assert session.wait(240)
    session.undo(confirmed)
    assert session.ledger.state().located == ()


def test_the_same_search_is_not_begun_twice_and_closing_ends_it(make_session, marked):
    session = make_session(data=marked)
    entry = session.feedback(sample=1, ignore=(0.0, 0.0, 6 / 32, 6 / 32))
    search = session._parts.steering.search
    held = threading.Event()
    read = search._read_input
    search._read_input = lambda index: (held.wait(20), read(index))[1]
    first = session._parts.steering.similar(entry.id)
    assert session._parts.steering.similar(entry.id) is first
    assert isinstance(first, Future)
    search.close()
    held.set()
    with pytest.raises(RuntimeError, match="closed"):
        first.result(60)


def test_the_effect_is_measured_beside_the_training(make_session, shapes):
    session = make_session(val=shapes, config={"guidance": {"effect_after": 12}})
    session.train(steps=8)
    session.wait(240)
    entry = session.feedback(sample=1, ignore=BOX)
    taken_back = session.feedback(sample=2, ignore=BOX)
    session.undo(taken_back)
    session.train(steps=20)
    session.wait(240)
    (effect,) = eventually(lambda: session.effects, 120)
    assert effect.intervention == entry.id
    assert (effect.from_step, effect.to_step) == (8, 20)
    assert effect.explainer == "livecam"  # trained on a fill
    assert {m.name for m in effect.measures} >= {"pull of the region", "validation accuracy"}
    assert session.events("effect")[-1].data["text"] == effect.text
    assert session.interventions[0].effect == effect


@pytest.mark.slow
def test_boxes_drawn_one_after_the_other_are_measured_together(make_session, shapes):
    session = make_session(val=shapes, config={"guidance": {"effect_after": 20}})
    for more in (8, 1, 5):  # the third comes more than a tenth of 20 steps after the first
        session.train(steps=more)
        session.wait(240)
        session.feedback(sample=more, ignore=BOX)
    session.train(steps=30)
    session.wait(240)
    effects = eventually(lambda: len(session.effects) == 3 and session.effects, 120)
    assert [effect.from_step for effect in effects] == [8, 8, 14]
    told = ["2 other interventions meanwhile" in effect.text for effect in effects]
    assert told == [True, True, False]


def test_a_ledger_travels_as_a_file(make_session, tmp_path):
    first = make_session(classes=CLASSES)
    first.feedback(sample=3, ignore=BOX, strength=0.5)
    first.undo(first.feedback(sample=4, ignore=BOX))
    first.feedback(instruction="increase focus by 10%")
    first.feedback(instruction="ignore left for all circles")
    file = first.ledger.save(tmp_path / "told.json")
    assert json.loads(file.read_text())["interventions"][0]["when"]
    for guidance in (file, str(file), first.ledger):
        second = make_session(classes=CLASSES, guidance=guidance)
        assert second.ledger.state() == first.ledger.state()
        assert [e.undone for e in second.interventions] == [False, True, False, False]
        assert second._backend._guidance.active
    assert Ledger.from_events(second.events()).state() == first.ledger.state()
    assert second.feedback(sample=5, ignore=BOX).id == "i5"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format="x"), "format"),
        (lambda c: c["interventions"][0]["record"]["strokes"][0]["roi"].update(box=[0, 0, 2, 1]),
         "outside"),
        (lambda c: c["interventions"][0].pop("record"), "record"),
        (lambda c: c["interventions"][0]["record"]["strokes"][0].update(sample=10**6),
         "sample 1000000, which these data do not have"),
    ],
)  # fmt: skip
def test_a_ledger_that_does_not_fit_is_refused(make_session, tmp_path, change, words):
    first = make_session()
    first.feedback(sample=3, ignore=BOX)
    file = first.ledger.save(tmp_path / "told.json")
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        make_session(guidance=file)


def weights(session):
    return {k: v.clone() for k, v in session._backend.model.state_dict().items()}


def test_a_replay_without_an_intervention_equals_a_run_that_never_had_it(make_session, tmp_path):
    """From a checkpoint, bit for bit: the undone one leaves no trace, not even in the draws."""
    begun = make_session()
    begun.train(steps=6)
    begun.wait(60)
    checkpoint = weights(begun)
    begun.feedback(sample=9, ignore=(0.5, 0.5, 0.75, 0.75))
    begun.feedback(sample=3, ignore=BOX)
    begun.feedback(sample=5, look=(0.25, 0.25, 0.75, 0.75))
    begun.undo("i1")
    file = begun.ledger.save(tmp_path / "told.json")

    def from_checkpoint(**arguments):
        model = tiny_cnn()
        model.load_state_dict(checkpoint)
        return make_session(model, **arguments)

    replayed = from_checkpoint(guidance=file)
    never = from_checkpoint()
    never.feedback(sample=3, ignore=BOX)
    never.feedback(sample=5, look=(0.25, 0.25, 0.75, 0.75))
    with_it = from_checkpoint()
    with_it.feedback(sample=9, ignore=(0.5, 0.5, 0.75, 0.75))
    with_it.feedback(sample=3, ignore=BOX)
    for session in (replayed, never, with_it):
        session.train(steps=12)
        session.wait(240)
    assert all(torch.equal(v, weights(never)[k]) for k, v in weights(replayed).items())
    assert not all(torch.equal(v, weights(never)[k]) for k, v in weights(with_it).items())


def test_after_undo_the_next_step_is_as_if_nothing_had_been_said(make_session):
    sessions = [make_session(), make_session()]
    sessions[0].undo(sessions[0].feedback(sample=3, ignore=BOX))
    assert not sessions[0]._backend._guidance.active
    for session in sessions:
        session.train(steps=6)
        session.wait(240)
    first, second = (weights(s) for s in sessions)
    assert all(torch.equal(v, second[k]) for k, v in first.items())


def test_a_verdict_reaches_what_was_drawn_on_the_sample(make_session):
    session = make_session()
    own = session._backend.label_of(3)
    other = (own + 1) % 4
    session.feedback(sample=3, ignore=BOX)
    session.feedback(sample=7, ignore=BOX)

    def replayed():
        plan = session._backend._guidance._plan
        return dict(zip(plan.samples.tolist(), plan.labels.tolist(), strict=True))

    assert replayed()[3] == own
    session.judge(3, "wrong", other)
    assert replayed()[3] == other
    session.judge(3, "leave out")
    assert list(replayed()) == [7]
    session.judge(3, "undo")
    assert replayed()[3] == own


def test_a_stroke_for_one_sample_spreads_no_further_because_of_another(make_session):
    session = make_session()
    session.feedback(sample=3, ignore=(0, 0, 0.25, 0.25), scope="sample")
    session.feedback(sample=3, ignore=(0.6, 0.6, 0.8, 0.8))
    alone = session._backend._guidance._plan.like[0].any(0)
    assert not alone[2, 2]
    assert alone[22, 22]


def test_what_was_cleared_before_it_was_due_is_not_measured(make_session, shapes):
    session = make_session(val=shapes, config={"guidance": {"effect_after": 12}})
    session.train(steps=2)
    session.wait(240)
    session.feedback(sample=1, ignore=BOX)
    session.feedback(instruction="stop focus")
    assert session._parts.steering.effects.due == float("inf")


def test_a_verdict_in_a_loop_of_ones_own_says_what_it_does_not_do(make_session, shapes):
    session = make_session()
    batches = session.loop([(shapes.images[:8], shapes.labels[:8], np.arange(8))])
    next(batches)
    session.judge(3, "leave out")
    assert "a loop of your own" in session.events("notice")[-1].data["text"]
    batches.close()


def test_an_adopted_ledger_shows_the_focus_that_is_in_force(make_session, tmp_path):
    first = make_session()
    louder = first.feedback(instruction="set focus to 0.8")
    first.feedback(sample=3, ignore=BOX)
    first.undo(louder)
    second = make_session(guidance=first.ledger)
    assert second.ledger.state().focus == 0.3
    recorded = [e for e in second.events() if e.type in ("intervention", "undo")]
    assert recorded[-1].data["focus"] == 0.3


def test_of_several_regions_only_the_one_searched_for_spreads_no_more(make_session):
    session = make_session()
    corner, other = (0, 0, 0.2, 0.2), (0.4, 0.4, 0.6, 0.6)
    strokes = tuple(ActiveStroke("ignore", parse_roi(box), 3, 0.3, "i1") for box in (corner, other))
    found = Located((5,), (corner,), 0.3, "i2", "i1")
    plan = make_plan(
        GuidanceState(strokes=strokes, located=(found,)), session._backend.read_rows, IMAGE
    )
    alike = plan.like[0].any(0)
    assert not alike[2, 2]
    assert alike[16, 16]
    assert not plan.found_all


def test_an_effect_is_that_of_one_kind_of_stroke(make_session, shapes):
    session = make_session(val=shapes, config={"guidance": {"effect_after": 12}})
    session.feedback(sample=1, look=(0, 0, 0.5, 1), ignore=(0.75, 0, 1, 1))
    watch = session._parts.steering.effects
    record = watch._waiting[0].record
    for kind, marked in (("look", slice(0, 16)), ("ignore", slice(24, 32))):
        mask = watch._donors(record, kind, np.random.default_rng(0))[1][0]
        expected = np.zeros((32, 32), bool)
        expected[:, marked] = True
        assert np.array_equal(mask, expected)
