"""Processes of torch.distributed as a `Group`: who they are, and how they reach each other.

What must happen at one step of all goes through a gloo group of its own, beside whatever the model
is trained with. What may come when it comes goes through the store with which the processes found
each other, so that no collective waits for it. All of it is JSON and numbers: nothing is pickled.
"""

from __future__ import annotations

import math
import os
import threading
import time
from datetime import timedelta
from functools import cached_property
from itertools import count
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from coflect_widget.backends.base import Batch, NonFiniteLossError
from coflect_widget.backends.torch.modes import Buffers
from coflect_widget.distributed.alone import Alone
from coflect_widget.distributed.group import Fault, Group

#: Messages of one process that may wait for rank 0; the next that may be dropped is.
MOST_WAITING = 64
#: For one collective. While training holds, all meet once a second.
PATIENCE = timedelta(minutes=30)
_groups = count()


def follows() -> bool:
    """Whether this process is of a training that another one leads; known before they have met."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() > 0
    # torchrun sets the first; Lightning sets the others in the processes that it starts
    told = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "NODE_RANK") if name in os.environ]
    return any(each.isdigit() and int(each) > 0 for each in told)


def several() -> bool:
    """Whether this process has met others, with which it trains."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def find_group() -> Group:
    """The processes of this training; all of them call it at the same place of the program."""
    return TorchGroup() if several() else Alone()


