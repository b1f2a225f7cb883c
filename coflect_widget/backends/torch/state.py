"""A torch training's state at a step boundary: copied out, and put back bit for bit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.backends.state import (
    Generators,
    Memory,
    TrainingState,
    copied,
    process_random_state,
    put_process_random_state,
)
from coflect_widget.backends.torch.schedules import BatchSchedule
from coflect_widget.records.trees import Arrays, Bits

#: Types that numpy does not know: as safetensors names them, and integers of the same width.
_BITS = {
    torch.bfloat16: ("BF16", torch.int16, np.uint16),
    torch.float8_e4m3fn: ("F8_E4M3", torch.uint8, np.uint8),
    torch.float8_e5m2: ("F8_E5M2", torch.uint8, np.uint8),
}
_TYPES = {kind: (dtype, signed) for dtype, (kind, signed, _) in _BITS.items()}


class Copier:
    """Copies tensors into memory of this machine; where they lie on a device, only begins to."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._events: dict[torch.device, Any] = {}

    def tensor(self, name: str, given: torch.Tensor) -> NDArray[Any] | Bits:
        """One tensor's values."""
        tensor = given.detach()
        kind, signed, unsigned = _BITS.get(tensor.dtype, ("", None, None))
        if signed is not None:
            tensor = tensor.view(signed)
        if tensor.device.type == "cpu":
            array = copied(self._memory, name, tensor.numpy())
        else:
            array = self._from_device(name, tensor)
        return Bits(array.view(unsigned), kind) if unsigned is not None else array

    def _from_device(self, name: str, tensor: torch.Tensor) -> NDArray[Any]:
        """Queue a copy in the stream that trains; it sees this step's values."""
        found = self._memory.get(name)
        wanted = (tensor.shape, tensor.dtype)
        if isinstance(found, torch.Tensor) and (found.shape, found.dtype) == wanted:
            kept = found
        else:
            pin = tensor.device.type == "cuda"
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pin)
            self._memory[name] = kept
        kept.copy_(tensor, non_blocking=tensor.device.type == "cuda")
        self._events[tensor.device] = None
        array: NDArray[Any] = kept.numpy()
        return array

    def tree(self, name: str, value: Any) -> Any:
        """Nested plain values with each tensor copied; other objects stay, for others to refuse."""
        if isinstance(value, torch.Tensor):
            if value.layout is not torch.strided or value.is_quantized:
                return value
            return {"tensor": self.tensor(name, value)}
        if isinstance(value, Mapping):
            return {key: self.tree(f"{name}/{key}", one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            items = [self.tree(f"{name}/{at}", one) for at, one in enumerate(value)]
            return items if isinstance(value, list) else tuple(items)
        return value

    def finish(self) -> Any:
        """What waits for the devices; None where there is nothing to wait for."""
        events = []
        for device in self._events:
            if device.type == "cuda":
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record(torch.cuda.current_stream(device))
                events.append(event)
        if not events:
            return None

        def wait() -> None:
            for event in events:
                event.synchronize()

        return wait


def tensor_of(value: NDArray[Any] | Bits) -> torch.Tensor:
    """A tensor of its own with these values, on this machine."""
    if isinstance(value, Bits):
        dtype, signed = _TYPES[value.kind]
        signed_bits = value.bits.astype(value.bits.dtype).view(
            np.int16 if signed is torch.int16 else np.uint8
        )
        return torch.from_numpy(signed_bits).view(dtype)
    return torch.from_numpy(np.array(value))


def from_tree(value: Any, device: torch.device | str = "cpu") -> Any:
    """The reverse of `Copier.tree`, on a device."""
    if isinstance(value, Mapping):
        if value.keys() == {"tensor"}:
            return tensor_of(value["tensor"]).to(device)
        return {key: from_tree(one, device) for key, one in value.items()}
    if isinstance(value, list | tuple):
        items = [from_tree(one, device) for one in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def copy_state(backend: Any, memory: Memory, *, own_loop: bool) -> TrainingState:
    """Everything that the next step of `backend` (a TorchBackend) depends on."""
    copier, model = Copier(memory), backend.model
    weights: Arrays = {}
    aliases: dict[str, str] = {}
    extra: dict[str, Any] = {}
    places: dict[tuple[object, ...], str] = {}
    state = model.state_dict(keep_vars=True)
    for name in sorted(state):
        value = state[name]
        if not isinstance(value, torch.Tensor):
            extra[name] = copier.tree(f"extra/{name}", value)
            continue
        place = (value.data_ptr(), value.dtype, value.shape, value.stride())
        if value.numel() and place in places:
            aliases[name] = places[place]
            continue
        places[place] = name
        weights[name] = copier.tensor(f"weights/{name}", value)
    rest = {
        "extra": extra,
        "buffers": {  # those that a state dict leaves out
            name: copier.tree(f"buffers/{name}", buffer)
            for name, buffer in model.named_buffers()
            if name not in state
        },
        "fixed": [name for name, p in model.named_parameters() if not p.requires_grad],
        "random": backend.random_state(),
        "guidance": _guidance(backend, copier),
    }
    rest |= _steps(backend, copier)
    lacks, inexact = [], []
    if own_loop and not backend.optimizer.state:
        lacks.append("the optimizer of a loop of your own: pass it to Session(..., optimizer=...)")
    if backend.device != "cpu":
        inexact.append(f"on {backend.device} equal steps may sum up in another order")
    source = backend.train_source
    if source.loader_workers and source.draws_random_numbers and not own_loop:
        inexact.append("in mid-epoch the loader's processes begin their random numbers anew")
    if own_loop:
        inexact.append("a loop of your own begins an epoch anew, in an order of its own")
    return TrainingState(weights, rest, aliases, copier.finish(), lacks, inexact)


def _steps(backend: Any, copier: Copier) -> dict[str, Any]:
    """What makes a step of gradients."""
    frozen = {id(module) for module in backend._frozen._modules}
    schedule = backend._each_batch
    return {
        "optimizer": copier.tree("optimizer", backend.optimizer.state_dict()),
        "scheduler": None
        if backend.scheduler is None
        else copier.tree("scheduler", backend.scheduler.state_dict()),
        "schedule": {
            "known": backend._unit_known,
            "past": None if schedule is None else schedule._steps_past,
        },
        "scaler": None if backend._scaler is None else backend._scaler.state_dict(),
        "held_in_eval": [n for n, module in backend.model.named_modules() if id(module) in frozen],
    }


def _guidance(backend: Any, copier: Copier) -> Any:
    guidance = backend._guidance
    if guidance is None or not guidance.active:
        return None
    return copier.tree("guidance", guidance.kept())


def restore_state(backend: Any, weights: Arrays, rest: Mapping[str, Any]) -> None:
    """Put a state back into `backend` (a TorchBackend); names and shapes are known to fit.

    The random states are put back by `Generators.random_is_put`, and the guidance by
    `guidance.in_force.InForce.restore`.
    """
    model = backend.model
    state = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in weights.items():
            state[name].copy_(tensor_of(value))
        buffers = dict(model.named_buffers())
        for name, value in from_tree(rest["buffers"]).items():
            buffers[name].copy_(value)
    if rest["extra"]:
        model.load_state_dict(from_tree(rest["extra"]), strict=False)
    fixed = set(rest["fixed"])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad == (name in fixed):
            parameter.requires_grad_(name not in fixed)
    backend.optimizer.load_state_dict(from_tree(rest["optimizer"]))
    if backend.optimizer.state:  # else torch warns that a schedule steps first
        backend.optimizer._opt_called = True
    if backend.scheduler is not None and rest["scheduler"] is not None:
        backend.scheduler.load_state_dict(from_tree(rest["scheduler"]))
    if backend._scaler is not None and rest["scaler"] is not None:
        backend._scaler.load_state_dict(dict(rest["scaler"]))
    modules = dict(model.named_modules())
    backend._frozen._modules = [modules[name] for name in rest["held_in_eval"] if name in modules]
    schedule = rest["schedule"]
    backend._unit_known, backend._each_batch = schedule["known"], None
    if schedule["past"] is not None and backend.scheduler is not None:
        past = schedule["past"]
        backend._each_batch = BatchSchedule(backend.scheduler, backend.warnings, past)


class KeepsState(Generators):
    """The part of a `TorchBackend` that checkpoints need."""

    _device: torch.device
    seed: int
    _rank: int

    def begin(self) -> None:
        """Called once, on the training thread, before the first step.

        The seed is that of all global generators which augmentation in a data set may draw from,
        those of torch, numpy and Python. The processes of a loader have torch seed their own. Of
        processes that train together each draws numbers of its own.
        A training that is gone on with draws its next numbers.
        """
        if self.random_goes_on():
            return
        seed = self.seed_here()
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the generator that users draw from
        random.seed(seed)

    def seed_here(self) -> int:
        """Of this process."""
        return (self.seed + 1_000_003 * self._rank) % 2**32

    def draw_states(self) -> dict[str, Any]:
        device = self._device
        return {
            **process_random_state(),
            "torch": torch.get_rng_state().numpy().copy(),
            "device": None
            if device.type == "cpu"
            else getattr(torch, device.type).get_rng_state(*_which(device)).numpy().copy(),
        }

    def put_draw_states(self, kept: Mapping[str, Any]) -> None:
        put_process_random_state(kept)
        torch.set_rng_state(torch.from_numpy(np.array(kept["torch"], np.uint8)))
        device = self._device
        if kept.get("device") is not None and device.type != "cpu":
            state = torch.from_numpy(np.array(kept["device"], np.uint8))
            getattr(torch, device.type).set_rng_state(state, *_which(device))

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        return copy_state(self, memory, own_loop=own_loop)

    def put_back(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        restore_state(self, weights, rest)

    def own_guidance(self, kept: Any) -> Any:
        return kept and from_tree(kept, self._device)


def _which(device: torch.device) -> tuple[torch.device, ...]:
    return (device,) if device.type == "cuda" else ()
