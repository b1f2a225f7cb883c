"""A checkpoint of a run measured on data.

::

    evaluations/eval_001/
        metrics.json      figures with intervals, by class and by slice, the worst group
        confusion.svg     and .png, and whatever else the task has to draw
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.records.drawing import draw
from coflect_widget.records.evaluations.bootstrap import COVERAGE, intervals, of_mean
from coflect_widget.records.evaluations.own import Evaluator, named_evaluators, with_own
from coflect_widget.records.folder import fingerprint
from coflect_widget.records.inside import read_text
from coflect_widget.records.numbered import numbered, those_in
from coflect_widget.records.reopened import Reopened, reopen
from coflect_widget.records.run import Run
from coflect_widget.records.table import html_table
from coflect_widget.tasks.measures import Chart, Matrix, Measures, measures_of

FORMAT = "coflect-evaluation-1"
ROOM, PREFIX, METRICS = "evaluations", "eval", "metrics.json"
#: A smaller group is not called the worst: its figure says little.
LEAST = 10
_SLICES = 50  # different values of one
#: Charts whose numbers are kept for a report of several runs.
_KEPT = ("confusion", "calibration")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model came to on data; a cell shows its figures.

    Attributes
    ----------
    path : Path
        Its folder in the run.
    facts : dict
        As ``metrics.json`` has them.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def metrics(self) -> dict[str, float | None]:
        """The figures alone, by name; None where one is not defined."""
        return {name: one["value"] for name, one in self.facts["metrics"].items()}

    @property
    def worst(self) -> dict[str, Any] | None:
        """The group with the worst quality: ``group``, ``of``, ``n``, ``value``, ``low``, ``high``.

        None where there is no group of 10 samples.
        """
        found: dict[str, Any] | None = self.facts["worst"]
        return found

    def __str__(self) -> str:
        lines = [f"{self.path} ({self.facts['n']} samples, {self.facts['checkpoint']})"]
        lines += [f"  {name:18} {_shown(one)}" for name, one in self.facts["metrics"].items()]
        if self.worst is not None:
            worst = self.worst
            lines.append(
                f"  worst group: {worst['of']} {worst['group']} (n = {worst['n']}), "
                f"{self.facts['each']} {_shown(worst)}"
            )
        return "\n".join([*lines, *self.facts["notes"]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = self.facts
        figures = [[name, _shown(one)] for name, one in facts["metrics"].items()]
        groups = [
            [of, name, one["n"], _shown(one)]
            for of, members in facts["groups"].items()
            for name, one in members.items()
        ]
        text = html_table(["", f"{COVERAGE} % interval"], figures)
        if groups:
            text += html_table(["", "group", "samples", facts["each"]], groups)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in facts["notes"])
        return f"<div>{text}{notes}<p>{html.escape(str(self.path))}</p></div>"


def evaluate_run(
    run: Run,
    data: Any,
    model: Any,
    *,
    checkpoint: str | Checkpoint,
    slices: Mapping[str, Any] | None,
    resamples: int,
    plots: bool,
    evaluators: Iterable[str | Evaluator] = (),
    **how: Any,
) -> Evaluation:
    """As `RecordedRun.evaluate`; `how` are further arguments of `reopened.reopen`."""
    if model is None:
        raise ValueError(
            "evaluate() needs model=, one such as the run was made with, because a run folder "
            "holds no code: run.evaluate(data, Net())"
        )
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 0:
        raise ValueError(f"resamples={resamples!r} must be a whole number; 0 makes no intervals")
    own = named_evaluators(evaluators)
    opened = reopen(run, model, data, checkpoint, **how)
    scores, targets = opened.measured(opened.way.model(opened.engine.device))
    return record(run, opened, scores, targets, slices or {}, resamples, plots=plots, own=own)


def record(
    run: Run,
    opened: Reopened,
    scores: NDArray[Any],
    targets: NDArray[Any],
    slices: Mapping[str, Any],
    resamples: int,
    *,
    plots: bool,
    own: Mapping[str, Evaluator],
) -> Evaluation:
    """Measure what a model gave, (N, ...), for targets (N, ...), and write it down."""
    measures, names = measures_of(opened.task), opened.names
    members = {"class": measures.members(targets, names), **_sliced(slices, len(targets))}
    rng = np.random.default_rng(0)  # an evaluation that is made again tells the same
    each = measures.of_each(scores, targets)
    groups = {
        of: {
            name: of_mean(each[rows], resamples, rng) for name, rows in found.items() if rows.any()
        }
        for of, found in members.items()
    }
    charts = measures.charts(scores, targets, names)
    figures = with_own(measures.figures, own)
    metrics, made_of = intervals(figures, scores, targets, resamples, rng)
    facts: dict[str, Any] = {
        "format": FORMAT,
        "run": run.id,
        "checkpoint": f"checkpoints/{opened.checkpoint.path.name}",
        "step": opened.checkpoint.step,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": opened.task.name,
        "n": len(targets),
        "data": {"fingerprint": fingerprint(opened.engine.labels(), opened.engine.probes())},
        "interval": f"{COVERAGE} %, percentiles of {made_of} bootstrap resamples of the samples",
        "metrics": metrics,
        "classes": measures.classes(scores, targets, names),
        "each": measures.each,
        "better": measures.better,
        "groups": {of: found for of, found in groups.items() if found},
        "worst": _worst(groups, measures),
        "charts": {chart.name: _numbers(chart) for chart in charts if chart.name in _KEPT},
        "notes": _notes(run, opened),
        "files": [],
    }
    with numbered(run.path, ROOM, PREFIX) as made:
        for chart in charts if plots else ():
            facts["files"] += draw(made.part, chart)
        facts = _plain(facts)
        text = json.dumps(facts, indent=1, allow_nan=False)
        (made.part / METRICS).write_text(text, encoding="utf-8")
    assert made.path is not None  # noqa: S101 - narrows the type; it has its name after the block
    return Evaluation(made.path, facts)


def evaluations_of(run: Run) -> list[Evaluation]:
    """The evaluations in a run folder, oldest first; what cannot be read is left out."""
    found = []
    for path in those_in(run.path, ROOM, PREFIX):
        try:
            facts = json.loads(read_text(run.path, f"{ROOM}/{path.name}/{METRICS}"))
            if facts["format"] == FORMAT and _is_whole(facts):
                found.append(Evaluation(path, facts))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def _is_whole(facts: Mapping[str, Any]) -> bool:
    """Whether facts from a folder, which anybody may have written, are such as `record` writes."""
    charts = facts["charts"]
    counts = charts.get("confusion", {"names": [], "values": []})
    square = np.asarray(counts["values"], np.int64)
    points = [np.asarray(pair, float) for pair in charts.get("calibration", {}).values()]
    return (
        all(isinstance(facts[name], str) for name in ("checkpoint", "each"))
        and all(isinstance(one["value"], float | int | None) for one in facts["metrics"].values())
        and (square.size == 0 or square.shape == (len(counts["names"]),) * 2)
        and all(one.ndim == 2 and len(one) == 2 for one in points)
        and isinstance(facts["notes"], list)
    )


def _sliced(slices: Mapping[str, Any], count: int) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Which samples have each value of each slice."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name, given in slices.items():
        values = np.asarray(given)
        if values.shape != (count,):
            raise ValueError(
                f"slices[{name!r}] has shape {values.shape}; expected one value for each of the "
                f"{count} samples"
            )
        different = np.unique(values)
        if len(different) > _SLICES:
            raise ValueError(
                f"slices[{name!r}] has {len(different)} different values; at most {_SLICES} are "
                "taken: put numbers into classes, for example with numpy.digitize"
            )
        if str(name) == "class":
            raise ValueError("slices['class']: classes have groups of their own; take another name")
        found[str(name)] = {str(value): values == value for value in different}
    return found


def _worst(
    groups: Mapping[str, Mapping[str, Mapping[str, Any]]], measures: Measures
) -> dict[str, Any] | None:
    sign = 1 if measures.better == "higher" else -1
    large = [
        {"of": of, "group": name, **one}
        for of, found in groups.items()
        for name, one in found.items()
        if one["n"] >= LEAST and one["value"] is not None
    ]
    return min(large, key=lambda one: sign * one["value"], default=None)


def _notes(run: Run, opened: Reopened) -> list[str]:
    known = (run.config.get("data") or {}).get("fingerprint")
    same = fingerprint(opened.engine.labels(), opened.engine.probes()) == known
    if not same:
        return []
    return ["These are the samples that the model was trained on: of others it may know less."]


def _numbers(chart: Chart | Matrix) -> dict[str, Any]:
    if isinstance(chart, Matrix):
        return {"names": list(chart.names), "values": chart.values.tolist()}
    return {name: [x.tolist(), y.tolist()] for name, (x, y) in chart.curves.items()}


def _plain(value: Any) -> Any:
    """NaN and infinity become null."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "not defined"
    if one["low"] is None:
        return f"{one['value']:.4g}"
    return f"{one['value']:.4g} ({one['low']:.4g} to {one['high']:.4g})"
