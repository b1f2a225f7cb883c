"""Which backend trains a model, and which parts of the package serve it.

The parts are import paths, so that no framework is imported before a model of it arrives.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from coflect_widget.backends.base import MissingFrameworkError


@dataclass(frozen=True, slots=True)
class BackendParts:
    """Import paths ("module:name") of what belongs to one framework."""

    backend: str  # class with the Backend protocol
    structure: str  # called once in the kernel: model -> bytes for the worker
    check_layer: (
        str  # (structure, input shape, layer name or None) -> name; raises if there is none
    )
    guidance: str  # class whose instances turn a GuidanceState into a loss
    package: str  # what must be importable
    install: str  # how to get it


BACKENDS = {
    "torch": BackendParts(
        backend="coflect_widget.backends.torch:TorchBackend",
        structure="coflect_widget.attribution.torch_methods:structure",
        check_layer="coflect_widget.attribution.torch_methods:check_layer",
        guidance="coflect_widget.guidance.torch_losses:TorchGuidance",
        package="torch",
        install="pip install 'coflect-widget[torch]'",
    ),
}


def find_backend(model: object, name: str | None) -> BackendParts:
    """Parts for `name`, or for the framework that `model`'s class comes from.

    Raises
    ------
    ValueError
        If `name` is not a backend, or the model belongs to none.
    MissingFrameworkError
        If the framework is not installed; the message has the pip command.
    """
    if name is None:
        roots = {base.__module__.partition(".")[0] for base in type(model).__mro__}
        name = next((known for known in BACKENDS if known in roots), None)
        if name is None:
            raise ValueError(
                f"model={type(model).__name__!r} is of no known framework "
                f"({', '.join(BACKENDS)}); pass a torch.nn.Module, or name one with backend="
            )
    if name not in BACKENDS:
        raise ValueError(f"backend={name!r} is not known; known are: {', '.join(BACKENDS)}")
    parts = BACKENDS[name]
    try:
        importlib.import_module(parts.package)
    except ImportError as error:
        raise MissingFrameworkError(
            f"backend {name!r} needs the package {parts.package!r}, which is not installed; "
            f"run: {parts.install}"
        ) from error
    return parts


def resolve(path: str) -> Any:
    """Import "module:name"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
