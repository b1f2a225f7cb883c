"""Questions on a terminal, one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable

from coflect_widget.projects.quickstart.deciding import Choices, Decision, Question, decide
from coflect_widget.projects.quickstart.looking import Look

_TRIES = 5


class UnansweredError(ValueError):
    """Something has to be asked, and there is nobody to answer; the message says what to give."""


def decided(look: Look, choices: Choices, ask: Callable[[Question], object]) -> Decision:
    """Ask until all is decided.

    Parameters
    ----------
    ask : callable
        Gives the value of one of the question's options.
    """
    while isinstance(found := decide(look, choices), Question):
        choices = found.answered(choices, ask(found))
    return found


def typed(question: Question) -> object:
    """Ask on the terminal; questions and errors go to stderr.

    Raises
    ------
    UnansweredError
        If the input ends, or no answer is one of the options.
    """
    lines = [question.text]
    for number, option in enumerate(question.options, 1):
        mark = "  (enter)" if option.value == question.proposal else ""
        lines.append(f"  {number}  {option.words}{mark}")
    _say("\n".join(lines))
    for _ in range(_TRIES):
        sys.stderr.write("> ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            break
        answer = line.strip()
        if not answer and question.proposal is not None:
            return question.proposal
        for number, option in enumerate(question.options, 1):
            if answer == str(number) or answer == option.value:
                return option.value
        _say(f"Type a number from 1 to {len(question.options)}.")
    raise UnansweredError(unanswered(question))


def proposed(question: Question) -> object:
    """What is proposed.

    Raises
    ------
    UnansweredError
        If nothing is.
    """
    if question.proposal is None:
        raise UnansweredError(unanswered(question))
    return question.proposal


def refuse(question: Question) -> object:
    """Say what to give.

    Raises
    ------
    UnansweredError
        Always.
    """
    raise UnansweredError(unanswered(question))


def unanswered(question: Question) -> str:
    """What to say where there is nobody to ask."""
    shown = []
    for option in question.options:
        value = list(option.value) if isinstance(option.value, tuple) else option.value
        shown.append(f"  {question.name}={value!r}: {option.words}")
    return "\n".join([question.text, "Give one of these:", *shown])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
