"""Losses far above the usual, and the rows that carry them."""

import numpy as np
import pytest

from coflect_widget.telemetry.spikes import FEWEST, LEVEL, QUIET, SpikeWatch, carriers


def falling(steps, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * np.exp(-np.arange(steps) / 300) + 0.3 + noise * rng.random(steps)


def told(losses, chunk):
    """Steps that are spikes, where so many losses come at once."""
    watch = SpikeWatch()
    found = []
    for first in range(0, len(losses), chunk):
        found += [first + one.place for one in watch.add(losses[first : first + chunk])]
    return found


@pytest.mark.parametrize("chunk", [1, 7, 384])
def test_a_spike_is_told_however_many_steps_come_at_once(chunk):
    losses = falling(900)
    losses[[200, 600]] = 12.0, 9.0
    losses[400] = np.nan  # which is told elsewhere
    assert told(losses, chunk) == [200, 600]


@pytest.mark.parametrize(
    "losses",
    [
        falling(3000), falling(3000, noise=0.6, seed=1),
        np.random.default_rng(2).exponential(size=3000),  # of batches of one
        np.zeros(500), np.full(500, np.inf),
    ],
)  # fmt: skip
def test_an_ordinary_training_has_none(losses):
    assert told(losses, 32) == []


def test_few_losses_tell_nothing_and_a_new_level_is_told_once():
    assert told(np.append(falling(FEWEST - 1), 50.0), 1) == []
    jump = np.concatenate([falling(300), 20 + falling(300)])
    found = told(jump, 16)
    assert found[0] == 300
    assert len(found) <= 1 + LEVEL // QUIET + 1


def test_usual_is_where_nearly_all_losses_lie():
    watch = SpikeWatch()
    assert watch.usual is None
    watch.add(np.linspace(1, 2, 256))
    low, high = watch.usual
    assert 1 <= low < 1.05
    assert 1.95 < high <= 2


def test_the_rows_that_carry_a_spike_are_few_without_which_it_is_usual_and_their_like():
    losses = np.random.default_rng(0).random(64)
    losses[[7, 30, 41]] = 40.0, 90.0, 60.0
    assert carriers(losses, 0.8).tolist() == [30, 41, 7]
    losses[7] = 8.0  # the others alone make it usual, and it stands out like them
    assert carriers(losses, 0.8).tolist() == [30, 41, 7]
    losses[7] = 1.0  # large, but not to blame
    assert carriers(losses, 0.8).tolist() == [30, 41]
    assert carriers(np.full(64, 9.0), 0.8).tolist() == []  # all of them
    assert carriers(np.array([9.0]), 0.8).tolist() == [0]
