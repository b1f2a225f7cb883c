"""Which backend trains a model, and which parts of the package serve it.

The parts are import paths, so that no framework is imported before a model of it arrives.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from coflect_widget.backends.base import MissingFrameworkError

#: Entry points of this group are backends: the entry's name, and a factory as for
#: `register_backend`.
ENTRY_POINTS = "coflect.backends"


@dataclass(frozen=True, slots=True)
class BackendParts:
    """A backend's factory, and what is known of it before it is called.

    Attributes
    ----------
    backend
        Makes a `Backend`: an import path ("module:name"), or the thing itself; see
        `register_backend`. None where `entry` gives it.
    explainer
        `Backend.explainer`, which workers import while the backend is made; "" where not known yet.
    imports
        Modules that its workers need and may be forked with, once they are imported; () where
        workers cannot be forked.
    recognises
        Whether a model is for it; None where its class tells, or nobody knows.
    package, install
        What must be importable, and how to get it.
    entry
        Imports the factory of an installed package, which is not done before it is asked for.
    tasks
        Names of tasks that another factory makes the backend for, as `backend`.
    by_name
        Module with the optimizers and losses that an experiment's file calls by a name; "" where
        there is none.
    """

    backend: str | Callable[..., Any] | None
    explainer: str = ""
    imports: tuple[str, ...] = ()
    recognises: Callable[[object], bool] | None = None
    package: str = ""
    install: str = ""
    entry: Callable[[], Any] | None = None
    tasks: Mapping[str, str] = field(default_factory=dict)
    by_name: str = ""

    def factory(self, task: str | None) -> Any:
        """What makes a backend for this task, as `backend`."""
        return self.tasks.get(task or "", self.backend)

    @classmethod
    def of(cls, factory: Callable[..., Any]) -> BackendParts:
        """What a factory says of itself: a plain function says nothing."""
        explainer = getattr(factory, "explainer", "")
        return cls(factory, explainer, recognises=getattr(factory, "recognises", None))


BACKENDS = {
    "torch": BackendParts(
        backend="coflect_widget.backends.torch.spread:for_model",
        explainer="coflect_widget.backends.torch.methods:load",
        imports=("coflect_widget.backends.torch.methods", "scipy.ndimage"),
        package="torch",
        by_name="coflect_widget.backends.torch.by_name",
        tasks={
            "own_loss": "coflect_widget.backends.torch.spread:for_losses",
            "segmentation": "coflect_widget.backends.torch.segmentation:SegmentationBackend",
        },
        install="pip install 'coflect-widget[torch]'",
    ),
    "keras": BackendParts(
        backend="coflect_widget.backends.keras.backend:KerasBackend",
        explainer="coflect_widget.backends.keras.methods:load",
        by_name="coflect_widget.backends.keras.by_name",
        package="keras",
        tasks={
            "multi_label": "coflect_widget.backends.keras.numbers:LabelsBackend",
            "regression": "coflect_widget.backends.keras.numbers:ValuesBackend",
            "segmentation": "coflect_widget.backends.keras.segmentation:SegmentationBackend",
        },
        install="pip install 'coflect-widget[keras]'",
    ),
}


def imports_of(explainer: str) -> tuple[str, ...]:
    """`BackendParts.imports` of the backend that has this explainer."""
    return next((p.imports for p in BACKENDS.values() if p.explainer == explainer), ())


_registered: dict[str, BackendParts] = {}


def register_backend(name: str, factory: Callable[..., Any]) -> None:
    """Let sessions train models of another framework, or in another way.

    ``Session(model, ..., backend=name)`` takes it then; without ``backend=`` it is taken for
    models that ``factory.recognises(model)`` is true for, if the factory has such a method. A
    package may name its factory in the entry-point group ``coflect.backends`` instead.

    Parameters
    ----------
    name : str
        Registering a name again replaces what was registered under it.
    factory : callable
        ``factory(model, train_data, val_data, *, num_classes, loss, optimizer, scheduler,
        batch_size, config)`` gives a `backends.base.Backend`; what it lacks of those methods that
        have an answer in `backends.defaults` it is given. With ``structure()`` and ``explainer``
        its samples get maps, and with ``task`` it says itself what is right and wrong.

    Raises
    ------
    ValueError
        If the name belongs to a built-in backend.
    TypeError
        If the factory cannot be called.
    """
    if name in BACKENDS:
        raise ValueError(f"name={name!r} is a built-in backend; choose another name")
    if not isinstance(name, str) or not name:
        raise TypeError(f"name={name!r} must be a word, such as 'numpy'")
    if not callable(factory):
        raise TypeError(f"factory={factory!r} must be a class or function that makes a backend")
    _registered[name] = BackendParts.of(factory)


def find_backend(model: object, name: str | None) -> BackendParts:
    """Parts for `name`, or for the framework that `model`'s class comes from.

    Raises
    ------
    ValueError
        If `name` is not a backend, the model belongs to none, or to more than one.
    MissingFrameworkError
        If the framework is not installed; the message has the pip command.
    """
    if name is None:
        return _installed(*_recognised(model))
    found = BACKENDS.get(name) or _registered.get(name) or _entry_points().get(name)
    if found is None:
        known = ", ".join([*BACKENDS, *_registered, *_entry_points()])
        raise ValueError(f"backend={name!r} is not known; known are: {known}")
    return _installed(name, found)


def _recognised(model: object) -> tuple[str, BackendParts]:
    roots = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    found = {name: parts for name, parts in BACKENDS.items() if name in roots}
    # What is installed beside is asked only where nothing nearer is meant: it must be imported.
    others = _registered if found else {**_entry_points(), **_registered}
    found |= {n: p for n, p in others.items() if p.recognises is not None and p.recognises(model)}
    if len(found) > 1:
        names = " and ".join(repr(name) for name in found)
        raise ValueError(
            f"model={type(model).__name__!r} could be trained by the backends {names}; say which, "
            f"for example Session(model, ..., backend={next(iter(found))!r})"
        )
    if not found:
        known = ", ".join([*BACKENDS, *_registered])
        raise ValueError(
            f"model={type(model).__name__!r} is of no known framework ({known}); pass a "
            "torch.nn.Module or a keras.Model, or name a backend with backend="
        )
    return next(iter(found.items()))


def _entry_points() -> dict[str, BackendParts]:
    """Backends of installed packages; none of them is imported before it is asked for."""
    return {
        entry.name: BackendParts(
            None, recognises=partial(_recognised_by, entry.load), entry=entry.load
        )
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)
        if entry.name not in BACKENDS
    }


def _recognised_by(entry: Callable[[], Any], model: object) -> bool:
    try:
        recognises = BackendParts.of(entry()).recognises
        return recognises is not None and bool(recognises(model))
    except Exception:  # noqa: BLE001 - another package's fault must not stop this session
        return False


def _installed(name: str, parts: BackendParts) -> BackendParts:
    if parts.entry is not None:
        return BackendParts.of(parts.entry())
    if not parts.package:
        return parts
    try:
        importlib.import_module(parts.package)
    except ImportError as error:
        raise MissingFrameworkError(
            f"backend {name!r} needs the package {parts.package!r}, which is not installed; "
            f"run: {parts.install}"
        ) from error
    return parts


def takes(factory: Callable[..., Any], argument: str) -> bool:
    """Whether a backend's factory has a keyword argument of this name."""
    known = inspect.signature(factory).parameters
    return argument in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def resolve(path: Any) -> Any:
    """Import "module:name"; all else is given back."""
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
