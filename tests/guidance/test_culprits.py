"""Which stroke it was that made a guided step fail."""

import pytest

from coflect_widget.guidance.lapses import (
    ATTEMPTS,
    Lapse,
    Part,
    culprits,
    only,
    parts,
    reason,
    take_out,
    told,
    without,
)
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Located
from coflect_widget.modalities.image.regions import parse_roi


def stroke(identifier, kind="look", sample=3, strength=0.3):
    return ActiveStroke(kind, parse_roi((0.1, 0.1, 0.5, 0.5)), sample, strength, identifier)


def test_parts_are_interventions_by_kind():
    found = Located((1, 2), ((0, 0, 0.1, 0.1),) * 2, 0.3, "i3", "i1")
    state = GuidanceState(
        (
            stroke("i1"),
            stroke("i1"),
            stroke("i1", "ignore"),
            stroke("i2"),
            stroke("i4", strength=0),
        ),
        located=(found,),
    )
    i1, ignored, i2, i3 = parts(state)
    assert (i1, ignored) == (Part("i1", "look", 3), Part("i1", "ignore", 3))
    assert (i2, i3) == (Part("i2", "look", 3), Part("i3", "ignore", None))
    left = without(state, [i1, i3])
    assert [(s.id, s.kind) for s in left.strokes] == [("i1", "ignore"), ("i2", "look")]
    assert left.located == ()
    assert only(state, [i3]).located == (found,)
    assert only(state, [i3]).strokes == ()


@pytest.mark.parametrize("guilty", [{4}, {0, 1}, {2, 6}, set(range(9)), set()])
def test_culprits_are_those_that_fail_alone(guilty):
    suspects = [Part(f"i{k}", "look", k) for k in range(9)]
    asked = []

    def fails(some):
        asked.append(some)
        return any(part.sample in guilty for part in some)

    found = {part.sample for part in culprits(suspects, fails)}
    assert found == (guilty or set(range(9)))  # all of them where none is known to fail
    assert len(asked) <= ATTEMPTS


def test_who_is_not_tried_any_more_leaves_too():
    suspects = [Part(f"i{k}", "look", k) for k in range(500)]
    asked = []

    def fails(some):
        asked.append(some)
        return True

    assert len(culprits(suspects, fails)) == 500
    assert len(asked) == ATTEMPTS


def test_only_the_kinds_that_the_term_is_made_of_leave():
    state = GuidanceState((stroke("i1"), stroke("i2", "ignore")))
    left, lapses = take_out(state, ("ignore",), "fill", "is nan")
    assert [s.id for s in left.strokes] == ["i1"]
    assert lapses == [Lapse(Part("i2", "ignore", 3), "fill", "is nan")]
    text = told(lapses)
    assert "i2 (ignore on sample 3)" in text
    assert "fill" in text
    assert "is nan" in text
    assert "undo" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "raised ValueError"),
        ("too large.\nmore", "raised ValueError: too large"),
        (
            "Exception encountered when calling A.call().\n\n\x1b[1mno rows\x1b[0m\n\nArguments: x",
            "raised ValueError: no rows",
        ),
        (
            "Graph execution error:\n\nDetected at node a defined at:\nno rows\n\t [[{{node a}}]]",
            "raised ValueError: no rows",
        ),
    ],
)
def test_the_reason_is_the_line_that_has_the_cause(text, line):
    assert reason(ValueError(text)) == line
