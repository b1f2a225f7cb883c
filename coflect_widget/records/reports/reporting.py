"""A folder that tells of several runs, which needs neither them nor this package to be read.

::

    report_20261130_101500_baselines/
        manifest.yaml            which runs, which checkpoints and data, what was computed
        training/summary.csv     a row a run
        figures/                 each as SVG and as PNG
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from coflect_widget.records.drawing import draw
from coflect_widget.records.durable import sync_folder
from coflect_widget.records.evaluations.evaluating import evaluations_of
from coflect_widget.records.inside import is_there, read_text
from coflect_widget.records.reports.figures import Aim, Reported, aim_of, figures_of
from coflect_widget.records.reports.timing import timing_of
from coflect_widget.records.run import DamagedFileError, Run
from coflect_widget.records.table import flat, row_of

FORMAT = "coflect-report-1"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")


def check_report(runs: Sequence[Run], name: str, metric: str | None = None) -> None:
    """What a report is refused for, before anything is computed.

    Raises
    ------
    ValueError
        If there is no run, the name cannot be used, or no run has a best value of the metric.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(
            f"name={name!r} must be 1 to 64 letters, digits, '-', '_' or '.', for example "
            "name='baselines'"
        )
    if not runs:
        raise ValueError("there is no run to report; coflect.runs('runs') finds those there are")
    if metric is not None:
        aim_of([row_of(run.path) for run in runs], metric, None)


def write_report(
    runs: Sequence[Run],
    name: str,
    folder: Path,
    *,
    metric: str | None,
    threshold: float | None,
) -> Path:
    """As `coflect.report`."""
    check_report(runs, name)
    told = [_read(run, label) for run, label in zip(runs, _labels(runs), strict=True)]
    aim = aim_of([one.row for one in told], metric, threshold)
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".report.{secrets.token_hex(6)}.part"
    part.mkdir()
    try:
        (part / "training").mkdir()
        (part / "figures").mkdir()
        _summary(part / "training" / "summary.csv", told, aim)
        drawn = [file for chart in figures_of(told, aim) for file in draw(part / "figures", chart)]
        now = datetime.now(UTC)
        manifest = {
            "format": FORMAT,
            "name": name,
            "made": now.isoformat(timespec="seconds"),
            "compared_by": None
            if aim is None
            else {
                "metric": f"val {aim.metric}",
                "better": aim.direction,
                "threshold": aim.threshold,
            },
            "time": "seconds in training; pauses and interruptions do not count",
            "runs": [_facts(run, one) for run, one in zip(runs, told, strict=True)],
            "files": ["training/summary.csv", *(f"figures/{file}" for file in drawn)],
        }
        text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)
        (part / "manifest.yaml").write_text(text, encoding="utf-8")
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("r+b") as written:
                    os.fsync(written.fileno())
        path = _named(part, folder / f"report_{now:%Y%m%d_%H%M%S}_{name}")
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder)
    return path


def _read(run: Run, label: str) -> Reported:
    evaluations = evaluations_of(run)
    newest = evaluations[-1] if evaluations else None
    return Reported(label, row_of(run.path), timing_of(run), newest)


def _labels(runs: Sequence[Run]) -> list[str]:
    """The runs' names; with the folder where two of them are called alike."""
    ids = [run.id for run in runs]
    labels = [
        run.id if ids.count(run.id) == 1 else f"{run.path.resolve().parent.name}/{run.id}"
        for run in runs
    ]
    return [
        label if labels.count(label) == 1 else f"{label} ({k + 1})"
        for k, label in enumerate(labels)
    ]


def _summary(file: Path, told: Sequence[Reported], aim: Aim | None) -> None:
    rows = []
    for one in told:
        row = {"run": one.label, **flat(one.row)}
        row["seconds_trained"] = round(one.timing.seconds, 3)
        row["steps_per_second"] = one.timing.throughput
        if aim is not None:
            reached = one.timing.reached(f"val {aim.metric}", aim.threshold, aim.direction)
            row["seconds_to_threshold"] = reached
        if one.evaluation is not None:
            row |= {f"evaluation.{name}": v for name, v in one.evaluation.metrics.items()}
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, restval="")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    """A text that a spreadsheet takes for no formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _facts(run: Run, one: Reported) -> dict[str, Any]:
    text = read_text(run.path, "config.yaml") if is_there(run.path, "config.yaml") else None
    try:
        data = dict(run.config.get("data") or {})
    except DamagedFileError:
        data = {}
    found = run.checkpoints
    return {
        "label": one.label,
        "path": str(run.path.resolve()),
        "state": one.row["state"],
        "config_sha256": None if text is None else hashlib.sha256(text.encode()).hexdigest(),
        "data_fingerprint": data.get("fingerprint"),
        "checkpoints": {
            "best": None if found.best is None else found.best.path.name,
            "last": None if found.last is None else found.last.path.name,
        },
        "evaluation": None
        if one.evaluation is None
        else {
            "path": f"evaluations/{one.evaluation.path.name}",
            "checkpoint": one.evaluation.facts.get("checkpoint"),
            "data_fingerprint": (one.evaluation.facts.get("data") or {}).get("fingerprint"),
        },
    }


def _named(part: Path, wanted: Path) -> Path:
    """Of two reports of one second and name the second has a number."""
    path, number = wanted, 1
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return part.rename(path)
