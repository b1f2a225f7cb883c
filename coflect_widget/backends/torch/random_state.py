"""The global random generators that a training draws from, kept as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from coflect_widget.backends import random_state


@contextlib.contextmanager
def random_state_kept(device: torch.device | None = None) -> Iterator[Callable[[], bool]]:
    """Put the generators of torch, numpy and Python back at the end, and that of `device`.

    Gives a function that tells whether those of the processor have moved.
    """
    torch_state = torch.get_rng_state()
    module: Any = getattr(torch, device.type) if device is not None else None
    on_device = module is not None and device is not None and device.type != "cpu"
    which = (device,) if on_device and device is not None and device.type == "cuda" else ()
    device_state = module.get_rng_state(*which) if on_device else None
    with random_state.random_state_kept() as others_moved:
        try:
            yield lambda: others_moved() or not torch.equal(torch_state, torch.get_rng_state())
        finally:
            torch.set_rng_state(torch_state)
            if on_device:
                module.set_rng_state(device_state, *which)
