"""From what was found in data to what is to be learned: what is not certain is a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from coflect_widget.config import nearest
from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.goals import GOALS, cells_of, with_target
from coflect_widget.projects.quickstart.goals.base import spelled
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.leaks import leaks
from coflect_widget.projects.quickstart.looking import Look
from coflect_widget.projects.quickstart.reading.files import unnamed

#: A column of such a name is the target, where there is one of them.
_NAMED = ("target", "label", "labels", "class", "y")
_TARGETS = ("category", "number")


@dataclass(frozen=True)
class Choices:
    """What a person has said; None where nothing."""

    target: str | None = None
    kind: str | None = None
    task: str | None = None
    leave_out: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Option:
    """One answer: the value that `Choices` takes, and words for a person."""

    value: Any
    words: str


@dataclass(frozen=True)
class Question:
    """What has to be asked next.

    Attributes
    ----------
    name : str
        The field of `Choices`, and the argument of `quickstart`.
    text : str
    options : tuple of Option
    proposal : object
        The value that is taken where a person agrees to all; None where there is none.
    """

    name: Literal["target", "kind", "task", "leave_out"]
    text: str
    options: tuple[Option, ...]
    proposal: Any = None

    def answered(self, choices: Choices, value: Any) -> Choices:
        """The choices with this one made."""
        return replace(choices, **{self.name: value})

    def __str__(self) -> str:
        return "\n".join([self.text, *(f"  {option.words}" for option in self.options)])


@dataclass(frozen=True)
class Decision:
    """All that is needed to build.

    Attributes
    ----------
    target, kind, task : str
        The target is "" where there is none.
    columns : tuple of Column
        What the network is given, as far as its kind uses them.
    said : tuple of str
        What was taken for certain and why, and what there is to say of the target.
    """

    look: Look
    target: str
    kind: str
    task: str
    columns: tuple[Column, ...]
    said: tuple[str, ...]


def decide(look: Look, choices: Choices) -> Question | Decision:
    """The next question, or all that there is to know.

    Raises
    ------
    ValueError
        If there is nothing to learn, or a choice does not fit the data.
    """
    said: list[str] = []
    aimless = choices.task in GOALS and not GOALS[choices.task].needs_target
    found = _no_target(look, choices, said) if aimless else _target(look, choices, said)
    if isinstance(found, Question):
        return found
    target = found
    out = choices.leave_out or ()
    _known(out, [column.name for column in look.columns], "leave_out")
    others = [c for c in look.speaking if c is not target and c.name not in out]
    if not others:
        raise ValueError(f"there is nothing but {target.name!r} to learn it from")
    kind = _kind(look, others, target, choices, said)
    if isinstance(kind, Question):
        return kind
    task = _task(look, target, kind, choices, said)
    if isinstance(task, Question):
        return task
    goal = GOALS[task]
    values = cells_of(goal, look.sheet, target.name)
    used = KINDS[kind].uses(others)
    told = goal.about(values)
    coded = goal.coded(values)
    without = len(coded) - int(with_target(goal, values).sum())
    if without:
        told.append(f"{without:,} rows have no {target.name!r}: left out.")
    unused = [column.name for column in others if column not in used]
    if unused:
        told.append(f"Not used, as {kind} data: {spelled(unused)}.")
    if KINDS[kind].by_column and goal.needs_target and choices.leave_out is None:
        telling = leaks(look.sheet, used, coded, classes=goal.by_class)
        if telling:
            return _leak(target, [(leak.name, leak.skill) for leak in telling])
    name = target.name if goal.needs_target else ""
    return Decision(look, name, kind, task, tuple(used), (*said, *told))


def _target(look: Look, choices: Choices, said: list[str]) -> Question | Column:
    names = [column.name for column in look.columns]
    able = [column for column in look.columns if column.kind in _TARGETS]
    wanted = choices.target or look.sheet.target
    if wanted is not None:
        if wanted not in names and names == unnamed(len(names)):
            raise ValueError(
                f"target: there is no {wanted!r}: the first line was taken for a row, and columns "
                f"are called {names[0]!r} to {names[-1]!r}. Give one of these names; or write "
                "names into the first line that are words, no numbers, each another"
            )
        _known([wanted], names, "target")
        column = look.column(wanted)
        if column.kind not in _TARGETS:
            holds = {"constant": "one value everywhere", "empty": "nothing"}.get(
                column.kind, f"no classes and no numbers to learn ({column.kind})"
            )
            may = f"; a target may be {spelled([c.name for c in able])}" if able else ""
            raise ValueError(f"{wanted!r} holds {holds}: there is nothing to learn{may}")
        return column
    if not able:
        raise ValueError(
            f"{look.sheet.source} has no column that could be predicted, no classes and no numbers "
            "that differ; put pictures or texts into a folder for each class, or add a column"
        )
    named = [column for column in able if column.name.casefold() in _NAMED]
    if len(named) == 1:
        said.append(f"{named[0].name!r} is taken for the target because of its name.")
        return named[0]
    if len(able) == 1:
        said.append(f"{able[0].name!r} is the only column that can be the target.")
        return able[0]
    options = tuple(Option(c.name, f"{c.name} ({_short(c)})") for c in able)
    return Question("target", "Which column is to be predicted?", options)


def _no_target(look: Look, choices: Choices, said: list[str]) -> Column:
    """What stands for the target where there is none: the column that the data have for one."""
    if choices.target:
        raise ValueError(
            f"task={choices.task!r} has no target; leave target= out, and where {choices.target!r} "
            f"is not to be told by, leave_out=[{choices.target!r}]"
        )
    if look.sheet.target is not None:
        said.append(f"{look.sheet.target!r} is not looked at: {choices.task} has no target.")
        return look.column(look.sheet.target)
    named = [c.name for c in look.speaking if c.name.casefold() in _NAMED]
    if named:
        said.append(
            f"{spelled(named)} may be a target, and is among the columns: leave_out=[{named[0]!r}] "
            "leaves it out."
        )
    return Column("", "empty")


def _kind(
    look: Look, others: Sequence[Column], target: Column, choices: Choices, said: list[str]
) -> Question | str:
    if choices.kind is not None:
        _known([choices.kind], list(KINDS), "kind")
        if not KINDS[choices.kind].uses(others):
            may = [n for n, kind in KINDS.items() if kind.suits(look.sheet, others, target)]
            raise ValueError(
                f"kind={choices.kind!r} does not fit: no column is of it"
                + (f"; {spelled(may)} would" if may else "")
            )
        return choices.kind
    why = {
        name: kind.suits(look.sheet, others, target)
        for name, kind in KINDS.items()
        if kind.offered or choices.task in kind.goals
    }
    fitting = {name: text for name, text in why.items() if text}
    able = {name: text for name, text in fitting.items() if choices.task in KINDS[name].goals}
    fitting = able or fitting  # a task that is named may tell one reading from another
    if not fitting:
        raise ValueError(
            f"{look.sheet.source} holds nothing to learn from beside its target: no numbers, no "
            "categories, no texts, no pictures"
        )
    if len(fitting) == 1:
        ((name, text),) = fitting.items()
        said.append(f"Taken for {KINDS[name].words}: {text}.")
        return name
    options = tuple(
        Option(name, f"{name}: {KINDS[name].words} ({text})") for name, text in fitting.items()
    )
    return Question("kind", "What are these data? More than one reading fits.", options)


def _task(
    look: Look, target: Column, kind: str, choices: Choices, said: list[str]
) -> Question | str:
    if choices.task is not None:
        _known([choices.task], list(GOALS), "task")
        able = KINDS[kind].goals
        if choices.task not in able:
            raise ValueError(
                f"task={choices.task!r} does not fit {KINDS[kind].words}: learned of them can be "
                f"{spelled(able)}; another kind= may be what you mean"
            )
        why_not = GOALS[choices.task].refuses(target, len(look.sheet) - target.missing)
        if why_not:
            raise ValueError(f"task={choices.task!r} does not fit: {why_not}")
        return choices.task
    goals = {name: goal for name, goal in GOALS.items() if name in KINDS[kind].goals}
    why = {name: goal.suits(target) for name, goal in goals.items()}
    fitting = {name: text for name, text in why.items() if text}
    if not fitting:
        reasons = [goal.refuses(target, len(look.sheet)) for goal in goals.values()]
        raise ValueError("; ".join(filter(None, reasons)) or f"{target.name!r} cannot be learned")
    if len(fitting) == 1:
        ((name, text),) = fitting.items()
        said.append(f"{name.capitalize()} of {target.name!r}: {text}.")
        return name
    options = tuple(
        Option(name, f"{name}: {GOALS[name].noun} ({text})") for name, text in fitting.items()
    )
    return Question("task", f"What is {target.name!r}? Its numbers may be either.", options)


def _leak(target: Column, telling: Sequence[tuple[str, float]]) -> Question:
    names = tuple(name for name, _ in telling)
    each = spelled([f"{name!r} (skill {skill:.2f})" for name, skill in telling])
    text = (
        f"Alone, {each} nearly always tells {target.name!r}. Was it known before {target.name!r}? "
        "If not, it gives the target away, and figures would be too good to be true."
    )
    options = (
        Option(names, f"leave out {spelled(names)}"),
        Option((), "keep: it was known before"),
    )
    return Question("leave_out", text, options, proposal=names)


def _known(given: Sequence[str], names: Sequence[str], argument: str) -> None:
    if isinstance(given, str):
        raise TypeError(f"{argument}={given!r}: give names in a list")
    for name in given:
        if name not in names:
            raise ValueError(f"{argument}: there is no {name!r}; {nearest(str(name), list(names))}")


def _short(column: Column) -> str:
    return f"{'numbers' if column.kind == 'number' else 'words'}, {column.distinct:,} different"
