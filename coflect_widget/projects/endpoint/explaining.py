"""Where the model looks in the row of a request: the maps of a session, by a process of its own."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.work import explaining
from coflect_widget.attribution.worker import Job, JobError, JobResult, Model
from coflect_widget.backends.by_value import dumps
from coflect_widget.backends.state import weights_alone
from coflect_widget.config import Config, DisplayConfig
from coflect_widget.projects.endpoint.batching import BusyError
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.records.run import Run
from coflect_widget.workers.errors import PoolClosedError, WorkerLostError, WorkRefusedError
from coflect_widget.workers.pool import WorkerSlot

#: Requests that may wait for a map.
_MOST_WAITING = 8
#: Digits of a map's values.
_DIGITS = 4


class NoMapError(Exception):
    """There is no map of this row; the message says why."""


class Maps:
    """Maps of the network of a run that quickstart began.

    The process that computes them begins with the first request, and ends with `close`.

    Parameters
    ----------
    pipeline : Pipeline
        With the network.
    run : Path
        The run folder.
    """

    def __init__(self, pipeline: Pipeline, run: Path) -> None:
        self._pipeline, self._run = pipeline, run
        self._lock = threading.Lock()  # one map at a time
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._parts: _Parts | None = None
        self._closed = False

    def explain(self, x: NDArray[Any], target: int | None) -> dict[str, Any]:
        """The map of one row; blocks.

        Parameters
        ----------
        x : ndarray (1, ...)
            As the network takes it.
        target : int, optional
            The output that is explained; left out, the likeliest.

        Returns
        -------
        dict
            ``explained``, number of the output; ``map``, nested lists of 0 to 1 with a value for
            each unit of the input; ``focus``, corners of its strongest region in fractions, or
            None; ``reliable`` and ``reason``; ``method``; ``content``, what the units are.

        Raises
        ------
        BusyError
            If too many wait for maps.
        NoMapError
            If there is no map of it.
        """
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many requests for maps wait; try again later")
        try:
            with self._lock:
                if self._closed:
                    raise NoMapError("the service ends")
                if self._parts is None:
                    self._parts = _Parts(self._pipeline, self._run, x)
                return self._parts.explain(x[0], target)
        except (WorkerLostError, WorkRefusedError, PoolClosedError) as error:
            raise NoMapError(str(error)) from None
        finally:
            self._waiting.release()

    def close(self) -> None:
        """End the process, also in the middle of a map."""
        self._closed = True
        parts = self._parts
        if parts is not None:
            parts.slot.close()


class _Parts:
    """What a session of the run has for its maps."""

    def __init__(self, pipeline: Pipeline, run: Path, x: NDArray[Any]) -> None:
        recorded = Run(run)
        goal, given = pipeline.goal, pipeline.inputs.arguments()
        # The rows tell the shapes alone.
        rows = np.concatenate([x, x])
        y: NDArray[Any] = np.zeros((2, goal.outputs), np.float32)
        engine, self.task, structure = pipeline.learner.opened(
            pipeline.model,
            recorded,
            (rows, y[:, 0].astype(np.int64) if goal.by_class else y),
            given,
        )
        self.modality = engine.modality
        config = Config.from_mapping(recorded.config.get("config"))
        self.how, self.seed = config.attribution, config.seed * 1_000_003
        kind = dumps(self.modality)
        name = hashlib.blake2b(structure + kind, digest_size=16).hexdigest()
        # Of the network that answers: the run may have better checkpoints by now.
        self.weights: dict[str, NDArray[Any]] = {}
        finish = weights_alone(engine, self.weights).finish
        if finish is not None:
            finish()
        self.model = Model(name, engine.explainer, structure, kind)
        self.slot = WorkerSlot(explaining(self.model, x.shape[1:]), idle=False)

    def explain(self, x: NDArray[Any], target: int | None) -> dict[str, Any]:
        """As `Maps.explain`, of one input (...)."""
        how = self.how
        job = Job(
            model_id=self.model.id, model=None, weights=self.weights, step=0, task=self.task,
            input=x, target=self.task.explained(target), method=how.method,
            samples=how.smoothgrad_samples, sigma=how.smoothgrad_sigma, layer=how.layer,
            seed=self.seed, checks=how.checks,
        )  # fmt: skip
        found: JobResult | JobError = self.slot.run(job, how.deadline)
        if isinstance(found, JobError):
            raise NoMapError(found.reason)
        quality = found.quality
        return {
            "explained": found.explained,
            "map": np.round(found.map.astype(np.float64), _DIGITS).tolist(),
            "focus": None if found.focus_bbox is None else [float(v) for v in found.focus_bbox],
            "method": how.method,
            "reliable": None if quality is None else quality.reliable,
            "reason": "" if quality is None else quality.reason,
            "content": self.modality.content(x, DisplayConfig()),
        }
