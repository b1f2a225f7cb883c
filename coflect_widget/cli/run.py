"""``coflect run train.py``: a script whose trainings other processes may show and steer."""

from __future__ import annotations

import argparse

from coflect_widget.cli.answer import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run", help="run a script whose trainings are shown and steered from elsewhere"
    )
    parser.add_argument("script", help="a Python script; it needs no change")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script is given")


def run(given: argparse.Namespace) -> int:
    """Run the script; its exit status. What it raises is its own."""
    from coflect_widget.elsewhere.serving import run_served

    return run_served(given.script, given.arguments)
