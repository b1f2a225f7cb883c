"""The part of a `Session` that writes its model for other programs; training goes on meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

from coflect_widget.backends.portable import Inputs
from coflect_widget.backends.registry import resolve
from coflect_widget.records.checkpoint_files import pick
from coflect_widget.records.exports.exporting import (
    ROWS,
    Export,
    export_model,
    export_weights,
)
from coflect_widget.records.exports.writing import Written, check_form, write
from coflect_widget.records.reopened import Reopened, Way, reopened
from coflect_widget.session.held import Held
from coflect_widget.workers.idle_worker import IdleWorker


class Exports(Held):
    """Mixed into `Session`: the model as a file."""

    def checkpoint(self, name: str | None = None, timeout: float = 600.0) -> Any:
        """Write a checkpoint at the next step boundary; training goes on meanwhile."""
        raise NotImplementedError

    def export(
        self,
        form: str,
        *,
        checkpoint: str | None = None,
        tolerance: float = 1e-4,
        timeout: float = 600.0,
    ) -> Export:
        """Write the model to a file that other programs run, with a model card.

        A training that runs goes on: a process of its own writes the file on time that is left
        over. The file is compared with the model on 64 samples of the validation data, or of the
        training data where there are none. They are read beside the training; where reading draws
        random numbers, as augmentation does, between two steps.

        Parameters
        ----------
        form : {"onnx", "torchscript", "keras", "safetensors"}
        checkpoint : str, optional
            "best", "last", or the name that a person gave it; the model as it is now where left
            out.
        tolerance : float
            A larger difference of an output is refused; relative to the largest output where that
            is above 1.

        Returns
        -------
        Export
            Its ``promote(name)`` gives the model a version. ``run.export`` can also write it with
            integers of eight bits.

        Raises
        ------
        ExportError
            If the model cannot be written so; the message names the operator, where it is one.
        ValueError, TypeError
            If the model cannot be sent to another process, or there is no such checkpoint.
        """
        parts = self._open()
        backend = parts.backend
        if form != "safetensors":
            if not backend.portable:
                raise ValueError(
                    f"a model of the backend {backend.name!r} cannot be exported in this training; "
                    "session.export('safetensors') writes its weights"
                )
            check_form(form, resolve(backend.portable).formats)
        if checkpoint is None:
            self.checkpoint(timeout=timeout)
        chosen = pick(self._run.id, self._run.checkpoints, checkpoint or "last")
        if form == "safetensors":
            return export_weights(self._run, chosen)
        opened = reopened(
            self._run,
            backend,
            chosen,
            backend.structure(),
            task=parts.task,
            validation=backend.num_val > 0,
        )
        if backend.portable_beside(validation=opened.validation):
            rows: Inputs = opened.rows(ROWS)
        else:  # between two steps: reading draws random numbers that training counts on
            read = parts.controls.submit(partial(Reopened.rows, opened, ROWS))
            rows = self._wait_for(read, timeout, "export()")
        return export_model(
            self._run, opened, form, tolerance=tolerance, inputs=rows,
            writer=partial(_elsewhere, parts.steering.worker),
        )  # fmt: skip


def _elsewhere(worker: IdleWorker, way: Way, form: str, file: Any, inputs: Inputs) -> Written:
    return worker.run(write, way, form, file, inputs, imports=way.portable)
