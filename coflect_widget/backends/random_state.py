"""The global random generators of numpy and Python, kept as they were: data sets draw of them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def random_state_kept() -> Iterator[Callable[[], bool]]:
    """Put both back at the end; gives a function that tells whether they have moved."""
    python_state = random.getstate()
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - the generator that users draw from

    def moved() -> bool:
        now: Any = np.random.get_state()  # noqa: NPY002
        same = np.array_equal(numpy_state[1], now[1]) and numpy_state[2:] == now[2:]
        return not (same and python_state == random.getstate())

    try:
        yield moved
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
