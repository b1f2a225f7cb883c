"""What a torch model keeps beside its weights: each module's mode, and running statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


def modes(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Each module, and whether it is in train mode."""
    return [(module, module.training) for module in model.modules()]


def restore(before: list[tuple[nn.Module, bool]]) -> None:
    """Put each module into the mode it was in."""
    for module, mode in before:
        module.training = mode


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode and without gradients; layers that the user holds in it stay so afterwards."""
    before = modes(model)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        restore(before)


class Frozen:
    """The modules that a user holds in eval mode while the model trains.

    An evaluation puts all of a model into eval mode; ``model.train()`` alone would free them.
    """

    def __init__(self) -> None:
        self._modules: list[nn.Module] = []

    def look(self, model: nn.Module) -> None:
        """Note them, while the model is in train mode; of one that is not, nobody can tell."""
        if model.training:
            self._modules = [module for module in model.modules() if not module.training]

    def train(self, model: nn.Module) -> None:
        """Put the model into train mode, all but them."""
        model.train()
        for module in self._modules:
            module.training = False

    def train_twin(self, model: nn.Module, twin: nn.Module) -> None:
        """Put a copy of the model into the modes that the model trains in."""
        twin.train()
        held = {id(module) for module in self._modules}
        inner = getattr(model, "_orig_mod", model)
        for module, other in zip(inner.modules(), twin.modules(), strict=False):
            if id(module) in held:
                other.training = False


class Buffers:
    """Copies of a model's floating point buffers, such as running means.

    A forward pass on a picture with a NaN spoils them though no step is taken.
    """

    def __init__(self) -> None:
        self._good: dict[str, torch.Tensor] = {}

    def keep(self, model: nn.Module) -> None:
        """Copy those that are finite; of another the copy of before stays."""
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point() and _finite(buffer):
                self._good[name] = buffer.detach().clone()

    def mended(self, model: nn.Module, loss: float) -> str:
        """Put back what a loss that is not finite has spoilt, and say so."""
        mended = self.mend(model)
        if not mended:
            return f"the loss is {loss}"
        return (
            f"the loss is {loss}; {', '.join(mended)} had become so too and were set back to what "
            "they were when the epoch began"
        )

    def mend(self, model: nn.Module) -> list[str]:
        """Put the copies back where a buffer is no longer finite; the names of these."""
        mended = []
        for name, buffer in model.named_buffers():
            good = self._good.get(name)
            if good is None or good.shape != buffer.shape or _finite(buffer):
                continue
            with torch.no_grad():
                buffer.copy_(good)
            mended.append(name)
        return mended


def _finite(buffer: torch.Tensor) -> bool:
    return bool(buffer.double().isfinite().all())  # types of eight bits cannot tell
