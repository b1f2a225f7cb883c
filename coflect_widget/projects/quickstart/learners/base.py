"""What a learner says: for which data it is, how its model is made, kept and asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task


class Learner(Protocol):
    """Learns a goal from inputs."""

    @property
    def form(self) -> str:
        """What computes, in a word."""

    @property
    def goes_on(self) -> bool:
        """Whether a model that was trained may be trained on with further rows."""

    @property
    def maps(self) -> bool:
        """Whether there are maps of single samples."""

    def refuses(self, inputs: type[Inputs], goal: type[Goal]) -> str:
        """Why it cannot learn such a goal from such inputs; "" where it can."""

    def plan(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Plain values of which its model is made, from `Inputs.network`.

        Raises
        ------
        TypeError, ValueError
            If there is nothing to make one with.
        """

    def make(
        self, plan: Mapping[str, Any], seed: int, x: NDArray[Any], evidence: NDArray[Any]
    ) -> Any:
        """A model that is ready to train on inputs (N, ...) and targets (N, outputs)."""

    def having(self, plan: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
        """A model of the plan with these weights.

        Raises
        ------
        ValueError
            If they do not fit together.
        """

    def outputs(self, model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
        """What a model says of inputs (N, ...): (N, outputs)."""

    def answering(self, model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        """What `outputs` says, of a model that is not trained again: with less around it."""

    def epochs(self, steps: int, rows: int, batch_size: int) -> int:
        """How many usually are enough."""

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        """Backend, task and structure of a model for its maps, of rows that tell shapes alone.

        Parameters
        ----------
        model
            Of this learner, with its weights.
        run : Run
            Where it was trained.
        data : pair of ndarray
            Inputs and targets.
        given : mapping
            What a `Session` is told of the inputs.

        Raises
        ------
        ValueError
            If it has none; see `maps`.
        """

    def arguments(self, goal: Goal) -> dict[str, Any]:
        """What a `Session` is told of it."""
