"""trackio: a local dashboard, or one on a Hugging Face Space, through its own client."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import Image

from coflect_widget.events import RunState
from coflect_widget.records.sinks.tracker import Facts, Plain, Tracker

PROJECT = "coflect"


class Trackio(Tracker):
    """Logs a run to trackio; ``trackio show --project coflect`` shows it.

    Parameters
    ----------
    project : str
    pictures : int
        How many maps at most.
    **options
        More arguments of ``trackio.init``, such as ``space_id``.
    """

    name = "trackio"
    client = package = "trackio"

    def __init__(self, project: str = PROJECT, *, pictures: int = 100, **options: Any) -> None:
        super().__init__(pictures=pictures)
        self._project = project
        self._options = options
        self._there: Any = None

    def begin(self, facts: Facts) -> None:
        """Make the run; its config is sent with the first row."""
        import trackio

        self._trackio = trackio
        self._notes: list[str] = []
        options: dict[str, Any] = {
            "project": self._project,
            "name": facts.run_id,
            "config": {**facts.params, **facts.tags},
            "embed": False,
            "auto_log_cpu": False,
            "auto_log_gpu": False,
        }
        self._there = trackio.init(**options | self._options)

    def params(self, values: Mapping[str, Plain]) -> None:
        """Add to the config."""
        self._there.config.update(values)

    def metrics(self, values: Mapping[str, float], step: int, when: datetime) -> None:
        """Log one row."""
        self._there.log(dict(values), step=step)

    def note(self, text: str, step: int, when: datetime) -> None:
        """Log all notes so far as a text."""
        self._notes.append(f"- step {step}: {text}\n")
        notes = self._trackio.Markdown("".join(self._notes))
        self._there.log({"notes": notes}, step=step)

    def picture(self, name: str, png: bytes, step: int, when: datetime) -> None:
        """Log an image."""
        with Image.open(io.BytesIO(png)) as image:
            shown = self._trackio.Image(image.convert("RGB"))
        self._there.log({name: shown}, step=step)

    def state(self, state: RunState, when: datetime) -> None:
        """There are no states there."""

    def finish(self, tags: Mapping[str, Plain]) -> None:
        """End the run there."""
        self._there.finish()
