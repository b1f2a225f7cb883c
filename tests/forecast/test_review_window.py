"""The six gates, each at its edge, and the window they make together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coflect_widget.config import Gates
from coflect_widget.events import GateStatus
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.tasks import Classification

TOP = list(range(10))


def gate(window: ReviewWindow, name: str) -> GateStatus:
    return next(g for g in window.status().gates if g.name == name)


def after(accuracies: list[float | None], classes: int = 2, **settings: float) -> ReviewWindow:
    window = ReviewWindow(Gates(**settings), Classification(classes))
    for epoch, accuracy in enumerate(accuracies, start=1):
        window.epoch_ended(epoch, accuracy)
    return window


def test_opens_when_all_six_hold_and_remembers_when() -> None:
    window = ReviewWindow(Gates(), Classification(2))
    for _ in range(4):
        window.ranked(TOP)
    for epoch, accuracy in enumerate([0.60, 0.70, 0.80, 0.80, 0.80], start=1):
        window.epoch_ended(epoch, accuracy)
        assert not window.open
    window.epoch_ended(6, 0.80)
    assert not window.open  # the best before the last four is 0.70
    window.epoch_ended(7, 0.80)
    assert window.open
    assert window.status().open
    assert window.opened_at == [7]
    assert window.passed_at == {
        "warm-up": 5, "accuracy": 2, "plateau": 7, "error": 1, "overlap": 0, "cooldown": 0,
    }  # fmt: skip
    window.intervened(7)
    assert not window.open
    window.epoch_ended(9, 0.80)
    assert not window.open
    window.epoch_ended(10, 0.80)
    assert window.open
    assert window.opened_at == [7, 10]
    assert window.passed_at["cooldown"] == 0


def test_a_new_window_is_shut_and_says_why() -> None:
    status = ReviewWindow(Gates(), Classification(10)).status()
    assert not status.open
    assert [g.name for g in status.gates] == [
        "warm-up", "accuracy", "plateau", "error", "overlap", "cooldown",
    ]  # fmt: skip
    assert [g.passed for g in status.gates] == [False] * 5 + [True]
    assert all(g.sentence.endswith(".") and g.sentence[0].isupper() for g in status.gates)


@pytest.mark.parametrize(("epochs", "passed"), [(4, False), (5, True)])
def test_warm_up(*, epochs: int, passed: bool) -> None:
    assert gate(after([0.5] * epochs), "warm-up").passed is passed
    assert gate(after([0.5] * epochs), "warm-up").progress == min(1, epochs / 5)


@pytest.mark.parametrize(
    ("accuracy", "classes", "passed"),
    [(0.64, 2, False), (0.65, 2, True), (0.24, 10, False), (0.25, 10, True)],
)
def test_accuracy_above_chance(*, accuracy: float, classes: int, passed: bool) -> None:
    assert gate(after([accuracy], classes), "accuracy").passed is passed


def test_accuracy_sentence() -> None:
    shown = gate(after([0.61]), "accuracy")
    assert shown.sentence == "Accuracy 0.610; at least 0.650 needed."
    assert shown.value == 0.61
    assert shown.needed == pytest.approx(0.65)
    assert shown.progress == pytest.approx(0.61 / 0.65)


@pytest.mark.parametrize(("accuracy", "passed"), [(0.9, False), (0.929, False), (0.93, True)])
def test_a_constant_answer_is_no_better_than_chance(*, accuracy: float, passed: bool) -> None:
    window = ReviewWindow(Gates(), Classification(2))
    window.epoch_ended(1, accuracy, 0.9)
    shown = gate(window, "accuracy")
    assert shown.passed is passed
    assert shown.sentence == (
        f"Accuracy {accuracy:.3f}; at least 0.930 needed: always the most frequent class gives "
        "0.900."
    )
    window.epoch_ended(2, 0.65, 0.5)
    assert gate(window, "accuracy").sentence == "Accuracy 0.650; at least 0.650 needed."
    assert gate(window, "accuracy").passed


def test_a_shut_gate_shows_by_how_much() -> None:
    assert gate(after([0.6496]), "accuracy").sentence == "Accuracy 0.6496; at least 0.6500 needed."
    assert gate(after([0.9204]), "error").sentence == "Error 0.0796; at least 0.0800 needed."
    plateau = gate(after([0.8, 0.8, 0.8, 0.8, 0.8053]), "plateau")
    assert plateau.sentence == "Accuracy gained 0.0053 in 4 epochs; at most 0.0050 allowed."
    assert gate(after([0.92]), "error").sentence == "Error 0.080; at least 0.080 needed."


@pytest.mark.parametrize(
    ("accuracies", "passed"),
    [
        ([0.9, 0.9, 0.9, 0.9], False),  # nothing before the last four to compare with
        ([0.9, 0.9, 0.9, 0.9, 0.9], True),
        ([0.9, 0.905, 0.9, 0.9, 0.9], True),  # at the edge
        ([0.9, 0.906, 0.9, 0.9, 0.9], False),
        ([0.9, 0.8, 0.8, 0.8, 0.8], True),  # worse is no gain
        ([0.5, 0.9, 0.9, 0.9, 0.9, 0.9], True),  # the best before was 0.9 already
        ([0.9, 0.5, 0.9, 0.9, 0.9, 0.9], True),  # the best before, not the last before
        ([0.5, 0.6, 0.9, 0.9, 0.9, 0.9], False),
        ([0.9, None, 0.9, float("nan"), 0.9], False),  # only three known
    ],
)
def test_plateau(*, accuracies: list[float | None], passed: bool) -> None:
    assert gate(after(accuracies), "plateau").passed is passed


@pytest.mark.parametrize(("accuracy", "passed"), [(0.92, True), (0.93, False), (0.5, True)])
def test_enough_error_is_left(*, accuracy: float, passed: bool) -> None:
    assert gate(after([accuracy]), "error").passed is passed


def test_the_accuracy_and_the_error_that_are_needed_go_together() -> None:
    for commonest in (0.5, 0.7, 0.9, 0.99):
        window = ReviewWindow(Gates(), Classification(2))
        window.epoch_ended(1, 0.5, commonest)
        least, left = gate(window, "accuracy").needed, gate(window, "error").needed
        window.epoch_ended(2, (least + 1 - left) / 2, commonest)
        assert gate(window, "accuracy").passed
        assert gate(window, "error").passed


def test_overlap_must_hold_in_each_of_the_last_comparisons() -> None:
    window = ReviewWindow(Gates(), Classification(2))
    window.ranked(TOP)
    assert gate(window, "overlap").value is None
    window.ranked([*range(6), 90, 91, 92, 93])  # exactly 0.6
    window.ranked([*range(6), 90, 91, 92, 93])
    assert not gate(window, "overlap").passed
    assert gate(window, "overlap").progress == pytest.approx(2 / 3)
    window.ranked([*range(6), 90, 91, 92, 93])
    assert gate(window, "overlap").passed
    assert gate(window, "overlap").value == 0.6
    window.ranked([*range(5), 80, 81, 82, 83, 84])
    assert not gate(window, "overlap").passed
    assert gate(window, "overlap").progress == 0
    window.ranked([84, 83, 82, 81, 80, *range(5)])  # the order does not matter
    assert gate(window, "overlap").progress == pytest.approx(1 / 3)


def test_overlap_of_rankings_of_unequal_length() -> None:
    window = ReviewWindow(Gates(overlap_rankings=1), Classification(2))
    window.ranked([])
    window.ranked([])
    assert gate(window, "overlap").value is None
    window.ranked([1, 2])
    window.ranked([1, 2, 3, 4])
    assert gate(window, "overlap").value == 0.5


def test_the_window_opens_on_a_ranking_too() -> None:
    window = after([0.8] * 6)
    for _ in range(3):
        window.ranked(TOP)
    assert not window.open
    window.ranked(TOP)
    assert window.open
    assert window.opened_at == [6]
    window.ranked([90])
    assert not window.open
    for _ in range(3):
        window.ranked([90])
    assert window.open
    assert window.opened_at == [6]  # once an epoch


def test_cooldown_of_zero_never_shuts() -> None:
    window = after([0.8] * 6, cooldown_epochs=0, warmup_epochs=0)
    window.intervened(6)
    assert gate(window, "cooldown").passed
    assert gate(window, "cooldown").progress == 1


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.floats(0, 1),
            st.just(float("nan")),
            st.lists(st.integers(0, 15), max_size=12),
            st.just("intervened"),
        ),
        max_size=30,
    ),
    st.integers(2, 1000),
)
def test_progress_is_1_exactly_where_passed(happenings: list[object], classes: int) -> None:
    window = ReviewWindow(Gates(), Classification(classes))
    epoch = 0
    for happening in happenings:
        if isinstance(happening, list):
            window.ranked(happening)
        elif happening == "intervened":
            window.intervened(epoch)
        else:
            epoch += 1
            window.epoch_ended(epoch, happening)
        status = window.status()
        for shown in status.gates:
            assert shown.passed == (shown.progress == 1), shown
        assert status.open == window.open == all(g.passed for g in status.gates)
