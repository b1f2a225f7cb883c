"""Turns rows of data into inputs and a network's outputs into words, and says how good they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import numbers
from coflect_widget.projects.quickstart.goals import GOALS, Goal, values_of
from coflect_widget.projects.quickstart.inputs import KINDS, Inputs
from coflect_widget.projects.quickstart.learners import Learner, learner_of
from coflect_widget.projects.quickstart.marks import MARKS
from coflect_widget.projects.quickstart.reading import read
from coflect_widget.projects.quickstart.sheet import Sheet
from coflect_widget.projects.quickstart.worth import worth_of_columns
from coflect_widget.records.checkpoint_files import find_checkpoints, read_checkpoint
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import read_text
from coflect_widget.records.run import Run

FORMAT = "coflect-pipeline-1"
FOLDER, FILE = "pipeline", "pipeline.json"
_MOST_TEXT = 2**26


class Pipeline:
    """Fitted on a training part.

    Attributes
    ----------
    inputs : Inputs
    goal : Goal
    target : str
        Name of the column that is predicted; "" where there is none.
    network : mapping
        Plain values of which the model is made.
    model : torch.nn.Module or Forest
    learner : Learner
        Who makes, keeps and asks it.
    """

    def __init__(
        self,
        inputs: Inputs,
        goal: Goal,
        target: str,
        network: Mapping[str, Any],
        model: Any,
        learner: Learner,
    ) -> None:
        self.inputs, self.goal, self.target = inputs, goal, target
        self.network, self.model, self.learner = dict(network), model, learner

    def __repr__(self) -> str:
        of = f" of {self.target!r}" if self.target else ""
        return f"<Pipeline: {self.inputs.name}, {self.goal.name}{of}>"

    def preprocess(self, rows: Any) -> NDArray[Any]:
        """What the network takes (N, ...).

        Parameters
        ----------
        rows
            Rows as `quickstart` takes data, without the target; or a list of mappings, one a row.

        Raises
        ------
        ValueError
            If a column is missing, or a cell is none that it can be.
        """
        sheet = self.inputs.asked(self._read(rows))
        missing = [name for name in self.inputs.sources if name not in sheet.cells]
        if missing:
            raise ValueError(
                f"the rows have no column {missing[0]!r}; needed are "
                + ", ".join(self.inputs.sources)
            )
        return self.inputs.transform(sheet)

    def predict(self, rows: Any) -> list[dict[str, Any]]:
        """A class with probabilities, or a value, for each row; see `preprocess`."""
        return self.goal.readable(self.outputs(self.preprocess(rows)))

    def evaluate(self, rows: Any) -> dict[str, float]:
        """How good the network is on rows that have a target; the first figure is to compare by."""
        sheet = self.inputs.judged(self._read(rows))
        if self.goal.needs_target and self.target not in sheet.cells:
            raise ValueError(f"the rows have no column {self.target!r}, the target")
        outputs = self.outputs(self.preprocess(sheet))
        wanted = values_of(self.goal, sheet, self.target, self.inputs.transform)
        return self.goal.figures(outputs, wanted)

    def worth_of_columns(self, rows: Any, *, times: int = 5, seed: int = 0) -> dict[str, float]:
        """What each column is worth: how far the first figure falls where its cells are exchanged.

        Permutation importance (Breiman 2001). Columns that say the same stand in for each other,
        so that each may seem worth little.

        Parameters
        ----------
        rows
            As of `evaluate`; such as were not trained on.
        times : int
            How often cells are exchanged among the rows; the mean is given.
        seed : int

        Returns
        -------
        dict of str to float
            In the unit of the first figure of `evaluate`, the worthiest column first.

        Raises
        ------
        ValueError
            If the data are no table, or have no target.
        """

        def figure(sheet: Sheet) -> float:
            return next(iter(self.evaluate(sheet).values()))

        sheet = self.inputs.judged(self._read(rows))
        return worth_of_columns(self.inputs, figure, sheet, times, seed)

    def _read(self, rows: Any) -> Sheet:
        """Rows, their numbers with commas read as those of the training part were."""
        sheet = read(rows)
        cells = dict(sheet.cells)
        for name, marks in self.inputs.marks.items():
            if name in cells and cells[name].dtype.kind == "O":
                cells[name] = numbers(cells[name], marks)
        return sheet.having(cells)

    def outputs(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What the network gives (N, outputs) for inputs that `preprocess` made."""
        return self.goal.beside(self.learner.outputs(self.model, x), x)

    def answering(self) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        """What `outputs` says, of a model that is not trained again: with less around it."""
        answer = self.learner.answering(self.model)
        return lambda x: self.goal.beside(answer(x), x)

    def having(self, weights: Mapping[str, NDArray[Any]]) -> Pipeline:
        """The same with a model of its own that has these weights.

        Raises
        ------
        ValueError
            If they are not this model's.
        """
        model = self.learner.having(self.network, weights)
        return Pipeline(self.inputs, self.goal, self.target, self.network, model, self.learner)

    # --- with the run --------------------------------------------------------------------------

    def save(self, run: Path) -> Path:
        """Write it to a run folder, as JSON; weights lie in the run's checkpoints."""
        state = {
            "format": FORMAT,
            "kind": self.inputs.name,
            "task": self.goal.name,
            "target": self.target,
            "inputs": self.inputs.state(),
            "marks": dict(self.inputs.marks),
            "goal": self.goal.state(),
            "network": self.network,
        }
        (run / FOLDER).mkdir(exist_ok=True)
        file = run / FOLDER / FILE
        with replacing(file) as part:
            part.write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
        return file

    @classmethod
    def of(cls, run: str | Path, model: Callable[..., Any] | None = None) -> Pipeline:
        """The pipeline of a run folder, its network with the best weights, or else the last.

        Parameters
        ----------
        run : path
        model : callable, optional
            What made the network, where `quickstart` was given one.

        Raises
        ------
        ValueError
            If the run has no pipeline, or no whole checkpoint, or they do not fit together.
        """
        folder = Path(run)
        inputs, goal, target, network = parts_of(folder, f"{FOLDER}/{FILE}")
        learner = learner_of(network, model)
        return cls(inputs, goal, target, network, None, learner).having(best_weights(folder))


