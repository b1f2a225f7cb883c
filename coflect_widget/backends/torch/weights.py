"""A torch model's weights, copied out for others into shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.backends.base import WeightSpec


def specs(model: torch.nn.Module) -> list[WeightSpec]:
    """Parameters and buffers, in the order of the state dict."""
    return [
        WeightSpec(name, tuple(tensor.shape), _numpy_type(tensor))
        for name, tensor in _tensors(model).items()
    ]


class WeightCopies:
    """Copies a model's weights, and keeps what makes the next copy quicker.

    Parameters
    ----------
    device : torch.device
        Of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        #: by name: where a weight lies, and its memory as an array
        self._arrays: dict[str, tuple[tuple[object, ...], NDArray[Any] | None]] = {}
        #: memory that a device copies to, of copies that are finished
        self._pinned: list[list[torch.Tensor]] = []

    def copy(
        self, model: torch.nn.Module, destination: Sequence[NDArray[Any]]
    ) -> Callable[[], None] | None:
        """See `Backend.copy_weights`."""
        state = _tensors(model)
        for array, (name, weight) in zip(destination, state.items(), strict=True):
            if array.shape != weight.shape:
                raise ValueError(f"{name} is now of shape {tuple(weight.shape)}, not {array.shape}")
        if self._device.type == "cuda":
            weights = [weight.detach() for weight in state.values()]
            return self._copy_from_cuda(weights, destination)
        for array, (name, weight) in zip(destination, state.items(), strict=True):
            memory = self._as_array(name, weight)
            if memory is None:
                torch.from_numpy(array).copy_(weight.detach())
            else:
                # On this thread alone: torch would copy in parallel and wait for its helpers,
                # which on a busy machine takes several times as long.
                np.copyto(array, memory)
        return None

    def _as_array(self, name: str, weight: torch.Tensor) -> NDArray[Any] | None:
        """The weight's own memory; kept, because to ask for it takes longer than a small copy.

        None where it lies on a device, or is of a type that numpy does not know. What is kept
        holds the memory, so that no other tensor can be found at its address.
        """
        place = (weight.data_ptr(), weight.dtype, weight.shape, weight.stride())
        kept = self._arrays.get(name)
        if kept is None or kept[0] != place:
            try:
                memory = weight.detach().numpy()
            except TypeError:
                memory = None
            kept = self._arrays[name] = (place, memory)
        return kept[1]

    def _copy_from_cuda(
        self, weights: Sequence[torch.Tensor], destination: Sequence[NDArray[Any]]
    ) -> Callable[[], None]:
        """Queue copies into pinned memory and return at once; the result waits for them.

        They stand in the training's own stream before its next step, so that they see this
        step's weights whatever the training does meanwhile.
        """
        if self._pinned:
            memory = self._pinned.pop()
        else:
            memory = [
                torch.empty(weight.shape, dtype=torch.from_numpy(array).dtype, pin_memory=True)
                for weight, array in zip(weights, destination, strict=True)
            ]
        stream = torch.cuda.current_stream(self._device)
        for pinned, weight in zip(memory, weights, strict=True):
            pinned.copy_(weight, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record(stream)

        mine = [memory]  # until it was read: then it is there for the next copy

        def finish() -> None:
            if not mine:
                return
            copied.synchronize()
            for array, pinned in zip(destination, memory, strict=True):
                np.copyto(array, pinned.numpy())
            self._pinned.append(mine.pop())

        return finish


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict without what is no tensor, such as a module's extra state."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _numpy_type(tensor: torch.Tensor) -> str:
    try:
        return str(torch.empty(0, dtype=tensor.dtype).numpy().dtype)
    except TypeError:  # numpy has neither bfloat16 nor float8; float32 holds each of their values
        return "float32"
