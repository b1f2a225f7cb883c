"""A training in one process: there is nobody to agree with."""

from __future__ import annotations

from coflect_widget.distributed.group import Fault


class Alone:
    """A `Group` of one."""

    rank = 0
    size = 1

    def agree(self, wish: bool) -> bool:  # noqa: FBT001 - the one argument
        """What is wished."""
        return wish

    def tell(self, message: bytes) -> None:
        """Nobody hears it."""

    def hear(self) -> bytes:
        """There is nobody to hear."""
        raise RuntimeError("a process alone has nobody to hear")

    def send(self, message: bytes, *, may_drop: bool = False) -> bool:
        """There is nobody to send to."""
        raise RuntimeError("a process alone has nobody to send to")

    def received(self) -> list[tuple[int, bytes]]:
        """Nothing."""
        return []

    def fail(self, fault: Fault, patience: float) -> None:
        """Nobody needs to know."""

    def fault(self) -> Fault | None:
        """There is no other process that could fail."""
        return None

    def know(self) -> None:
        """There is no other process."""
