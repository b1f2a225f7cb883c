"""Which backend trains a model, and which parts of the package serve it.

The parts are import paths, so that no framework is imported before a model of it arrives.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coflect_widget.backends.base import MissingFrameworkError

#: Entry points of this group are backends: the entry's name, and a factory as for
#: `register_backend`.
ENTRY_POINTS = "coflect.backends"


@dataclass(frozen=True, slots=True)
class BackendParts:
    """What belongs to one framework: import paths ("module:name"), or the things themselves.

    Attributes
    ----------
    backend
        Makes a `Backend`; see `register_backend`.
    structure
        Called once in the kernel: the backend's model -> bytes for the worker. None where the
        backend has a method ``structure()`` of its own, or gives no maps.
    check_layer
        (structure, input shape, layer name or None) -> name; raises if there is none.
    guidance
        Class whose instances turn a GuidanceState into a loss; None where the backend's own
        ``set_guidance`` does it.
    measure
        (structure, weights, readings.Request) -> Readings, in a worker process; None where effects
        of interventions are not measured.
    package, install
        What must be importable, and how to get it.
    """

    backend: str | Callable[..., Any]
    structure: str | None = None
    check_layer: str | None = None
    guidance: str | None = None
    package: str = ""
    install: str = ""
    measure: str | None = None


BACKENDS = {
    "torch": BackendParts(
        backend="coflect_widget.backends.torch.backend:TorchBackend",
        structure="coflect_widget.backends.torch.methods:structure",
        check_layer="coflect_widget.backends.torch.methods:check_layer",
        guidance="coflect_widget.backends.torch.guidance:TorchGuidance",
        package="torch",
        install="pip install 'coflect-widget[torch]'",
        measure="coflect_widget.backends.torch.measure:measure",
    ),
    "keras": BackendParts(
        backend="coflect_widget.backends.keras.backend:KerasBackend",
        structure="coflect_widget.backends.keras.methods:structure",
        check_layer="coflect_widget.backends.keras.methods:check_layer",
        guidance="coflect_widget.backends.keras.guidance:KerasGuidance",
        package="keras",
        install="pip install 'coflect-widget[keras]'",
        measure="coflect_widget.backends.keras.measure:measure",
    ),
}

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
        batch_size, config)`` gives an object with the methods of `backends.base.Backend`,
        besides ``model``, ``labels()`` and ``probes()``. With ``structure()``, which gives
        bytes, and ``explainer``, the import path of what makes a `attribution.worker.Explainer`
        of them in a worker, its samples get maps. With ``task``, a `tasks.base.Task`, it says
        itself what is right and wrong; else its ``num_classes`` do.

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
    _registered[name] = BackendParts(backend=factory)


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
    for name, parts in others.items():
        recognises = getattr(parts.backend, "recognises", None)
        if recognises is not None and recognises(model):
            found[name] = parts
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
    found = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name not in BACKENDS:
            found[entry.name] = BackendParts(backend=_Late(entry))
    return found


class _Late:
    """A factory behind an entry point."""

    def __init__(self, entry: importlib.metadata.EntryPoint) -> None:
        self._entry = entry

    def load(self) -> Any:
        return self._entry.load()

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return self.load()(*arguments, **more)

    def recognises(self, model: object) -> bool:
        try:
            recognises = getattr(self._entry.load(), "recognises", None)
        except Exception:  # noqa: BLE001 - another package's fault must not stop this session
            return False
        return recognises is not None and bool(recognises(model))


def _installed(name: str, parts: BackendParts) -> BackendParts:
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
    """Import "module:name", or what an entry point names; all else is given back."""
    if isinstance(path, _Late):
        return path.load()
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
