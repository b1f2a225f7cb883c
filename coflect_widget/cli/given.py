"""Models and data on the command line: functions of the user's own, by module and name.

Nothing in a run folder is imported: the module is one that Python finds, or a file where the
command was called.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any


def called(what: str, path: str, run: Path) -> Any:
    """What `named` finds, called without arguments."""
    return named(what, path, run)()


def named(what: str, path: str, run: Path) -> Any:
    """The function or class of "module:name".

    Parameters
    ----------
    what : str
        Name of the option, for messages.
    path : str
    run : Path
        The run folder, of which nothing is imported.

    Raises
    ------
    ValueError
        If it is no such path, or the module lies in the run folder.
    ImportError, LookupError
        If there is no such module, or nothing of that name in it.
    """
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"{what} {path!r} must be module:function, for example nets:make")
    here, inside = str(Path.cwd()), run.resolve()
    if here not in sys.path and not Path(here).resolve().is_relative_to(inside):
        sys.path.insert(0, here)
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        _check(what, path, ".".join(parts[:count]), inside)  # imports what is above, now checked
    value = getattr(importlib.import_module(module), name, None)
    if not callable(value):
        raise LookupError(f"{what} {path!r}: {module!r} has no function or class {name!r}")
    return value


def _check(what: str, path: str, module: str, inside: Path) -> None:
    """Raise where there is no such module, or where its file lies in the run folder."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:  # what is above is no package, or imports what is missing
        if error.name != module:
            raise
        found = None
    if found is None:
        raise ImportError(
            f"{what} {path!r}: there is no module {module!r} here ({Path.cwd()}) or on Python's "
            "path; call the command in the folder where it lies, or set PYTHONPATH"
        )
    places = [found.origin or "", *(found.submodule_search_locations or ())]
    if any(place and Path(place).resolve().is_relative_to(inside) for place in places):
        raise ValueError(
            f"{what} {path!r} lies in the run folder, of which nothing is executed; copy it "
            "elsewhere if you trust it"
        )
