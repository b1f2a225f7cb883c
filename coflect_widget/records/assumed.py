"""What a session guessed about model and data, kept in ``config.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    file = path / "config.yaml"
    try:
        facts = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML ({error})") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{file} is no mapping")
    known = facts.get("assumed", [])
    new = [sentence for sentence in sentences if sentence not in known]  # of a run gone on with
    if "assumed" in facts and not new:
        return
    facts["assumed"] = [*known, *new]
    write_whole(file, yaml.safe_dump(facts, sort_keys=False, allow_unicode=True))
