from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coflect_widget.events import TYPE_OF, Event, Feedback, StrokeInput, Undone, read_event
from coflect_widget.guidance.interpret import interpret
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.guidance.state import GuidanceState, masks
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import Box

BOX = (0.7, 0.7, 0.95, 0.95)


def say(ledger, step=0, **fields):
    feedback = Feedback(**fields)
    meaning = interpret(feedback, ledger.state(), IMAGE, (32, 32), 5000)
    return ledger.append(meaning.record(ledger.new_id(), "ann", "fill"), step)


def event(seq, data, step=0):
    kind = TYPE_OF[type(data)]
    now = datetime.now(UTC)
    return Event(seq=seq, ts=now, run_id="run", type=kind, step=step, epoch=0, data=data)


def ignore(box=BOX):
    return StrokeInput(kind="ignore", roi=box)


def look(box=BOX):
    return StrokeInput(kind="look", roi=box)


def test_a_stroke_is_understood_in_words_and_in_force():
    ledger = Ledger()
    entry = say(ledger, 40, sample=4187, strokes=[ignore()])
    assert entry.understood == (
        "ignore a box (6 % of the picture, lower right) on sample 4187, strength 0.30"
    )
    assert entry.step == 40
    assert entry.record.author == "ann"
    (stroke,) = ledger.state().strokes
    assert (stroke.kind, stroke.region, stroke.sample, stroke.strength, stroke.id) == (
        "ignore", Box(*BOX), 4187, 0.3, entry.id,
    )  # fmt: skip


def test_increase_adds_to_the_focus_and_to_all_strokes():
    ledger = Ledger()
    say(ledger, strokes=[ignore()], strength=0.95)
    say(ledger, strokes=[look((0, 0, 0.3, 0.3))])
    entry = say(ledger, instruction="Increase focus by 10%")
    assert entry.understood == "increase focus by 10%: 0.30 -> 0.40"
    assert [s.strength for s in ledger.state().strokes] == [1.0, 0.4]
    assert ledger.state().focus == 0.4
    say(ledger, instruction="set focus to 20%")
    assert [s.strength for s in ledger.state().strokes] == [0.2, 0.2]
    assert ledger.state().focus == 0.2


def test_a_named_region_reaches_the_given_sample_or_everything():
    ledger = Ledger()
    assert "on every sample" in say(ledger, instruction="ignore borders").understood
    entry = say(ledger, sample=3, instruction="focus top right")
    assert entry.understood.startswith("focus top right on sample 3")
    assert [s.sample for s in ledger.state().strokes] == [None] * 4 + [3]
    assert entry.record.instruction == "focus top right"


def test_one_call_is_one_intervention():
    ledger = Ledger()
    strokes = [ignore(), look((0, 0, 0.5, 0.5))]
    entry = say(ledger, sample=1, strokes=strokes, instruction="increase focus", strength=0.5)
    assert len(ledger) == 1
    assert {s.id for s in ledger.state().strokes} == {entry.id}
    assert entry.record.strength == 0.6 == ledger.state().strokes[0].strength
    assert ledger.state().focus == 0.4
    ledger.undo(entry.id)
    assert ledger.state() == GuidanceState()


def test_undo_keeps_later_ones_as_if_the_first_had_never_been():
    ledger, never = Ledger(), Ledger()
    first = say(ledger, instruction="increase focus by 20%")
    for book in (ledger, never):
        say(book, sample=2, strokes=[ignore()])
        say(book, sample=3, strokes=[ignore()], strength=0.9)
        say(book, instruction="decrease focus by 10%")
    assert ledger.state().strokes[0].strength == 0.4
    ledger.undo(first.id)
    strip = [(s.sample, s.strength) for s in ledger.state().strokes]
    assert strip == [(s.sample, s.strength) for s in never.state().strokes] == [(2, 0.2), (3, 0.8)]
    assert ledger.state().focus == never.state().focus


def test_stop_focus_ends_what_was_given_before_and_can_be_undone():
    ledger = Ledger()
    say(ledger, strokes=[ignore()])
    stop = say(ledger, instruction="stop focus")
    say(ledger, sample=9, strokes=[ignore()])
    assert [s.sample for s in ledger.state().strokes] == [9]
    ledger.undo(stop.id)
    assert [s.sample for s in ledger.state().strokes] == [None, 9]


