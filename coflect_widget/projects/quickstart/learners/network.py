"""Networks of torch, proposed or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task

_EPOCHS = (4, 150)
#: Networks that a person gives as `model` by name, and the goals that each can learn.
NAMED = {"lstm": ("forecast",)}


class Network:
    """See `Learner`.

    Parameters
    ----------
    own : callable, optional
        Makes a user's own network; None where one is proposed.
    named : str
        One of `NAMED`, in place of what is proposed; "" where nobody has named one.
    """

    form = "torch"
    goes_on = maps = True

    def __init__(self, own: Callable[..., Any] | None = None, named: str = "") -> None:
        self.own, self.named = own, named

    def refuses(self, inputs: type[Inputs], goal: type[Goal]) -> str:
        del inputs
        if not goal.needs_target:
            return f"a network has no target to learn {goal.noun} from: leave model= out"
        if self.named and goal.name not in NAMED[self.named]:
            return (
                f"model={self.named!r} learns task={NAMED[self.named][0]!r}; this is {goal.name}: "
                "leave model= out, or give a network"
            )
        return ""

    def plan(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        from coflect_widget.projects.quickstart.networks.made import planned

        return planned({**facts, "net": self.named} if self.named else facts, self.own)

    def make(
        self, plan: Mapping[str, Any], seed: int, x: NDArray[Any], evidence: NDArray[Any]
    ) -> Any:
        from coflect_widget.projects.quickstart.networks.made import make

        return make(plan, seed, x, evidence, self.own)

    def having(self, plan: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
        from coflect_widget.projects.quickstart.networks.made import make, put_weights

        model = make(plan, own=self.own)
        put_weights(model, weights)
        return model

    def outputs(self, model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
        from coflect_widget.projects.quickstart.networks.made import outputs_of

        return outputs_of(model, x)

    def answering(self, model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        from coflect_widget.projects.quickstart.networks.made import answering

        return answering(model)

    def epochs(self, steps: int, rows: int, batch_size: int) -> int:
        return int(np.clip(round(steps / -(-rows // batch_size)), *_EPOCHS))

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        from coflect_widget.records.reopened import reopen

        found = reopen(
            run, model, data, "last", inputs=given.get("inputs"), tokenizer=given.get("tokenizer")
        )
        return found.engine, found.task, found.way.structure

    def arguments(self, goal: Goal) -> dict[str, Any]:
        from coflect_widget.projects.quickstart.networks.made import optimizer

        return {"optimizer": optimizer(), **goal.arguments()}
