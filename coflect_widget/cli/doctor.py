"""``coflect doctor``: what is installed and which kernels run.

The first thing that a report of a fault should hold. No framework is imported for it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys

from coflect_widget.cli.answer import Answer, Commands, command

_PACKAGES = ("numpy", "torch", "keras", "tensorflow", "anywidget", "jupyterlab")


def add(commands: Commands) -> None:
    """Add the command."""
    command(commands, "doctor", _doctor, "what is installed, and which kernels run")


def doctor() -> str:
    """Versions of what matters here, and which kernels run and why; one line each."""
    return "".join(f"{name:16}{text}\n" for name, text in _facts().items())


def _doctor(_: argparse.Namespace) -> Answer:
    return _facts(), doctor()


def _facts() -> dict[str, str]:
    from coflect_widget.native import kernels

    found = kernels()
    return {
        "coflect-widget": _version("coflect-widget"),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {os.cpu_count()} processors",
        **{name: _version(name) for name in _PACKAGES},
        "kernels": f"{found.used}. {found.why}",
    }


def _version(package: str) -> str:
    # The module "tensorflow" comes from several distributions.
    for name in importlib.metadata.packages_distributions().get(package, [package]):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"
