"""``coflect quickstart PATH``: from data to a trained network on the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from coflect_widget.cli.answer import Answer, Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "quickstart", _quickstart, "look at data, ask what is not certain, and train"
    )
    parser.add_argument("path", help="a file of rows, or a folder of pictures or texts")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict")
    parser.add_argument(
        "--task", help="what the target is, where its numbers may be either; clustering has none"
    )
    parser.add_argument("--clusters", type=int, help="how many; by their silhouette where left out")
    parser.add_argument("--kind", help='"table", "text", "image", "series" or "timeline"')
    parser.add_argument(
        "--leave-out", metavar="COLUMN", nargs="*", help="columns that the network is not given"
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="hist_gradient_boosting or xgboost, of a table; lstm, of a forecast",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing, take what is proposed")
    parser.add_argument("--look", action="store_true", help="say what the data hold, and no more")
    parser.add_argument("--epochs", type=int, help="how long to train; proposed where left out")
    parser.add_argument(
        "--run-dir", help="where the run folder is made; COFLECT_ROOT, or runs, if left out"
    )


def _quickstart(given: argparse.Namespace) -> Answer:
    from coflect_widget.projects.quickstart.asking.terminal import (
        decided,
        proposed,
        refuse,
        typed,
    )
    from coflect_widget.projects.quickstart.deciding import Choices
    from coflect_widget.projects.quickstart.looking import look

    found = look(given.path)
    if given.look:
        return {"source": found.sheet.source, "said": list(found.said)}, f"{found}\n"
    _say(str(found))
    ask = proposed if given.yes else typed if sys.stdin.isatty() else refuse
    left = None if given.leave_out is None else tuple(given.leave_out)
    decision = decided(found, Choices(given.target, given.kind, given.task, left), ask)
    return _trained(given, decision)


def _trained(given: argparse.Namespace, decision: Any) -> Answer:
    from coflect_widget.projects.quickstart.building import build
    from coflect_widget.projects.quickstart.started import said_of_test

    session, said = build(
        decision, model=given.model, run_dir=given.run_dir, clusters=given.clusters
    )
    _say("\n".join([*decision.said, *said]))
    with session:
        _say(f"{session.run.path}: training for {given.epochs or session.epochs} epochs.")
        session.train(given.epochs)
        session.wait()
        figures = session.test()
    value = {
        "run": str(session.run.path),
        "kind": decision.kind,
        "task": decision.task,
        "target": decision.target,
        **figures,
    }
    return value, f"{said_of_test(figures)}\n{session.run.path}\n"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
