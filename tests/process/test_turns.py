"""Threads take short turns at the interpreter while anything trains, and only then."""

import sys

import pytest

from coflect_widget.process import turns


@pytest.fixture(autouse=True)
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before)


def turn():
    return pytest.approx(sys.getswitchinterval(), rel=1e-3)


def test_turns_are_short_until_the_last_of_two_trainings_ends():
    one, other = turns.ShortTurns(), turns.ShortTurns()
    one.shorten()
    assert turn() == turns.TURN
    other.shorten()
    one.restore()
    assert turn() == turns.TURN
    other.restore()
    assert turn() == 0.005


def test_a_training_that_never_began_ends_without_a_change():
    turns.ShortTurns().restore()
    assert turn() == 0.005


@pytest.mark.parametrize("own", [0.0001, 0.02])
def test_what_a_user_sets_meanwhile_stays(own):
    short = turns.ShortTurns()
    short.shorten()
    sys.setswitchinterval(own)
    short.restore()
    assert turn() == own


def test_a_shorter_turn_of_the_users_stays():
    sys.setswitchinterval(0.0001)
    short = turns.ShortTurns()
    short.shorten()
    assert turn() == 0.0001
    short.restore()
    assert turn() == 0.0001


def test_a_session_that_trains_takes_short_turns(make_session):
    session = make_session()
    session.train(epochs=1000)
    assert turn() == turns.TURN
    session.stop()
    session.wait(20)
    assert turn() == 0.005
