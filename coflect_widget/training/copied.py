"""What is copied at a step boundary for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from coflect_widget.records.checkpoint_files import Contents


class Copied(Protocol):
    """What was copied at one step boundary."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def epoch(self) -> int:
        """Epochs completed."""

    def contents(self) -> tuple[Contents, Mapping[str, str], Mapping[str, Any]]:
        """Contents, aliases of weights, and further fields of the manifest; waits for them.

        Called on the thread that writes, perhaps more than once.
        """
