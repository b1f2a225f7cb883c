"""A word that is marked goes from row to row of a batch, wherever it stands, and no other does."""

import numpy as np
import torch

from coflect_widget.guidance.plan import make_plan, mapped
from coflect_widget.guidance.rows import RowChooser
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.modalities.text import Text
from coflect_widget.modalities.text.regions import Span, Word

WORDS = ["[PAD]", "[CLS]", "great", *"abcdefghijklmnopqrst"]
GREAT, ROWS = 2, 60


def batch():
    rng = np.random.default_rng(0)
    ids = np.zeros((ROWS, 12), np.int64)
    for row in ids:
        count = rng.integers(4, 12)
        row[0], row[1:count] = 1, rng.integers(3, len(WORDS), count - 1)
    labels = rng.permutation(np.arange(ROWS) % 2)
    for row in (ids[k] for k in np.flatnonzero(labels)):
        row[rng.integers(1, np.count_nonzero(row))] = GREAT
    return ids, labels


def plan_of(*strokes):
    ids, labels = batch()
    text = Text(WORDS)
    state = GuidanceState(strokes=tuple(strokes))
    plan = make_plan(state, lambda rows: (ids[list(rows)], labels[list(rows)]), text)
    return text, plan, ids, labels


def exchanged(*strokes, framework=False):
    text, plan, ids, labels = plan_of(*strokes)
    chooser, give = RowChooser(3, text), torch.from_numpy if framework else np.asarray
    if framework:
        plan = mapped(plan, lambda a: torch.from_numpy(a.copy()))
    found = chooser.counterfactual(plan, give(ids), give(labels), give(np.arange(ROWS)))
    return ids, labels, np.asarray(found)


def ignore(region, sample=None, *, label=None, spreads=True):
    return ActiveStroke("ignore", region, sample, 0.5, "i1", label, spreads)


def test_a_word_goes_to_rows_of_any_class_and_the_rest_stays():
    ids, labels, found = exchanged(ignore(Word("great")))
    before, after = ids == GREAT, found == GREAT
    # it comes as often as it goes, and tells nothing afterwards
    assert before.sum() == (labels == 1).sum()
    assert 0.8 < after.any(1).sum() / before.any(1).sum() < 1.2
    assert 0.3 < (labels[after.any(1)] == 1).mean() < 0.7
    moved = ids != found
    assert not (moved & ~(before | after)).any()
    assert ((ids == 0) == (found == 0)).all()
    assert ((ids == 1) == (found == 1)).all()
    assert (exchanged(ignore(Word("great")), framework=True)[2] == found).all()


def test_what_is_marked_in_one_sample_is_exchanged_wherever_it_stands():
    ids, _ = batch()
    row = int(np.flatnonzero((ids == GREAT).any(1))[0])
    at = int(np.flatnonzero(ids[row] == GREAT)[0])
    drawn = exchanged(ignore(Span(at, at + 1), row))[2]
    assert (drawn == exchanged(ignore(Word("great")))[2]).all()
    alone = exchanged(ignore(Span(at, at + 1), row, spreads=False))[2]
    assert (np.delete(alone, row, 0) == np.delete(ids, row, 0)).all()


def test_a_word_of_one_class_is_exchanged_in_that_class_alone():
    ids, labels, found = exchanged(ignore(Word("great"), label=0))
    assert (found == ids).all()  # no text of that class has it
    assert not plan_of(ignore(Word("great"), label=0))[1].looks
    ids, labels, found = exchanged(ignore(Word("great"), label=1))
    assert ((ids == GREAT)[labels == 1] & (found != GREAT)[labels == 1]).any()


def test_the_fill_takes_a_word_out_and_puts_it_in():
    text, plan, ids, labels = plan_of(ignore(Word("great")))
    pairs = RowChooser(0, text).swapped(plan, ids, labels, np.arange(ROWS), 20)
    before, after = pairs.original == GREAT, pairs.swapped == GREAT
    assert before.any(1).all()
    assert (before & ~after).any(1).mean() > 0.8
    assert after.any()  # of donors that have it
    assert ((pairs.original == 0) == (pairs.swapped == 0)).all()
    assert plan.found_all


def test_looking_at_a_word_marks_it_in_each_row_that_has_it():
    look = ActiveStroke("look", Word("great"), None, 0.5, "i1")
    text, plan, ids, labels = plan_of(look)
    assert plan.looks
    assert not plan.ignores
    rows = RowChooser(0, text).marked(plan, "look", ids, labels, 8)
    assert (rows.region == (rows.inputs == GREAT)).all()
    assert (rows.strength == 0.5).all()
