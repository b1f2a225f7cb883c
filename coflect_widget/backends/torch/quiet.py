"""A second forward pass that leaves no trace in the model but its gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from coflect_widget.backends.torch.numbers import call


@contextlib.contextmanager
def held_statistics(model: nn.Module) -> Iterator[None]:
    """Normalise by the rows of this pass, but keep them out of the running statistics."""
    held = [
        module
        for module in model.modules()
        if isinstance(module, _NormBase) and module.training and module.track_running_stats
    ]
    for module in held:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in held:
            module.track_running_stats = True


def normalises_by_batch(model: nn.Module) -> bool:
    """Whether a layer in train mode normalises a row by the others."""
    return any(
        isinstance(module, _NormBase) or hasattr(module, "running_mean")
        for module in model.modules()
        if module.training
    )


@contextlib.contextmanager
def held_buffers(model: nn.Module) -> Iterator[None]:
    """Keep a pass out of the statistics of layers that torch does not know.

    For the time of the pass they have copies: what the pass's graph saved for its derivative must
    not change when the pass ends.
    """
    held = [
        (module, name, buffer)
        for module in model.modules()
        if module.training and not isinstance(module, _NormBase)
        for name, buffer in module.named_buffers(recurse=False)
        if buffer.is_floating_point() or buffer.numel() == 1
    ]
    for module, name, buffer in held:
        module._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for module, name, buffer in held:
            module._buffers[name] = buffer


@torch.no_grad()
def refresh_statistics(model: nn.Module, inputs: Tensor, steps: int) -> None:
    """Let the running statistics see `inputs` as often as `steps` ordinary passes would have.

    The random state is as before; nothing else changes.
    """
    momenta = [
        (module, module.momentum)
        for module in model.modules()
        if isinstance(module, _NormBase) and module.training and module.track_running_stats
    ]
    if not momenta:
        return
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for module, momentum in momenta:
            if momentum is not None:  # None is the plain mean of all passes
                module.momentum = 1 - (1 - momentum) ** steps
        try:
            call(model, inputs)
        finally:
            for module, momentum in momenta:
                module.momentum = momentum


@contextlib.contextmanager
def quiet(model: nn.Module, device: torch.device) -> Iterator[None]:
    """A pass beside the main one: statistics and random state are as before afterwards.

    So dropout in the main passes draws the same numbers with and without guidance.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), held_statistics(model), held_buffers(model):
        yield
