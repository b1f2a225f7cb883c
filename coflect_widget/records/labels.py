"""What a person says of a whole run: tags, notes, and whether it is put away.

All of it is in ``labels.json`` of the run folder, so that it can be changed long after the run
ended, by hand too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coflect_widget.records.folder import write_whole
from coflect_widget.records.inside import is_there, read_text

LABELS = "labels.json"
_BYTES = 2**20
_LONGEST = 10_000  # characters of a tag or a note
Tag = str | int | float | bool


@dataclass(frozen=True)
class Labels:
    """Tags by name, notes in the order they were written, and whether the run is archived."""

    tags: dict[str, Tag] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    archived: bool = False


def read_labels(path: Path) -> Labels:
    """Labels of a run folder; none where it has none.

    Raises
    ------
    ValueError
        If the file is damaged; the message names it.
    """
    if not is_there(path, LABELS):
        return Labels()
    try:
        found = json.loads(read_text(path, LABELS, _BYTES))
        tags, notes = found.get("tags", {}), found.get("notes", [])
        whole = (
            isinstance(tags, dict)
            and all(isinstance(tag, str | int | float) for tag in tags.values())
            and isinstance(notes, list)
            and all(isinstance(note, str) for note in notes)
        )
    except (AttributeError, ValueError, OSError, RecursionError) as error:
        raise ValueError(_damaged(path, str(error))) from None
    if not whole:
        raise ValueError(_damaged(path, "tags are plain values by name, notes a list of texts"))
    return Labels(tags, notes, found.get("archived") is True)


def write_labels(path: Path, labels: Labels) -> None:
    """Replace the labels of a run folder; they are on disk afterwards.

    Raises
    ------
    OSError
        If the disk refuses; the labels are then as they were.
    """
    write_whole(path / LABELS, json.dumps(asdict(labels), indent=1, ensure_ascii=False))


def check_tags(tags: dict[str, Any]) -> dict[str, Tag]:
    """The tags, or a TypeError that names the one that is no text, number or truth value."""
    for name, value in tags.items():
        if not isinstance(value, str | int | float):
            raise TypeError(
                f"tag {name}={value!r} is of type {type(value).__name__}; a tag is a text, a "
                f"number, True or False, for example {name}={str(value)[:20]!r}"
            )
        if isinstance(value, str) and len(value) > _LONGEST:
            raise ValueError(f"tag {name} has {len(value):,} characters; at most {_LONGEST:,}")
    return tags


def check_note(text: Any) -> str:
    """The note, or an error where it is no text, empty, or too long."""
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        raise ValueError(f"a note is a text of 1 to {_LONGEST:,} characters, not {text!r:.60}")
    return text


def _damaged(path: Path, problem: str) -> str:
    return f"{str(path / LABELS)!r} is damaged: {problem}. Mend it or delete it"
