"""``coflect list``, ``compare`` and ``report``: what runs on disk came to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from coflect_widget.cli.answer import Answer, Commands, command


def add(commands: Commands) -> None:
    """Add the commands."""
    table = command(commands, "list", _list, "the runs in a folder")
    table.add_argument("folder", nargs="?", help="COFLECT_ROOT, or runs, if left out")
    table.add_argument("--sort", metavar="COLUMN", help='such as "best.loss"')
    table.add_argument("--archived", action="store_true", help="archived runs too")
    compared = command(commands, "compare", _compare, "what differs between runs")
    compared.add_argument("runs", nargs="+", type=Path, help="run folders")
    compared.add_argument("--html", type=Path, help="write curves and differences to this file")
    report = command(commands, "report", _report, "write a run to one HTML file")
    report.add_argument("run", type=Path, help="a run folder")
    report.add_argument("file", type=Path, help="a new file")


def _list(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import runs

    table = runs(given.folder, archived=given.archived)
    if given.sort:
        table = table.sort(given.sort)
    lines = [("run", "state", "epoch", "step", "best")]
    for row in table.rows:
        best = ", ".join(f"{name} {one['value']:.4g}" for name, one in row["best"].items())
        lines.append((row["id"], row["state"], str(row["epoch"]), str(row["step"]), best))
    return table.rows, _columns(lines)


def _compare(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import compare

    compared = compare(given.runs)
    if given.html is not None:
        compared.save(given.html)
    lines = [("", *compared.ids)]
    lines += [(name, *map(str, values)) for name, values in compared.differs.items()]
    return {"runs": compared.ids, "differs": compared.differs}, _columns(lines)


def _report(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import open_run

    file = open_run(given.run).report(given.file)
    return {"file": str(file)}, f"{file}\n"


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
