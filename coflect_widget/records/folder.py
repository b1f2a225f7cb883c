"""The run folder: its name, its layout, and the facts that are written once at the start."""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from coflect_widget.config import Config
from coflect_widget.events import SCHEMA_VERSION
from coflect_widget.native import kernels
from coflect_widget.records.durable import replacing
from coflect_widget.records.origin import git_state, host, missing

_NAME = re.compile(r"run_(\d+)_\d{8}_\d{4}$")
_UNNAMED = ".run_being_made_"
_ABANDONED = 3600.0  # seconds; making a folder takes milliseconds
_PACKAGES = ("coflect-widget", "torch", "tensorflow", "keras", "numpy", "anywidget")


def runs_root(given: str | Path | None = None) -> Path:
    """The folder of runs: as given, else ``COFLECT_ROOT`` of the environment, else ``runs``."""
    return Path(given if given is not None else os.environ.get("COFLECT_ROOT") or "runs")


def make_run_folder(run_dir: Path) -> Path:
    """Make the next ``run_NNN_YYYYMMDD_HHMM`` under `run_dir`; safe against other processes.

    The folder appears in one step with all that makes it a run, so that a process that is killed
    meanwhile leaves a run that opens, or none. ``~`` is the home folder.

    Raises
    ------
    OSError
        If `run_dir` cannot be made or written to; the message says what to do.
    """
    run_dir = run_dir.expanduser()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(run_dir)
        number = max(
            (int(found[1]) for path in run_dir.iterdir() if (found := _NAME.match(path.name))),
            default=0,
        )
        unnamed = run_dir / f"{_UNNAMED}{secrets.token_hex(8)}"
        unnamed.mkdir()
        for part in ("overlays", "checkpoints"):
            (unnamed / part).mkdir()
        (unnamed / "events.jsonl").touch()
        while True:
            number += 1
            path = run_dir / f"run_{number:03d}_{datetime.now():%Y%m%d_%H%M}"
            if any(run_dir.glob(f"run_{number:03d}_*")):
                continue
            try:
                unnamed.rename(path)  # atomic: of two processes that ask for one name, one fails
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                continue
            return path
    except OSError as error:
        raise OSError(
            error.errno,
            f"run_dir={str(run_dir)!r} cannot be used: {error.strerror}; "
            "pass a folder you may write to, for example Session(..., run_dir='/tmp/runs')",
        ) from error


def _remove_abandoned(run_dir: Path) -> None:
    """Remove what processes left that were killed before their run folder had its name."""
    for path in run_dir.glob(f"{_UNNAMED}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED and not path.is_symlink():
                shutil.rmtree(path)


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text` so that a reader sees the old file or the new, never half."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_facts(
    path: Path,
    config: Config,
    data: dict[str, Any],
    *,
    device: str | None = None,
    counts: dict[str, int] | None = None,
) -> None:
    """Write ``config.yaml`` (settings, versions, data) and ``meta.json`` (when and where).

    Parameters
    ----------
    path : Path
        The run folder.
    config : Config
    data : dict
        Of the training data: ``fingerprint``, ``num_train``, ``num_val``, ``classes``.
    device : str, optional
    counts : dict, optional
        Training samples of each class, by its name.
    """
    versions = {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "kernels": kernels().used,
    }
    write_whole(
        path / "config.yaml",
        yaml.safe_dump(
            {
                "config": config.model_dump(mode="json"),
                "seed": config.seed,
                "data": data,
                "versions": versions,
            },
            sort_keys=False,
            allow_unicode=True,
        ),
    )
    facts = {
        "schema_version": SCHEMA_VERSION,
        "run_id": path.name,
        "started": datetime.now(UTC).isoformat(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "host": host(),
        "user": user_name(),
        "script": str(Path(sys.argv[0]).name) if sys.argv and sys.argv[0] else None,
        "git": git_state(Path.cwd()),
        "device": device,
        "versions": versions,
        "seed": config.seed,
        "data": {
            "fingerprint": data.get("fingerprint"),
            "num_train": data.get("num_train"),
            "num_val": data.get("num_val"),
            "class_counts": counts,
        },
    }
    write_whole(path / "meta.json", json.dumps({**facts, "missing": missing(facts)}, indent=1))


def user_name() -> str | None:
    """The machine's name for the user, or None where it has none (some containers)."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def fingerprint(labels: NDArray[Any], inputs: list[NDArray[Any]]) -> str:
    """SHA-256 over the number of samples, all labels and the given inputs (a spread of them)."""
    digest = hashlib.sha256(str(len(labels)).encode())
    digest.update(np.ascontiguousarray(labels).tobytes())
    for sample in inputs:
        digest.update(np.ascontiguousarray(sample).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
