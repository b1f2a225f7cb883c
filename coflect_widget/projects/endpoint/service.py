"""A run's pipeline behind the routes: rows of requests in, what the network says out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget.projects.quickstart.pipeline import FOLDER, Pipeline
from coflect_widget.projects.quickstart.requested import FieldError
from coflect_widget.records.inside import is_there, read_text


class Service:
    """Without a pipeline it says why; it never raises for that.

    Parameters
    ----------
    run : path
        A run that `quickstart` began, with a checkpoint.
    model : callable, optional
        What made its network, where `quickstart` was given one.

    Attributes
    ----------
    pipeline : Pipeline or None
    why : str
        Why there is none.
    run : str
        Name of the run.
    """

    def __init__(self, run: str | Path, model: Callable[..., Any] | None = None) -> None:
        folder = Path(run)
        self.run, self.why = folder.resolve().name, ""
        self.pipeline: Pipeline | None = None
        self._test: dict[str, Any] | None = None
        try:
            self.pipeline = Pipeline.of(folder, model)
            self.pipeline.model.eval()
            if is_there(folder, f"{FOLDER}/test.json"):
                self._test = json.loads(read_text(folder, f"{FOLDER}/test.json"))
        except (ValueError, OSError) as error:
            self.why = str(error)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], place: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """What the network says of each row.

        Raises
        ------
        FieldError
            If a cell cannot be used; it says which, below `place`.
        """
        assert self.pipeline is not None  # noqa: S101 - the routes ask before
        inputs = self.pipeline.inputs
        found = []
        for number, row in enumerate(rows):
            at = place if place[-1] == "row" else (*place, str(number))
            try:
                found.append(inputs.transform(inputs.asked(inputs.requested(row))))
            except FieldError as error:
                raise error.below(at) from None
            except ValueError as error:
                raise FieldError("", str(error)).below(at) from None
        outputs = self.pipeline.outputs(np.concatenate(found))
        for number in np.flatnonzero(~np.isfinite(outputs).all(1))[:1]:
            at = place if place[-1] == "row" else (*place, str(number))
            raise FieldError("", "numbers are too large for the network").below(at)
        return self.pipeline.goal.readable(outputs)

    def info(self) -> dict[str, Any]:
        """What is served."""
        assert self.pipeline is not None  # noqa: S101 - the routes ask before
        pipeline = self.pipeline
        return {
            "run": self.run,
            "kind": pipeline.inputs.name,
            "task": pipeline.goal.name,
            "target": pipeline.target,
            "columns": pipeline.inputs.wanted(),
            "classes": pipeline.goal.state().get("classes"),
            "test": self._test,
        }
