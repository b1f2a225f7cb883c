"""Where a run came from: the commit, the machine, the data; null where that cannot be known."""

from __future__ import annotations

import platform
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PATIENCE = 2.0  # seconds for each question to git: a session waits for the answer
_MOST_CLASSES = 10_000


def git_state(folder: Path) -> dict[str, Any]:
    """``commit``, a hash, and ``dirty``, whether tracked files differ from it; None if unknown."""
    commit = _git(folder, "rev-parse", "HEAD")
    changed = None
    if commit is not None:
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def host() -> str | None:
    """The machine's name in its network, or None."""
    try:
        return socket.gethostname() or platform.node() or None
    except OSError:
        return None


def class_counts(
    labels: NDArray[Any] | None, classes: Sequence[str] | None
) -> dict[str, int] | None:
    """How many training samples each class has; None where labels are no class numbers."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return None
    numbers, counts = np.unique(labels, return_counts=True)
    if len(numbers) > _MOST_CLASSES:
        return None
    found = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    names = dict(enumerate(classes or []))
    return {str(names.get(k, k)): found.get(k, 0) for k in sorted({*names, *found})}


def missing(facts: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the facts that are None."""
    found = []
    for name, value in facts.items():
        if value is None:
            found.append(prefix + name)
        elif isinstance(value, dict) and name != "versions":
            found += missing(value, f"{prefix}{name}.")
    return found


def _git(folder: Path, *words: str) -> str | None:
    # A repository's own settings may name a program to run as its file monitor.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            command, cwd=folder, capture_output=True, timeout=_PATIENCE, check=True, text=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