class TorchGroup:
    """A `Group` of all processes of torch.distributed."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._word = torch.zeros(1, dtype=torch.int64)
        self._asked: Any = None  # the collective whose answer the next step reads
        # The one by which the processes have met; torch has no public name for it.
        known: Any = dist.distributed_c10d._get_default_store()
        # A connection of its own, where torch has that: others may wait on the first.
        known = known.clone() if hasattr(known, "clone") else known
        self._store: Any = dist.distributed_c10d.PrefixStore(f"coflect/{next(_groups)}", known)
        # Here signals are answered while others are waited for, and in a collective they are not.
        self._store.set(f"here/{self.rank}", "")
        while not self._store.check([f"here/{rank}" for rank in range(self.size)]):
            time.sleep(0.02)
        self._side: Any = dist.new_group(backend="gloo", timeout=PATIENCE)
        self._lock = threading.Lock()
        self._sent = self._known_taken = 0
        self._taken = dict.fromkeys(range(1, self.size), 0)

    # --- all together, at a step boundary ----------------------------------------------------

    def agree(self, wish: bool) -> bool:  # noqa: FBT001 - as `Group` has it
        """Whether any process wished it when all called this the last time; at first False."""
        answer = False
        if self._asked is not None:
            self._asked.wait()
            answer = bool(self._word.item())
        self._word.fill_(wish)
        self._asked = dist.all_reduce(
            self._word, dist.ReduceOp.MAX, group=self._side, async_op=True
        )
        return answer

    def tell(self, message: bytes) -> None:
        """Give all other processes a message; of rank 0, while the others `hear`."""
        content = torch.frombuffer(bytearray(message), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(message)]), src=0, group=self._side)
        dist.broadcast(content, src=0, group=self._side)

    def hear(self) -> bytes:
        """The message that rank 0 tells; of any other rank."""
        length = torch.zeros(1, dtype=torch.int64)
        dist.broadcast(length, src=0, group=self._side)
        content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, src=0, group=self._side)
        return content.numpy().tobytes()

    # --- when it comes; any thread -----------------------------------------------------------

    def send(self, message: bytes, *, may_drop: bool = False) -> bool:
        """Leave a message for rank 0; False where many wait already and it was dropped."""
        with self._lock:
            if may_drop and self._sent - self._known_taken >= MOST_WAITING:
                key = f"taken/{self.rank}"
                if self._store.check([key]):
                    self._known_taken = int(self._store.get(key))
                if self._sent - self._known_taken >= MOST_WAITING:
                    return False
            self._sent += 1
            self._store.set(f"up/{self.rank}/{self._sent}", message)
            return True

    def received(self) -> list[tuple[int, bytes]]:
        """Rank and message, of all that were sent since the call before; of rank 0."""
        found: list[tuple[int, bytes]] = []
        with self._lock:
            for rank, taken in self._taken.items():
                number = taken
                while self._store.check([key := f"up/{rank}/{number + 1}"]):
                    found.append((rank, self._store.get(key)))
                    self._store.delete_key(key)
                    number += 1
                if number != taken:
                    self._taken[rank] = number
                    self._store.set(f"taken/{rank}", str(number))
        return found

    def fail(self, fault: Fault, patience: float) -> None:
        """Have the others know that this process fails; waits until they do, or `patience` s."""
        with self._lock:
            if not self._store.check(["failed"]):  # of several the first is the cause
                self._store.set("failed", f"{fault.rank}\n{fault.text}\n{fault.trace}")
            self._store.set(f"known/{self.rank}", "")
        others = [f"known/{rank}" for rank in range(self.size)]
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with self._lock:
                if self._store.check(others):
                    return
            time.sleep(0.05)

    def fault(self) -> Fault | None:
        """What another process said to `fail` of, if any did."""
        with self._lock:
            if not self._store.check(["failed"]):
                return None
            said = bytes(self._store.get("failed")).decode()
        rank, text, trace = said.split("\n", 2)
        return None if int(rank) == self.rank else Fault(int(rank), text, trace)

    def know(self) -> None:
        """The fault of another process is on record here: it need not wait for this one."""
        with self._lock:
            self._store.set(f"known/{self.rank}", "")


class Ranked:
    """The part of `TorchBackend` for a model whose steps several processes take together.

    Attributes
    ----------
    model : torch.nn.Module
        Without the wrapper.
    """

    model: nn.Module
    _wrapper: nn.Module | None  # averages the gradients of the processes
    _buffers: Buffers
    _rank: int
    _ranks: int

    @cached_property
    def follows(self) -> bool:  # noqa: D102 - as `Backend` has it
        return follows()

    @property
    def several(self) -> bool:  # noqa: D102 - as `Backend` has it
        return several()

    def group(self) -> Group:  # noqa: D102 - as `Backend` has it
        self._check_whole()
        return find_group()

    def _check_whole(self) -> None:
        """Raise ValueError where the weights were spread over processes under the session."""
        if is_spread(self.model):
            raise ValueError(
                "the model's weights were spread over processes (FSDP, DTensor) after the session "
                "was made; make the Session after that, from the model as it is then"
            )

    def _take_off(self, model: nn.Module) -> nn.Module:
        """The model alone; who wraps one has met the other processes already."""
        inner, self._wrapper = unwrapped(model)
        if self._wrapper is not None:
            self._rank, self._ranks = dist.get_rank(), dist.get_world_size()
        return inner

    def share(self, group: Group) -> None:  # noqa: D102 - as `Backend` has it
        if self._wrapper is None:
            raise ValueError(
                f"{group.size} processes train, and the model is not wrapped for that: pass "
                "Session(torch.nn.parallel.DistributedDataParallel(model), ...), or write the "
                "loop yourself, with session.loop()"
            )

    def _check_all(self, loss: float | None, batch: Batch, logits: torch.Tensor) -> None:
        """Raise NonFiniteLossError in every process at once, before the step of the optimizer.

        The gradients are averaged already, and so the same in all: one that is NaN or infinite
        by the batch of one process is so everywhere.
        """
        given = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        if bool(torch.nn.utils.get_total_norm(given).isfinite()):
            return
        if loss is not None and math.isfinite(loss):
            text = "the gradient is not finite, by the batch of another process"
            raise NonFiniteLossError(text, elsewhere=True)
        text = self._buffers.mended(self.model, math.nan if loss is None else loss)
        raise NonFiniteLossError(text, batch, logits.detach())


def is_spread(model: nn.Module) -> bool:
    """Whether each process has a part of the weights only."""
    names = {kind.__name__ for module in model.modules() for kind in type(module).__mro__}
    parts = {type(weight).__name__ for weight in model.parameters()}
    kinds = {"FullyShardedDataParallel", "FSDPModule"}
    return bool(names & kinds or parts & {"DTensor", "FlatParameter"})


def unwrapped(model: nn.Module) -> tuple[nn.Module, nn.Module | None]:
    """The model alone, and the wrapper that averages its gradients over processes, if any.

    Raises
    ------
    ValueError
        Where each process has a part of the weights only.
    """
    if is_spread(model):
        raise ValueError(
            "model has its weights spread over processes (FSDP, DTensor), and no process has all "
            "of them; only classes and task='own_loss' are followed there. Else a session needs "
            "torch.nn.parallel.DistributedDataParallel(model), or the model alone in one process"
        )
    if isinstance(model, DistributedDataParallel):
        return model.module, model
    return model, None
