"""The global random generators that a training draws from, kept as they were."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def random_state_kept(device: torch.device | None = None) -> Iterator[Callable[[], bool]]:
    """Put the generators of torch, numpy and Python back at the end, and that of `device`.

    Gives a function that tells whether those of the processor have moved.
    """
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - the generator that users draw from
    module: Any = getattr(torch, device.type) if device is not None else None
    on_device = module is not None and device is not None and device.type != "cpu"
    which = (device,) if on_device and device is not None and device.type == "cuda" else ()
    device_state = module.get_rng_state(*which) if on_device else None

    def moved() -> bool:
        numpy_now: Any = np.random.get_state()  # noqa: NPY002
        return not (
            torch.equal(torch_state, torch.get_rng_state())
            and np.array_equal(numpy_state[1], numpy_now[1])
            and numpy_state[2:] == numpy_now[2:]
            and python_state == random.getstate()
        )

    try:
        yield moved
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        if on_device:
            module.set_rng_state(device_state, *which)
