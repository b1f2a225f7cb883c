"""The part of a `Session` for its forecasts: the queue's mode, suspected labels, advice."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from pathlib import Path

from coflect_widget import events
from coflect_widget.records.cells import Pictured
from coflect_widget.records.checkpoint_files import (
    Checkpoint,
    look_at,
    read_checkpoint,
    run_of,
)
from coflect_widget.session.arguments import whole_number
from coflect_widget.session.drawing import suspected
from coflect_widget.session.held import Held
from coflect_widget.session.labels import Suspect

_VERDICTS = ("right", "wrong", "leave out", "undo")


class Reviews(Held):
    """Mixed into `Session`: the queue's mode, suspected labels, and the review window."""

    @property
    def onset(self) -> bool:
        """Whether the queue holds only samples that are right now and will fail; may be set."""
        return self._made().forecaster.onset

    @onset.setter
    def onset(self, only: bool) -> None:
        self._led().desk.set_queue(onset=bool(only))

    @property
    def advice(self) -> events.Advice | None:
        """What is worth doing next, in one sentence with its figures (``.text``), if anything."""
        return self._made().coach.advice

    @property
    def suspects(self) -> Pictured[Suspect]:
        """Samples whose label may be wrong, most doubtful first, then those that were judged."""
        parts = self._made()
        return suspected(parts.labels.suspects(), self.classes, parts.gallery)

    def judge(self, index: int, verdict: events.Verdict, label: int | None = None) -> events.Judged:
        """Say what is to become of a sample whose label is in doubt.

        Training follows from the next step on; a later verdict on the same sample replaces it.

        Parameters
        ----------
        index : int
            The sample's place in the training data.
        verdict : {"right", "wrong", "leave out", "undo"}
            The label is right and no longer suspected; it is wrong, and the sample is trained
            under `label`; the sample is left out of training; all as it was.
        label : int, optional
            With "wrong": the label; what the model last predicted if left out.

        Returns
        -------
        Judged
            What is recorded, once it is on disk.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        TimeoutError
            If training did not come to its next step within a minute.
        """
        if verdict not in _VERDICTS:
            raise ValueError(f"verdict={verdict!r}; expected one of {', '.join(_VERDICTS)}")
        command = events.Judge(
            index=whole_number(index, "index"),
            verdict=verdict,
            label=None if label is None else whole_number(label, "label"),
        )
        try:
            return self._led().desk.judge(command).result(60)
        except FutureTimeoutError:
            raise TimeoutError("training did not come to a step's end within a minute") from None

    def open_window(self) -> None:
        """Open the review window by hand; the next intervention shuts it."""
        self._led().desk.open_window()

    def restore_forecast(self, checkpoint: Checkpoint | str | Path) -> None:
        """Let the forecast begin with what a checkpoint of another session knows of the samples.

        For a new training of the same data; ``Session(..., resume=run)`` goes on with all of it.

        Parameters
        ----------
        checkpoint : Checkpoint or path
            Such as ``coflect.open_run(path).checkpoints.last``.

        Raises
        ------
        ValueError
            If it is no checkpoint, or of other training data.
        """
        parts = self._open()
        path = checkpoint.path if isinstance(checkpoint, Checkpoint) else checkpoint
        folder, name = run_of(Path(path).expanduser())
        remember = partial(parts.labels.remember, read_checkpoint(look_at(folder, name)))
        parts.controls.submit(remember).result(60)
        parts.forecaster.drain(60)