def test_bad_undo():
    ledger = Ledger()
    with pytest.raises(ValueError, match="ledger is empty"):
        ledger.undo("i1")
    entry = say(ledger, strokes=[ignore()])
    with pytest.raises(ValueError, match=r"'i9'.*i1"):
        ledger.undo("i9")
    ledger.undo(entry.id)
    with pytest.raises(ValueError, match="undone already"):
        ledger.undo(entry.id)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sample": 5000, "strokes": [ignore()]}, "sample=5000.*0 to 4999"),
        ({"sample": -1, "strokes": [ignore()]}, "sample=-1.*0 to 4999"),
        ({}, "feedback is empty"),
        ({"sample": 3, "strength": 0.5}, "without a stroke"),
        ({"strokes": [ignore(), look((0, 0, 2, 1))]}, r"look=.*outside \[0, 1\]"),
        ({"strokes": [ignore((0, 0, 1, 1))]}, "whole image"),
        ({"strokes": [ignore()], "instruction": "inkrease focus"}, "increase focus"),
        ({"strokes": [ignore()], "instruction": "stop focus"}, "one after the other"),
        ({"strokes": [StrokeInput(kind="look", roi=[[True]])]}, r"\(1, 1\).*\(32, 32\)"),
    ],
)
def test_bad_feedback_changes_nothing(fields, words):
    ledger = Ledger()
    say(ledger, strokes=[ignore()])
    before = ledger.state()
    with pytest.raises(ValueError, match=words):
        say(ledger, **fields)
    assert ledger.state() == before
    assert len(ledger) == 1


def test_a_bare_strength_sets_the_focus():
    ledger = Ledger()
    assert say(ledger, strength=0.7).understood == "set focus to 0.7: 0.30 -> 0.70"
    assert ledger.state().focus == 0.7


def test_the_later_of_two_contradicting_strokes_wins_and_says_so():
    ledger = Ledger()
    say(ledger, sample=1, strokes=[look((0, 0, 0.5, 0.5))])
    entry = say(ledger, sample=1, strokes=[ignore((0.25, 0.25, 0.75, 0.75))])
    assert "ignore wins over the look of i1 where they overlap" in entry.understood
    assert "wins" not in say(ledger, sample=2, strokes=[look()]).understood
    found = masks([s for s in ledger.state().strokes if s.sample == 1], IMAGE, (8, 8))
    assert not (found.look & found.ignore).any()
    assert found.ignore.sum() == 16
    assert found.look.sum() == 16 - 4


def test_strength_zero_is_out_of_force_and_says_so():
    ledger = Ledger()
    entry = say(ledger, strokes=[ignore()], strength=0.0)
    assert "no effect" in entry.understood
    found = masks(ledger.state().strokes, IMAGE, (8, 8))
    assert not found.ignore.any()
    assert found.ignore_strength == 0


action = st.one_of(
    st.builds(lambda s: {"sample": s, "strokes": [ignore()]}, st.integers(0, 9)),
    st.builds(lambda v: {"strokes": [look()], "strength": round(v, 3)}, st.floats(0, 1)),
    st.sampled_from(
        ["increase focus", "decrease focus by 25%", "set focus to 0.4", "stop focus", "ignore left"]
    ).map(lambda text: {"instruction": text}),
)


@given(st.lists(action, max_size=8), st.data())
def test_the_state_survives_the_event_stream_and_undo_equals_never(actions, data):
    ledger = Ledger()
    for step, fields in enumerate(actions):
        say(ledger, step, **fields)
    events = [event(k, entry.record, entry.step) for k, entry in enumerate(ledger.interventions)]
    if actions:
        gone = data.draw(st.integers(0, len(actions) - 1))
        name = ledger.interventions[gone].id
        ledger.undo(name)
        events.append(event(len(events), Undone(id=name), 99))
        never = Ledger()
        for entry in ledger.interventions:
            if not entry.undone:
                never.append(entry.record, entry.step)
        assert never.state() == ledger.state()
    again = Ledger.from_events([read_event(e.model_dump_json().encode()) for e in events])
    assert again.state() == ledger.state()
    assert [e.undone for e in again.interventions] == [e.undone for e in ledger.interventions]
    assert all(0 <= s.strength <= 1 for s in ledger.state().strokes)
