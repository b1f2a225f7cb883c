"""Threads take short turns at the interpreter while anything trains, and only then."""

import sys

import pytest

from coflect_widget.process import turns
from coflect_widget.training.controls import Controls


@pytest.fixture(autouse=True)
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before)


def turn():
    return pytest.approx(sys.getswitchinterval(), rel=1e-3)


def test_turns_are_short_until_the_last_of_two_trainings_ends():
    one, other = Controls(), Controls()
    one.attach()
    assert turn() == turns.TURN
    other.attach()
    one.detach()
    assert turn() == turns.TURN
    other.detach()
    assert turn() == 0.005


def test_a_training_that_never_began_ends_without_a_change():
    Controls().detach()
    assert turn() == 0.005


@pytest.mark.parametrize("own", [0.0001, 0.02])
def test_what_a_user_sets_meanwhile_stays(own):
    controls = Controls()
    controls.attach()
    sys.setswitchinterval(own)
    controls.detach()
    assert turn() == own


def test_a_shorter_turn_of_the_users_stays():
    sys.setswitchinterval(0.0001)
    controls = Controls()
    controls.attach()
    assert turn() == 0.0001
    controls.detach()
    assert turn() == 0.0001


def test_a_session_that_trains_takes_short_turns(make_session):
    session = make_session()
    session.train(epochs=1000)
    assert turn() == turns.TURN
    session.stop()
    session.wait(20)
    assert turn() == 0.005
