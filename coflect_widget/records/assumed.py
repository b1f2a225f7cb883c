"""What is added to a run's ``config.yaml``: what a session guessed, and what was to be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from coflect_widget.records.folder import write_whole


def note_assumed(path: Path, sentences: Sequence[str]) -> None:
    """Add sentences to the list ``assumed`` in the ``config.yaml`` of the run folder `path`.

    The list is there from the first call on, also without any.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or written, or is damaged.
    """
    facts = _facts(path)
    known = facts.get("assumed", [])
    new = [sentence for sentence in sentences if sentence not in known]  # of a run gone on with
    if "assumed" in facts and not new:
        return
    _write(path, {**facts, "assumed": [*known, *new]})


def note_experiment(path: Path, values: Mapping[str, Any]) -> None:
    """Put the settings of an experiment, plain values, as ``experiment`` in ``config.yaml``.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or written, or is damaged.
    """
    _write(path, {**_facts(path), "experiment": dict(values)})


def _facts(path: Path) -> dict[str, Any]:
    file = path / "config.yaml"
    try:
        facts = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML ({error})") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{file} is no mapping")
    return facts


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(facts), sort_keys=False, allow_unicode=True)
    write_whole(path / "config.yaml", text)
