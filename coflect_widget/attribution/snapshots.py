"""Weights of one training step in shared memory: two slots, written by the trainer on demand.

The trainer copies at a step boundary and never waits. A slot that a job reads is leased and
not written to; its generation number (odd while it is written, a "seqlock") lets a reader that
outlived its lease notice that the weights changed under it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.errors import StaleSnapshotError
from coflect_widget.backends.base import WeightSpec
from coflect_widget.process.closing import Closing
from coflect_widget.workers.shared_memory import BlockAddress, SharedBlock, attach

#: Fills the arrays of a slot, or begins to and returns what ends it.
Copy = Callable[[Sequence[NDArray[Any]]], Callable[[], None] | None]

SLOTS = 2
_ALIGNMENT = 64  # bytes: a cache line, and the widest vector load
_HEADER_BYTES = 4096
_GENERATION, _STEP = 0, 1


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """Picklable address of one snapshot."""

    address: BlockAddress
    specs: tuple[WeightSpec, ...]
    slot: int
    generation: int
    step: int


class Lease(Closing):
    """The right to read one snapshot; the slot is not written to until it is closed.

    Attributes
    ----------
    ref : SnapshotRef
    """

    def __init__(self, owner: Snapshots, ref: SnapshotRef) -> None:
        self.ref = ref
        self._owner: Snapshots | None = owner

    @property
    def step(self) -> int:
        """Training step of the weights."""
        return self.ref.step

    def copies(self) -> dict[str, NDArray[Any]]:
        """The weights by name, copied: for a worker that cannot open this machine's memory."""
        if self._owner is None:
            raise ValueError("the lease was closed already")
        return {name: array.copy() for name, array in self._owner.views(self.ref.slot).items()}

    def close(self) -> None:
        """Let the trainer write to the slot again; harmless the second time."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.release(self.ref.slot)


class Snapshots:
    """Two preallocated slots for the weights of a model.

    Parameters
    ----------
    specs : sequence of WeightSpec
        The tensors of a snapshot, in the order in which `write`'s callback fills them.

    Attributes
    ----------
    wanted : bool
        A snapshot was asked for and not taken yet; the trainer tests it after each step.
    kept : int or None
        The snapshot of this step is overwritten only where no other slot is free.
    written : int
        Snapshots taken so far.
    """

    def __init__(self, specs: Sequence[WeightSpec]) -> None:
        self.specs = tuple(specs)
        self.wanted = False
        self.kept: int | None = None
        self.written = 0
        self._block = SharedBlock(_block_size(self.specs))
        self._header = _header(self._block.buffer)
        self._header[:, _STEP] = -1
        # The same list for each write to a slot: a backend may keep what it made of it.
        self._arrays = [_slot_arrays(self._block.buffer, self.specs, s) for s in range(SLOTS)]
        self._leases = [0] * SLOTS
        self._newest: int | None = None
        self._taken_at = 0.0
        self._writing = False
        self._changed = threading.Condition(threading.Lock())

    @property
    def nbytes(self) -> int:
        """Bytes of one snapshot."""
        return sum(array.nbytes for array in self._arrays[0])

    @property
    def fallback(self) -> Path | None:
        """The file that holds the weights where memory had no room for them; usually None."""
        return self._block.fallback

    @property
    def newest_step(self) -> int | None:
        """Step of the newest snapshot, None before the first."""
        with self._changed:
            return None if self._newest is None else int(self._header[self._newest, _STEP])

    @property
    def age(self) -> float:
        """Seconds since the newest snapshot was taken; infinite before the first."""
        with self._changed:
            return float("inf") if self._newest is None else time.monotonic() - self._taken_at

    def write(self, step: int, copy: Copy) -> bool:
        """Take a snapshot now. Called by the trainer; never waits.

        Parameters
        ----------
        step : int
            Training step of the weights.
        copy : callable (sequence of ndarray) -> None or callable
            Copies the weights into the arrays, which have the shapes and dtypes of `specs`.
            Where it only begins to, because a device copies, it returns what waits for the end:
            that is called on another thread, and the snapshot is there when it returns.

        Returns
        -------
        bool
            False if no slot is free; nothing was copied then, and `wanted` stays set.
        """
        # A reader holds the lock for microseconds; not even those are waited for.
        if not self._changed.acquire(blocking=False):
            return False
        try:
            slot = self._free_slot()
            if slot is None or self._writing:
                return False
            self._writing = True
            previous = self._newest
            if slot == previous:
                self._newest = None
        finally:
            self._changed.release()
        self._header[slot][_GENERATION] += 1  # odd: being written
        finish = None
        complete = False
        try:
            finish = copy(self._arrays[slot])
            complete = finish is None
        finally:
            if finish is None:
                self._written(slot, step, complete=complete)
        if finish is not None:
            threading.Thread(
                target=self._finish, args=(finish, slot, step), daemon=True, name="coflect-snapshot"
            ).start()
        return True

    def _finish(self, finish: Callable[[], None], slot: int, step: int) -> None:
        complete = False
        try:
            finish()
            complete = True
        finally:
            self._written(slot, step, complete=complete)

    def _written(self, slot: int, step: int, *, complete: bool) -> None:
        header = self._header[slot]
        header[_STEP] = step if complete else -1  # half of it is no snapshot of any step
        header[_GENERATION] += 1
        with self._changed:
            self._writing = False
            if complete:
                self._newest, self._taken_at = slot, time.monotonic()
                self.written += 1
                self.wanted = False
            self._changed.notify_all()

    def _free_slot(self) -> int | None:
        free = [slot for slot in range(SLOTS) if not self._leases[slot]]
        # The older one first, so that the newest stays readable meanwhile.
        steps = self._header[:, _STEP]
        return min(
            free, key=lambda slot: (steps[slot] == self.kept, slot == self._newest), default=None
        )

    def wait_newer(self, than: int, timeout: float) -> bool:
        """Wait until `written` exceeds `than`; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.written > than, timeout)

    def lease(self, step: int | None = None) -> Lease | None:
        """The newest snapshot, or that of `step`, kept until the lease is closed; None if none."""
        with self._changed:
            slot = self._newest if step is None else self._slot_of(step)
            if slot is None:
                return None
            self._leases[slot] += 1
            generation, step = (int(n) for n in self._header[slot])
        ref = SnapshotRef(self._block.address, self.specs, slot, generation, step)
        return Lease(self, ref)

    def _slot_of(self, step: int) -> int | None:
        slots = [n for n in range(SLOTS) if self._header[n, _GENERATION] % 2 == 0]
        return next((n for n in slots if self._header[n, _STEP] == step), None)

    def release(self, slot: int) -> None:
        """End one lease of `slot`; `Lease.close` does it."""
        with self._changed:
            self._leases[slot] -= 1

    def views(self, slot: int) -> dict[str, NDArray[Any]]:
        """Arrays of one slot by name, not copied."""
        return _by_name(self.specs, self._arrays[slot])

    def close(self) -> None:
        """Give the memory back."""
        self._arrays = []
        self._header = np.zeros((SLOTS, 2), np.int64)
        self._newest = None
        self._leases = [1] * SLOTS  # a late write finds no slot
        self._block.close()


