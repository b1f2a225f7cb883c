"""``coflect list``, ``compare``, ``report`` and ``replay``: what runs on disk came to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coflect_widget.cli import modules
from coflect_widget.cli.answer import Answer, Commands, command
from coflect_widget.cli.given import called

if TYPE_CHECKING:
    from coflect_widget.registry import Kind

_KINDS: dict[str, Kind] = {
    "architectures": "architecture", "data": "data", "loops": "loop", "evaluators": "evaluator",
}  # fmt: skip


def add(commands: Commands) -> None:
    """Add the commands."""
    table = command(commands, "list", _list, "the runs in a folder, or what a file may name")
    table.add_argument(
        "folder", nargs="?",
        help="COFLECT_ROOT, or runs, if left out; or one of architectures, data, loops, "
        "evaluators and modules",
    )  # fmt: skip
    table.add_argument("--sort", metavar="COLUMN", help='such as "best.loss"')
    table.add_argument("--archived", action="store_true", help="archived runs too")
    compared = command(commands, "compare", _compare, "what differs between runs")
    compared.add_argument("runs", nargs="+", type=Path, help="run folders")
    compared.add_argument("--html", type=Path, help="write curves and differences to this file")
    report = command(
        commands, "report", _report, "write a run to one HTML file, or several to a folder"
    )
    report.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help="a run folder and a new file; with --name run folders alone",
    )  # fmt: skip
    report.add_argument("--name", help="write the folder report_TIME_NAME of tables and figures")
    report.add_argument("--folder", type=Path, default=Path(), help="where it is made")
    replay = command(commands, "replay", _replay, "tell a tracker a run of before")
    replay.add_argument("run", type=Path, help="a run folder")
    replay.add_argument(
        "sink", help="tensorboard, mlflow, wandb, trackio, ..., or module:Class of your own"
    )


def _list(given: argparse.Namespace) -> Answer:
    if given.folder == "modules":
        known = modules.names()
        return known, columns([("name", "from"), *known.items()])
    kind = _KINDS.get(given.folder)
    if kind is not None:  # a folder of that name is ./data
        from coflect_widget.registry import names

        known = names(kind)
        return known, columns([("name", "from"), *known.items()])
    from coflect_widget.ui.recorded import runs

    table = runs(given.folder, archived=given.archived)
    if given.sort:
        table = table.sort(given.sort)
    lines = [("run", "state", "epoch", "step", "best")]
    for row in table.rows:
        best = ", ".join(f"{name} {one['value']:.4g}" for name, one in row["best"].items())
        lines.append((row["id"], row["state"], str(row["epoch"]), str(row["step"]), best))
    return table.rows, columns(lines)


def _compare(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import compare

    compared = compare(given.runs)
    if given.html is not None:
        compared.save(given.html)
    lines = [("", *compared.ids)]
    lines += [(name, *map(str, values)) for name, values in compared.differs.items()]
    return {"runs": compared.ids, "differs": compared.differs}, columns(lines)


def _report(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import open_run, report

    if given.name is not None:
        folder = report(given.paths, given.name, given.folder)
        return {"folder": str(folder)}, f"{folder}\n"
    if len(given.paths) != 2:
        raise ValueError("report takes a run folder and a new file, or run folders with --name")
    file = open_run(given.paths[0]).report(given.paths[1])
    return {"file": str(file)}, f"{file}\n"


def _replay(given: argparse.Namespace) -> Answer:
    from coflect_widget.records.sinks.feed import name_of
    from coflect_widget.ui.recorded import open_run

    run = open_run(given.run)
    own = ":" in given.sink
    sink = run.replay(called("sink", given.sink, run.path) if own else given.sink)
    return {"run": run.id, "sink": name_of(sink)}, f"{name_of(sink)} was told {run.id}\n"


def columns(lines: Sequence[tuple[str, ...]]) -> str:
    """Cells below each other, a line each."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
