"""``coflect`` on the command line.

``coflect doctor`` says what is installed and which kernels run: the first thing a report of a fault
should hold. No framework is imported for it. ``coflect run train.py`` runs a script whose trainings
other processes may show and steer.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

from coflect_widget.elsewhere.serving import run_served
from coflect_widget.native import kernels

_PACKAGES = ("numpy", "torch", "keras", "tensorflow", "anywidget", "jupyterlab")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process where left out.
    """
    parser = argparse.ArgumentParser(prog="coflect", description="Steer a running training.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what is installed, and which kernels run")
    run = commands.add_parser("run", help="run a script whose trainings are steered from elsewhere")
    run.add_argument("script", help="a Python script; it needs no change")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script is given")
    given = parser.parse_args(arguments)
    if given.command == "run":
        return run_served(given.script, given.arguments)
    sys.stdout.write(doctor())
    return 0


def doctor() -> str:
    """Versions of what matters here, and which kernels run and why; one line each."""
    found = kernels()
    lines = [
        ("coflect-widget", _version("coflect-widget")),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.platform()}, {os.cpu_count()} processors"),
        *((name, _version(name)) for name in _PACKAGES),
        ("kernels", f"{found.used}. {found.why}"),
    ]
    return "".join(f"{name:16}{text}\n" for name, text in lines)


def _version(package: str) -> str:
    # The module "tensorflow" comes from several distributions.
    for name in importlib.metadata.packages_distributions().get(package, [package]):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


if __name__ == "__main__":
    raise SystemExit(main())