class SnapshotReader:
    """A worker's view of the two slots, read-only.

    Raises
    ------
    OSError
        If the block of `ref` cannot be opened from this process.
    """

    def __init__(self, ref: SnapshotRef) -> None:
        self.address = ref.address
        buffer = attach(ref.address)
        self._header = _header(buffer)
        self._views = [
            _by_name(ref.specs, _slot_arrays(buffer, ref.specs, slot)) for slot in range(SLOTS)
        ]

    def read(self, ref: SnapshotRef, use: Callable[[Mapping[str, NDArray[Any]]], None]) -> None:
        """Let `use` copy the weights of `ref` out of the shared memory.

        Raises
        ------
        StaleSnapshotError
            If they were overwritten before or while `use` ran: discard what it copied.
        """
        self._check(ref)
        use(self._views[ref.slot])
        self._check(ref)

    def _check(self, ref: SnapshotRef) -> None:
        found = int(self._header[ref.slot, _GENERATION])
        if found != ref.generation:
            raise StaleSnapshotError(
                f"the snapshot of step {ref.step} was overwritten (generation {found} in place "
                f"of {ref.generation}); ask again for the newest one"
            )


def _align(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _slot_size(specs: Sequence[WeightSpec]) -> int:
    return sum(_align(_nbytes(spec)) for spec in specs)


def _nbytes(spec: WeightSpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize


def _block_size(specs: Sequence[WeightSpec]) -> int:
    return _HEADER_BYTES + SLOTS * _slot_size(specs)


def _header(buffer: memoryview) -> NDArray[np.int64]:
    """(SLOTS, 2) int64: generation and step of each slot."""
    return np.frombuffer(buffer, np.int64, count=SLOTS * 2).reshape(SLOTS, 2)


def _slot_arrays(buffer: memoryview, specs: Sequence[WeightSpec], slot: int) -> list[NDArray[Any]]:
    position = _HEADER_BYTES + slot * _slot_size(specs)
    arrays: list[NDArray[Any]] = []
    for spec in specs:
        arrays.append(np.ndarray(spec.shape, spec.dtype, buffer=buffer, offset=position))
        position += _align(_nbytes(spec))
    return arrays


def _by_name(specs: Sequence[WeightSpec], arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
