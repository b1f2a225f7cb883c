"""What is called by a name: data, architectures, loops, and evaluators.

A name is built in, registered with `register`, or an entry point of an installed package. Any
other function is called by its import path, ``"module:function"``. None is imported before it is
asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

from coflect_widget.config import nearest

Kind = Literal["data", "architecture", "loop", "evaluator"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Entry points of these groups are found by their names.
GROUPS: dict[Kind, str] = {
    "data": "coflect.data",
    "architecture": "coflect.architectures",
    "loop": "coflect.loops",
    "evaluator": "coflect.evaluators",
}
_SOURCES = "coflect_widget.experiments.sources"
_ARCHITECTURES = "coflect_widget.projects.architectures"
BUILT_IN: dict[Kind, dict[str, str]] = {
    "data": {
        **{name: f"{_SOURCES}:{name}" for name in ("decoy_digits", "npz", "patients", "reviews")},
        **{name: f"{_SOURCES}:{name}" for name in ("signals", "synthetic")},
        "csv": f"{_SOURCES}:table",
    },
    "architecture": {
        name: f"{_ARCHITECTURES}:{name}"
        for name in ("mlp", "series_cnn", "small_resnet", "text_cnn")
    },
    "loop": {"standard": "coflect_widget.experiments.loops:standard"},
    "evaluator": {},
}
_registered: dict[Kind, dict[str, Callable[..., Any]]] = {kind: {} for kind in KINDS}
F = TypeVar("F", bound=Callable[..., Any])


def register(kind: Kind, name: str) -> Callable[[F], F]:
    """Let experiments' files call a function or class by a name; a decorator.

    ::

        @coflect.register("architecture", "wide")
        class Wide(torch.nn.Module):
            def __init__(self, input_shape, outputs, width=512): ...

    The file needs ``modules: [my_module]``, which imports what registers it. A package may name
    it in the entry-point group ``coflect.architectures``, ``coflect.data``, ``coflect.loops`` or
    ``coflect.evaluators`` instead.

    Parameters
    ----------
    kind : {"data", "architecture", "loop", "evaluator"}
        Data: ``f(**arguments)`` gives the pair ``(train_data, val_data)``, or a mapping of
        arguments of `Session`, such as ``{"train_data": ..., "classes": [...]}``.

        An architecture: ``f(**arguments)`` gives a model. It is given those of these that it
        takes: ``input_shape``, the shape of one sample without the batch; ``outputs``, how many
        numbers the model gives for a sample; ``words``, how many ids of words there are; ``seed``.

        A loop: ``f(session, made, **arguments)`` trains to the end; ``made.model``,
        ``made.train_data``, ``made.val_data`` and ``made.settings`` are the experiment's.

        An evaluator: ``f(scores, targets)`` gives a number, or a mapping of names to numbers, for
        ``run.evaluate(..., evaluators=["name"])``. Scores (N, ...) are what the task calls so, such
        as probabilities (N, classes), and targets (N, ...).
    name : str
        Registering a name again replaces what was registered under it.

    Raises
    ------
    ValueError
        If there is no such kind, or the name is built in.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: {nearest(str(kind), list(KINDS))}")
    if name in BUILT_IN[kind]:
        raise ValueError(f"name={name!r} is a built-in {kind}; choose another name")
    if not isinstance(name, str) or not name or ":" in name:
        raise ValueError(f"name={name!r} must be a word, such as 'wide'")

    def keep(made: F) -> F:
        _registered[kind][name] = made
        return made

    return keep


def find(kind: Kind, name: str) -> Callable[..., Any]:
    """What is called by this name, or is at this import path.

    Raises
    ------
    ValueError
        If there is none; the message has the nearest name.
    """
    if ":" in name:
        return _imported(kind, name)
    if name in _registered[kind]:
        return _registered[kind][name]
    if name in BUILT_IN[kind]:
        return _imported(kind, BUILT_IN[kind][name])
    for entry in importlib.metadata.entry_points(group=GROUPS[kind], name=name):
        found: Callable[..., Any] = entry.load()
        return found
    known = list(names(kind))
    hint = nearest(name, known) if known else "none is registered"
    end = "" if hint.endswith("?") else "."
    raise ValueError(
        f'{kind} {name!r} is not known: {hint}{end} A function of your own is "module:function"'
    )


def names(kind: Kind) -> dict[str, str]:
    """Every name of that kind, and where it comes from."""
    entries = importlib.metadata.entry_points(group=GROUPS[kind])
    return {
        **{entry.name: entry.value for entry in entries},
        **dict.fromkeys(BUILT_IN[kind], "built in"),
        **{n: f"{made.__module__}:{made.__qualname__}" for n, made in _registered[kind].items()},
    }


def is_own(kind: Kind, name: str) -> bool:
    """Whether a name is built in: what it calls is this package's own."""
    return name in BUILT_IN[kind] and name not in _registered[kind]


def _imported(kind: str, path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        if isinstance(error, ImportError) and error.name not in (module, module.partition(".")[0]):
            raise  # the module is there, and what it needs is not
        raise ValueError(
            f"{kind} {path!r} cannot be imported: {error}. Modules are looked for beside the "
            "experiment's file and where Python finds others"
        ) from error
    if not callable(found):
        raise ValueError(f"{kind} {path!r} is no function: {type(found).__name__}")
    made: Callable[..., Any] = found
    return made


def check(made: Callable[..., Any], given: Mapping[str, Any], what: str, offered: set[str]) -> None:
    """Refuse arguments that it does not take, and say the nearest.

    Raises
    ------
    ValueError
    """
    known = _arguments(made)
    if known is None:
        return
    for name in given:
        if name not in known:
            raise ValueError(f"{what}.{name} is no argument of it; {nearest(name, list(known))}")
    missing = [n for n, needed in known.items() if needed and n not in {*given, *offered}]
    if missing:
        raise ValueError(f"{what}.{missing[0]} is missing, which {made.__name__} needs")


def call(
    made: Callable[..., Any], given: Mapping[str, Any], what: str, offered: Mapping[str, Any]
) -> Any:
    """Call with the arguments given, and those offered that it takes.

    Raises
    ------
    ValueError
        If an argument is not known, or one is missing.
    """
    check(made, given, what, set(offered))
    known = _arguments(made)
    taken = {} if known is None else {n: v for n, v in offered.items() if n in known}
    return made(**{**taken, **given})


def _arguments(made: Callable[..., Any]) -> dict[str, bool] | None:
    """Each argument by name, and whether it must be given; None where any is taken."""
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default is p.empty for p in parameters if p.kind in kinds}
