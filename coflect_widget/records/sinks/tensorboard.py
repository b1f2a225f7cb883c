"""TensorBoard's event files, written with its own records; no framework is imported for them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from coflect_widget.events import RunState
from coflect_widget.records.sinks.tracker import Facts, Plain, Tracker

_FOLDER = "tensorboard"
_MOST_FOLDERS = 1000


class TensorBoard(Tracker):
    """Writes the event files that ``tensorboard --logdir runs`` shows.

    Metrics are scalars, settings are in the tab "HParams", notes are texts and maps are images.

    Parameters
    ----------
    logdir : path, optional
        Where each run gets a folder of its name; left out, the files are in the run folder, in
        ``tensorboard``. A folder that is there already is left alone, and the next has a number.
    pictures : int
        How many maps at most.
    """

    name = "tensorboard"
    client = package = "tensorboard"

    def __init__(self, logdir: str | Path | None = None, *, pictures: int = 100) -> None:
        super().__init__(pictures=pictures)
        self._logdir = None if logdir is None else Path(logdir).expanduser()
        #: Of the newest run, once it has begun.
        self.folder: Path | None = None
        self._file: BinaryIO | None = None

    def begin(self, facts: Facts) -> None:
        """Make the file."""
        from tensorboard.compat.proto import (
            event_pb2,
            summary_pb2,
            tensor_pb2,
            tensor_shape_pb2,
            types_pb2,
        )
        from tensorboard.plugins.hparams import summary_v2 as hparams
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2
        self._hparams = hparams
        shape = tensor_shape_pb2.TensorShapeProto
        self._tensor = partial(
            tensor_pb2.TensorProto,
            dtype=types_pb2.DT_STRING,
            tensor_shape=shape(dim=[shape.Dim(size=1)]),
        )
        self._facts, self._params, self._set = facts, dict(facts.params), False
        stem = self._run.path / _FOLDER if self._logdir is None else self._logdir / facts.run_id
        self.folder = _new_folder(stem)
        self._file = (self.folder / f"events.out.tfevents.{facts.run_id}").open("xb")
        self._writer = RecordWriter(self._file)
        self._put(self._event(file_version="brain.Event:2"), 0, datetime.now())

    def params(self, values: Mapping[str, Plain]) -> None:
        """Write all settings; TensorBoard takes them once."""
        self._params.update(values)
        self._set = True
        started = self._params
        kept = {k: v if isinstance(v, bool | int | float) else str(v) for k, v in started.items()}
        self._add(
            0, datetime.now(), summary=self._hparams.hparams_pb(kept, trial_id=self._facts.run_id)
        )
        rows = "".join(f"| {k} | {_cell(v)} |\n" for k, v in started.items())
        self._text("settings", f"| setting | value |\n|---|---|\n{rows}", 0, datetime.now())

    def metrics(self, values: Mapping[str, float], step: int, when: datetime) -> None:
        """Scalars."""
        made = [self._summary.Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        self._add(step, when, values=made)

    def note(self, text: str, step: int, when: datetime) -> None:
        """A text."""
        self._text("notes", text, step, when)

    def picture(self, name: str, png: bytes, step: int, when: datetime) -> None:
        """An image."""
        with Image.open(io.BytesIO(png)) as image:
            width, height = image.size
        image_proto = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png
        )
        self._add(step, when, values=[self._summary.Summary.Value(tag=name, image=image_proto)])

    def state(self, state: RunState, when: datetime) -> None:
        """Who looks at the screen then sees all of it."""
        self.flush()

    def finish(self, tags: Mapping[str, Plain]) -> None:
        """End the file."""
        if not self._set:  # a run of before has no more of them
            self.params({})
        self._text(
            "tags", "".join(f"- {k}: {_cell(v)}\n" for k, v in tags.items()), 0, datetime.now()
        )
        if self._file is not None:
            self._file.close()
            self._file = None

    def flush(self) -> None:
        """Have it in the file."""
        if self._file is not None:
            self._file.flush()

    def _text(self, tag: str, text: str, step: int, when: datetime) -> None:
        data = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        value = self._summary.Summary.Value(
            tag=tag,
            metadata=self._summary.SummaryMetadata(plugin_data=data),
            tensor=self._tensor(string_val=[text.encode()]),
        )
        self._add(step, when, values=[value])

    def _add(
        self, step: int, when: datetime, *, values: list[Any] | None = None, summary: Any = None
    ) -> None:
        if summary is None:
            summary = self._summary.Summary(value=values)
        self._put(self._event(summary=summary), step, when)

    def _put(self, event: Any, step: int, when: datetime) -> None:
        event.step, event.wall_time = step, when.timestamp()
        self._writer.write(event.SerializeToString())


def _new_folder(stem: Path) -> Path:
    """Make the folder, or where there is one, the first of ``NAME_2``, ``NAME_3`` that is free."""
    for number in range(1, _MOST_FOLDERS):
        folder = stem if number == 1 else stem.with_name(f"{stem.name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{str(stem)!r} is there {_MOST_FOLDERS} times; remove some of them")


def _cell(value: Plain) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
