"""``coflect new TEMPLATE NAME``: a project to train, test and serve, from a template."""

from __future__ import annotations

import argparse

from coflect_widget.cli.answer import Answer, Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "new", _new, "make a project from a template")
    parser.add_argument(
        "template", help='"sentiment", "timeseries", "image" or "table"; or a folder of your own'
    )
    parser.add_argument("name", help="the project's folder, which is made")
    parser.add_argument("--git", action="store_true", help="begin a git repository in it")
    parser.add_argument("--dvc", action="store_true", help="add what DVC needs for data and runs")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a value for the template"
    )


def _new(given: argparse.Namespace) -> Answer:
    from coflect_widget.projects.templates.making import new

    pairs = [one.partition("=") for one in given.set]
    wrong = [name for name, equals, _ in pairs if not (name.isidentifier() and equals)]
    if wrong:
        raise ValueError(f"--set {wrong[0]}: give NAME=VALUE")
    variables = {name: value for name, _, value in pairs}
    try:
        folder = new(given.template, given.name, variables=variables, git=given.git, dvc=given.dvc)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    files = sorted(
        one.relative_to(folder).as_posix()
        for one in folder.rglob("*")
        if one.is_file() and ".git" not in one.relative_to(folder).parts
    )
    text = f"{folder}: {len(files)} files; its README.md says how to go on"
    return {"path": str(folder), "files": files}, f"{text}\n"
