"""What a command is and what it answers: a value for ``--json``, and a text for a person."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = Any
#: Plain values, and the same as text; and the exit status, where it says something.
Answer = tuple[Any, str] | tuple[Any, str, int]


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], Answer], words: str
) -> argparse.ArgumentParser:
    """Add a command, with ``--json``; what is returned takes its arguments."""
    parser = commands.add_parser(name, help=words, description=words)
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(answer=run)
    return parser
