"""Weights & Biases, online or offline, through its own client."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import Image

from coflect_widget.events import RunState
from coflect_widget.records.sinks.tracker import Facts, Plain, Tracker

PROJECT = "coflect"


class Wandb(Tracker):
    """Logs a run to Weights & Biases.

    Settings are its config, what people did its notes. Charts have the metric ``step`` below them:
    validations of an earlier step arrive after later training steps.

    Parameters
    ----------
    project : str, optional
        ``WANDB_PROJECT`` or "coflect" if left out.
    pictures : int
        How many maps at most.
    **options
        More arguments of ``wandb.init``, such as ``mode="offline"``, ``entity`` and ``dir``.
    """

    name = "wandb"
    client = package = "wandb"

    def __init__(self, project: str | None = None, *, pictures: int = 100, **options: Any) -> None:
        super().__init__(pictures=pictures)
        self._project = project
        self._options = options
        self._there: Any = None

    def begin(self, facts: Facts) -> None:
        """Make the run; other runs of this process and their output are left alone."""
        import os

        import wandb

        self._wandb = wandb
        self._notes: list[str] = []
        quiet = wandb.Settings(console="off", silent=True)
        options: dict[str, Any] = {
            "project": self._project or os.environ.get("WANDB_PROJECT") or PROJECT,
            "name": facts.run_id,
            "config": facts.params | {"coflect": dict(facts.tags)},
            "settings": quiet,
            "reinit": "create_new",
        }
        self._there = wandb.init(**options | self._options)
        self._there.define_metric("*", step_metric="step")

    def params(self, values: Mapping[str, Plain]) -> None:
        """Add to the config."""
        self._there.config.update(dict(values))

    def metrics(self, values: Mapping[str, float], step: int, when: datetime) -> None:
        """Log one row."""
        self._there.log({**values, "step": step})

    def note(self, text: str, step: int, when: datetime) -> None:
        """Add a line to the notes."""
        self._notes.append(f"step {step}: {text}")
        self._there.notes = "\n".join(self._notes)

    def picture(self, name: str, png: bytes, step: int, when: datetime) -> None:
        """Log an image."""
        with Image.open(io.BytesIO(png)) as image:
            self._there.log({name: self._wandb.Image(image.convert("RGB")), "step": step})

    def state(self, state: RunState, when: datetime) -> None:
        """Kept in the summary."""
        self._there.summary["state"] = state

    def finish(self, tags: Mapping[str, Plain]) -> None:
        """End the run there."""
        own = [name if value is True else f"{name}={value}" for name, value in tags.items()]
        self._there.tags = tuple(tag[:64] for tag in own)  # it takes no longer ones
        failed = self._there.summary.get("state") == "failed"
        self._there.finish(exit_code=1 if failed else 0)
