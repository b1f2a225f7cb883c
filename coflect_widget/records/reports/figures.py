"""What a report draws of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget.records.evaluations.evaluating import Evaluation
from coflect_widget.records.reports.timing import Timing
from coflect_widget.records.table import Row
from coflect_widget.tasks.measures import Chart, Matrix

#: Points of one curve.
_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Reported:
    """One run of a report; `label` is unlike that of any other."""

    label: str
    row: Row
    timing: Timing
    evaluation: Evaluation | None


@dataclass(frozen=True, slots=True)
class Aim:
    """The validation metric by which runs are compared.

    Attributes
    ----------
    metric : str
    direction : {"higher", "lower"}
    threshold : float
        As good as this a run is to become.
    """

    metric: str
    direction: str
    threshold: float


def aim_of(rows: Sequence[Row], metric: str | None, threshold: float | None) -> Aim | None:
    """What most runs have a best value of, preferably no loss; None where no run has one.

    The threshold is what every run that has the metric reached, where none is given.

    Raises
    ------
    ValueError
        If no run has a best value of `metric`.
    """
    counts: dict[str, int] = {}
    for row in rows:
        for name in row["best"]:
            counts[name] = counts.get(name, 0) + 1
    if metric is not None and metric not in counts:
        known = ", ".join(map(repr, counts)) or "none"
        raise ValueError(f"metric={metric!r}: of these runs the best is known of: {known}")
    if not counts:
        return None
    chosen = metric or max(counts, key=lambda name: (counts[name], name != "loss"))
    best = [row["best"][chosen] for row in rows if chosen in row["best"]]
    direction = str(best[0]["direction"])
    values = [float(one["value"]) for one in best]
    worst = min(values) if direction == "higher" else max(values)
    return Aim(chosen, direction, worst if threshold is None else float(threshold))


def figures_of(runs: Sequence[Reported], aim: Aim | None) -> list[Chart | Matrix]:
    """All charts that these runs have figures for."""
    found = [_loss(runs)]
    if aim is not None:
        found += [_to_threshold(runs, aim), _pareto(runs, aim), _throughput(runs, aim)]
    return [
        *(chart for chart in found if chart is not None and chart.curves),
        *_calibration(runs),
        *_confusions(runs),
    ]


def pareto_front(points: Mapping[str, tuple[float, float]], direction: str) -> list[str]:
    """Names of which no other is both quicker (x) and better (y), the quickest first."""
    sign = 1 if direction == "higher" else -1
    front: list[str] = []
    best = -np.inf
    for name in sorted(points, key=lambda n: (points[n][0], -sign * points[n][1])):
        if sign * points[name][1] > best:
            front.append(name)
            best = sign * points[name][1]
    return front


def _loss(runs: Sequence[Reported]) -> Chart | None:
    for split in ("val loss", "train loss"):
        curves = {
            run.label: _thinned(run.timing.curves[split])
            for run in runs
            if split in run.timing.curves
        }
        if curves:
            words = {"val loss": "loss on validation", "train loss": "loss in training"}[split]
            return Chart("loss_against_time", "Loss against time", "seconds trained", words, curves)
    return None


def _to_threshold(runs: Sequence[Reported], aim: Aim) -> Chart:
    name = f"val {aim.metric}"
    times = {run.label: run.timing.reached(name, aim.threshold, aim.direction) for run in runs}
    reached = sorted(((t, label) for label, t in times.items() if t is not None))
    return Chart(
        "time_to_threshold", f"Time to {aim.metric} {aim.threshold:.4g}", "seconds trained",
        "runs that are there",
        {label: (np.array([t]), np.array([k + 1])) for k, (t, label) in enumerate(reached)},
        dots=True,
    )  # fmt: skip


def _pareto(runs: Sequence[Reported], aim: Aim) -> Chart:
    points = {
        run.label: (run.timing.seconds, float(run.row["best"][aim.metric]["value"]))
        for run in runs
        if aim.metric in run.row["best"]
    }
    curves = {label: (np.array([x]), np.array([y])) for label, (x, y) in points.items()}
    front = [points[label] for label in pareto_front(points, aim.direction)]
    if len(front) > 1:
        curves["Pareto front"] = (np.array([x for x, _ in front]), np.array([y for _, y in front]))
    return Chart(
        "pareto", f"{aim.metric} against time", "seconds trained", f"best {aim.metric}", curves
    )


def _throughput(runs: Sequence[Reported], aim: Aim) -> Chart:
    curves = {
        run.label: (
            np.array([run.timing.throughput]),
            np.array([float(run.row["best"][aim.metric]["value"])]),
        )
        for run in runs
        if aim.metric in run.row["best"] and run.timing.throughput is not None
    }
    return Chart(
        "throughput", f"{aim.metric} against throughput", "steps a second",
        f"best {aim.metric}", curves, dots=True,
    )  # fmt: skip


def _calibration(runs: Sequence[Reported]) -> list[Chart]:
    curves = {}
    for run in runs:
        points = _of_evaluation(run, "calibration").get("")
        if points:
            curves[run.label] = (np.array(points[0]), np.array(points[1]))
    words = ("probability that was said", "share that is right")
    drawn = Chart("calibration", "Calibration", *words, curves, reference="diagonal")
    return [drawn] if curves else []


def _confusions(runs: Sequence[Reported]) -> list[Matrix]:
    found = []
    for run in runs:
        counts = _of_evaluation(run, "confusion")
        if counts:
            found.append(
                Matrix(
                    f"confusion_{run.label}", f"Confusion, {run.label}", "predicted", "true",
                    np.array(counts["values"], np.int64), counts["names"],
                )
            )  # fmt: skip
    return found


def _of_evaluation(run: Reported, name: str) -> dict[str, Any]:
    if run.evaluation is None:
        return {}
    found: dict[str, Any] = run.evaluation.facts.get("charts", {}).get(name) or {}
    return found


def _thinned(curve: Any) -> Any:
    seconds, values = curve
    places = np.linspace(0, len(seconds) - 1, min(len(seconds), _POINTS)).astype(int)
    return seconds[places], values[places]
