"""What learners have in common whose model is plain arrays, called with rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OfArrays:
    """Answers of `Learner` for models that take rows (N, columns) and give (N, outputs).

    With further rows such a model is made anew.
    """

    goes_on = False
    #: epochs that usually are enough
    usual: int

    def named(self) -> str:
        """The name that a person may give as `model`."""
        raise NotImplementedError

    def empty(self, columns: int, outputs: int, seed: int = 0) -> Any:
        """A model that has learned nothing."""
        raise NotImplementedError

    def plan(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"net": self.named(), "columns": facts["columns"], "outputs": facts["outputs"]}

    def make(
        self, plan: Mapping[str, Any], seed: int, x: NDArray[Any], evidence: NDArray[Any]
    ) -> Any:
        del x, evidence
        return self.empty(plan["columns"], plan["outputs"], seed)

    def having(self, plan: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
        model = self.empty(int(plan["columns"]), int(plan["outputs"]))
        model.put_weights(weights)
        return model

    def outputs(self, model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = model(x)
        return found

    def answering(self, model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        return partial(self.outputs, model)

    def epochs(self, steps: int, rows: int, batch_size: int) -> int:
        del steps, rows, batch_size
        return self.usual
