"""``coflect`` on the command line; one file a group of commands.

The exit status is 0, 1 where a command failed, 2 where it was misspelt, 130 where a person
interrupted it. No framework is imported before a command needs one.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence

from coflect_widget.cli import (
    completion,
    experiments,
    looking,
    models,
    modules,
    projects,
    records,
    tuning,
)
from coflect_widget.cli import doctor as _doctor
from coflect_widget.cli import endpoint as _endpoint
from coflect_widget.cli import quickstart as _quickstart
from coflect_widget.cli import run as _run
from coflect_widget.cli.doctor import doctor

__all__ = ["doctor", "main"]
_GROUPS = (
    _doctor, _endpoint, _quickstart, projects, records, models, experiments, tuning, looking,
    completion, _run,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process where left out.
    """
    parser = argparse.ArgumentParser(prog="coflect", description="Steer a running training.")
    commands = parser.add_subparsers(dest="command", required=True)
    for group in _GROUPS:
        group.add(commands)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [modules.BUILT_IN]:
        del words[0]
    name = words[0] if words else "-"
    if not name.startswith("-") and name not in commands.choices and modules.is_there(name):
        return _guarded(lambda: modules.call(name, words[1:]))
    given, others = parser.parse_known_args(words)
    if others and not getattr(given, "open_ended", False):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    given.others = others
    if given.command == "run":  # a script: its errors and its exit status are its own
        return _run.run(given)
    return _guarded(lambda: _answered(given))


def _answered(given: argparse.Namespace) -> int:
    value, text, *status = given.answer(given)
    sys.stdout.write(json.dumps(value, indent=1) + "\n" if given.json else text)
    return status[0] if status else 0


def _guarded(do: Callable[[], int]) -> int:
    """The exit status of a command; its warnings and what it raises are said in a line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: _say(str(message))
            return do()
    except KeyboardInterrupt:
        return 130
    except (OSError, TypeError, ValueError, LookupError, ImportError) as error:
        _say(str(error))
        return 1


def _say(words: str) -> None:
    sys.stderr.write(f"coflect: {words}\n")