def parts_of(folder: Path, name: str) -> tuple[Inputs, Goal, str, dict[str, Any]]:
    """Inputs, goal, target and network of what `Pipeline.save` wrote.

    Parameters
    ----------
    folder : Path
    name : str
        Of the file, from there.

    Raises
    ------
    ValueError
        If there is none, or its parts do not fit together.
    """
    try:
        state = json.loads(read_text(folder, name, _MOST_TEXT))
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r} is not known")
        inputs = KINDS[state["kind"]].from_state(state["inputs"])
        # runs of before have none
        inputs.marks = {str(name): str(m) for name, m in state.get("marks", {}).items()}
        if not set(inputs.marks.values()) <= set(MARKS):
            raise ValueError("marks of numbers that are none")
        goal = GOALS[state["task"]].from_state(state["goal"])
        target, network = str(state["target"]), dict(state["network"])
        if network.get("outputs") != goal.outputs:
            raise ValueError("the network has other outputs than the task")
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder} has no pipeline of quickstart: {error}") from None
    return inputs, goal, target, network


def best_weights(run: Path) -> dict[str, Any]:
    """Weights by name, of the checkpoint with the best validation, the last of those as good.

    On a few rows many epochs are as good as each other, and the first of them has learned least.

    Raises
    ------
    ValueError
        If there is no whole checkpoint.
    """
    found = find_checkpoints(run)
    best, last = found.best, found.last
    if last is None:
        raise ValueError(f"{run} has no checkpoint yet; train first")
    chosen = last
    if best is not None and best.score is not None:
        value = _last_validation(run, best.score.metric)
        if not np.isfinite(value) or best.score.beats(replace(best.score, value=value)):
            chosen = best
    # A copy: what is read from a file cannot be written to.
    return {name: np.array(w) for name, w in read_checkpoint(chosen).weights.items()}


def _last_validation(run: Path, metric: str) -> float:
    """The newest value of a metric of the validation part; NaN where there is none."""
    told = Run(run).scalars()
    values = told[metric][told["split"] == "val"] if metric in told else np.empty(0)
    there = values[np.isfinite(values)]
    return float(there[-1]) if len(there) else float("nan")
