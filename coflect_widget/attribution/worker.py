"""What runs in a worker process: it rebuilds the model once, then answers jobs.

Nothing here knows a framework; the explainer comes by its import path. Nothing is raised to
the kernel: an exception that cannot be unpickled there would break the whole executor.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution import consensus
from coflect_widget.attribution.errors import NoSuitableLayerError, StaleSnapshotError
from coflect_widget.attribution.lifeline import hold_on
from coflect_widget.attribution.snapshots import SnapshotReader, SnapshotRef

#: Seconds between two looks at whether the kernel is still there.
_WATCH_SECONDS = 0.25
#: Classes that an explanation names.
_TOP_CLASSES = 3
#: Added to the worker's share of blame when memory runs out: it goes before the training does.
_OOM_SCORE = "500"

Method = Literal["livecam", "smoothgrad", "consensus"]


class Explainer(Protocol):
    """A framework's model in a worker; the explainer's import path gives it from `structure`."""

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights by name into the model."""

    def rehearse(self, input_shape: Sequence[int]) -> None:
        """Run once on a blank input (C, H, W), before the weights are there."""

    def explain(
        self,
        x: NDArray[np.float32],
        target: int | None,
        methods: Sequence[str],
        samples: int,
        sigma: float,
        layer: str | None,
        seed: int,
    ) -> dict[str, Any]:
        """``probabilities`` (classes,), ``explained``, and a map (H, W) for each method."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a worker needs to rebuild a model; sent when it starts."""

    id: str
    explainer: str  # import path "module:function"
    structure: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to explain under one snapshot.

    `weights` are the arrays themselves, and `model` comes along, where the executor's workers
    may run on another machine.
    """

    model_id: str
    model: Model | None
    weights: SnapshotRef | dict[str, NDArray[Any]]
    step: int
    input: NDArray[np.float32]  # (C, H, W)
    target: int | None
    method: Method
    samples: int
    sigma: float
    layer: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class JobResult:
    """Maps (H, W) float32 in [0, 1] and what belongs to them; see `Explanation`."""

    map: NDArray[np.float32]
    livecam: NDArray[np.float32]
    smoothgrad: NDArray[np.float32]
    agreement: float | None
    focus_bbox: tuple[float, float, float, float] | None
    top_classes: tuple[int, ...]
    top_probs: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class JobError:
    """Why there is no map. Worth another try are "memory", in a new worker, and "stale"."""

    kind: Literal["memory", "stale", "unreachable", "other"]
    reason: str
    seconds: float = 0.0


_models: dict[str, Explainer] = {}
_readers: dict[str, SnapshotReader] = {}


def initialise(kernel_pid: int, reading_end: int | None = None) -> None:
    """First call in a new worker: ignore Ctrl-C, and end when the kernel ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold_on(kernel_pid, reading_end)
    # Before the worker becomes idle: threads keep the class they were started with.
    threading.Thread(target=_watch, args=(kernel_pid,), daemon=True, name="watch-kernel").start()
    if sys.platform == "linux":
        try:
            with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - not a path of ours
                file.write(_OOM_SCORE)
        except OSError:
            pass  # a courtesy; some sandboxes forbid it


def _watch(kernel_pid: int) -> None:
    # prctl's PR_SET_PDEATHSIG would fire when the thread that started this process ends.
    while _kernel_lives(kernel_pid):
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _kernel_lives(kernel_pid: int) -> bool:
    if sys.platform == "win32":  # a parent's number is never taken back there
        import psutil

        return psutil.pid_exists(kernel_pid)
    return os.getppid() == kernel_pid


def warm_up(model: Model, input_shape: tuple[int, ...] | None, *, idle: bool) -> int | JobError:
    """Import, rebuild the model, run once, and only then become idle.

    On a busy machine an idle process would need minutes for its imports.

    Returns
    -------
    int or JobError
        The number of this process, or why the model cannot be rebuilt here.
    """
    try:
        explainer = _load(model)
        if input_shape is not None:
            _rehearse(explainer, input_shape)
    except Exception as error:  # noqa: BLE001 - the reason goes to the kernel
        return JobError("other", f"the model cannot be rebuilt in a worker: {_describe(error)}")
    if idle:
        become_idle()
    return os.getpid()


def _rehearse(explainer: Explainer, input_shape: tuple[int, ...]) -> None:
    try:
        explainer.rehearse(input_shape)
        consensus.focus_bbox(np.eye(8, dtype=np.float32))
    except Exception:  # noqa: BLE001, S110 - real jobs will name what is wrong with the model
        pass


def become_idle() -> None:
    """Run from now on only on processor time that nobody else wants."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(19)


def run_job(job: Job) -> JobResult | JobError:
    """Explain one sample. Never raises."""
    began = time.process_time()
    try:
        return _explain(job, began)
    except StaleSnapshotError as error:
        return JobError("stale", str(error), time.process_time() - began)
    except Exception as error:  # noqa: BLE001 - named to the person for this sample alone
        text = _describe(error)
        memory = isinstance(error, MemoryError) or "can't allocate memory" in text
        reachable = not isinstance(error, OSError)
        kind: Literal["memory", "unreachable", "other"]
        kind = "memory" if memory else "other" if reachable else "unreachable"
        return JobError(kind, text, time.process_time() - began)


def _explain(job: Job, began: float) -> JobResult:
    if job.model_id in _models:
        explainer = _models[job.model_id]
    elif job.model is not None:
        explainer = _load(job.model)
    else:
        raise LookupError("this worker was not sent the model")
    if isinstance(job.weights, SnapshotRef):
        _reader(job.weights).read(job.weights, explainer.load_weights)
    else:
        explainer.load_weights(job.weights)
    methods, livecam = ["livecam", "smoothgrad"], None
    try:
        found = _run(explainer, job, methods)
        livecam = consensus.normalise(found["livecam"])
    except NoSuitableLayerError:
        if job.method != "smoothgrad":
            raise
        found = _run(explainer, job, ["smoothgrad"])
    smoothgrad = consensus.normalise(found["smoothgrad"])
    if livecam is None:
        livecam = np.zeros_like(smoothgrad)
    shown = {"livecam": livecam, "smoothgrad": smoothgrad}.get(job.method)
    if shown is None:
        shown = consensus.consensus(livecam, smoothgrad)
    probabilities = found["probabilities"]
    top = np.argsort(-probabilities, kind="stable")[:_TOP_CLASSES]
    return JobResult(
        map=shown,
        livecam=livecam,
        smoothgrad=smoothgrad,
        agreement=consensus.agreement(livecam, smoothgrad),
        focus_bbox=consensus.focus_bbox(shown),
        top_classes=tuple(int(c) for c in top),
        top_probs=tuple(float(probabilities[c]) for c in top),
        seconds=time.process_time() - began,
    )


def _run(explainer: Explainer, job: Job, methods: Sequence[str]) -> dict[str, Any]:
    return explainer.explain(
        job.input[None], job.target, methods, job.samples, job.sigma, job.layer, job.seed
    )


def _load(model: Model) -> Explainer:
    if model.id not in _models:
        module, _, name = model.explainer.partition(":")
        explainer: Explainer = getattr(importlib.import_module(module), name)(model.structure)
        _models.clear()  # one model a session; a foreign worker may see several sessions
        _models[model.id] = explainer
    return _models[model.id]


def _reader(ref: SnapshotRef) -> SnapshotReader:
    if ref.address.path not in _readers or _readers[ref.address.path].address != ref.address:
        _readers.clear()
        _readers[ref.address.path] = SnapshotReader(ref)
    return _readers[ref.address.path]


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
