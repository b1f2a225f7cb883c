"""What runs in a worker process: it rebuilds the model once, then answers jobs.

Nothing here knows a framework; the explainer comes by its import path. Nothing is raised to
the kernel: an exception that cannot be unpickled there would break the whole executor.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution import checks, consensus, methods
from coflect_widget.attribution.composed import Maps, composed, explained_value
from coflect_widget.attribution.errors import StaleSnapshotError, UnknownModelError
from coflect_widget.attribution.snapshots import SnapshotReader, SnapshotRef
from coflect_widget.attribution.surroundings import surroundings
from coflect_widget.backends.base import Sample
from coflect_widget.backends.by_value import SendsByValue, dumps, loads
from coflect_widget.backends.differentiable import Held
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.events import Quality
from coflect_widget.modalities.base import Corners, Map, Modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.tasks import Classification, Task
from coflect_widget.tasks.base import Placed, Verdict
from coflect_widget.workers.errors import WorkRefusedError
from coflect_widget.workers.start import describe

#: Of a first job that is made up; what it is does not matter there.
ANY_TASK: Task = Classification(2)
#: Outcomes that an explanation names.
_LIKELIEST = 3


class Explainer(Protocol):
    """A framework's model in a worker; the explainer's import path gives it from `structure`."""

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights by name into the model."""

    def rehearse(self, run: Callable[[], object]) -> None:
        """Call `run`, before the weights are there, with some in their place."""

    def explain(
        self,
        x: NDArray[np.float32],
        target: int | None,
        methods: Sequence[str],
        samples: int,
        sigma: float,
        layer: str | None,
        seed: int,
        modality: Modality,
        **more: Any,
    ) -> dict[str, Any]:
        """``probabilities`` (outputs,), ``explained``, and a map (E) for each method.

        E is what `modality` says of the extent of `x`, (H, W) of a picture.
        `more` is given for a model with several inputs only: ``held``, a `differentiable.Held`,
        of which part of a sample `x` is. And for one with outputs for each place: ``region`` (E)
        of bool, those whose mean is explained.
        """

    def logits(self, x: NDArray[np.float32], **more: Any) -> NDArray[np.float32]:
        """(B, ...) -> (B, outputs), in eval mode."""

    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training.

        Without this method an explainer's maps are not checked.
        """


@dataclass(frozen=True, slots=True)
class Model:
    """What a worker needs to rebuild a model; sent when it starts."""

    id: str
    explainer: str  # import path "module:function"
    structure: bytes
    modality: bytes = dumps(IMAGE)  # what its input is; by value, for a notebook may define it


@dataclass(frozen=True, slots=True)
class Job(SendsByValue):
    """One sample to explain under one snapshot.

    `weights` are the arrays themselves, and `model` comes along, where the executor's workers
    may run on another machine.
    """

    by_value = ("task",)
    model_id: str
    model: Model | None
    weights: SnapshotRef | dict[str, NDArray[Any]]
    step: int
    task: Task
    input: NDArray[np.float32]  # (...)
    target: int | None
    method: str  # one of `Modality.methods`
    samples: int
    sigma: float
    layer: str | None
    seed: int
    checks: bool = True  # whether to judge the map
    #: of a task with a class for each place: the sample's, and the place that a person pointed at
    truth: NDArray[Any] | None = None  # (E)
    at: tuple[float, ...] | None = None  # in fractions of the extent, the last axis first
    region: NDArray[np.bool_] | None = None  # (E) what is explained, once it is known


@dataclass(frozen=True, slots=True)
class Probe:
    """Samples to look at under one snapshot: what the model says of them, and no maps."""

    model_id: str
    model: Model | None
    weights: SnapshotRef | dict[str, NDArray[Any]]
    step: int
    inputs: NDArray[np.float32]  # (B, ...)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The model's outputs (B, ...) float32, in eval mode."""

    logits: NDArray[np.float32]
    seconds: float


@dataclass(frozen=True, slots=True)
class JobResult:
    """Maps (E) float32 in [0, 1] and what belongs to them; see `Explanation`."""

    map: NDArray[np.float32]
    livecam: NDArray[np.float32]
    smoothgrad: NDArray[np.float32]
    consensus: NDArray[np.float32]
    agreement: float | None
    focus_bbox: Corners | None
    top_classes: tuple[int, ...]
    top_probs: tuple[float, ...]
    seconds: float
    samples_used: int = 0
    modality_focus: dict[str, float] | None = field(default_factory=dict)
    modality_reason: str = ""
    quality: Quality | None = None
    explained: int | None = None  #: the output, and its value
    output: float = math.nan
    #: of a task with a class for each place: where the map is of, and what the model says, (E)
    region: NDArray[np.bool_] | None = None
    said: NDArray[np.uint8] | None = None

    def verdict(self, task: Task, sample: Sample, asked: int | None) -> Verdict:
        """What is right of the sample, where a person `asked` for an output."""
        predicted = self.top_classes[0] if self.top_classes else asked or 0
        targets = sample.targets
        if self.region is not None and targets is not None:
            targets = targets[self.region]
        found = None
        if self.explained is not None:
            found = task.verdict(self.explained, self.output, targets)
        if found is None:
            return Verdict(int(sample.target), predicted, ())
        return found._replace(predicted=predicted) if found.predicted is None else found


@dataclass(frozen=True, slots=True)
class JobError:
    """Why there is no map.

    Worth another try are "stale" and, in a new worker, "memory" and "forgotten": the model is
    gone, because whoever runs the worker has restarted it.
    """

    kind: Literal["memory", "forgotten", "stale", "unreachable", "non-finite", "other"]
    reason: str
    seconds: float = 0.0


#: Noisy copies for maps of random weights, and how many such maps are kept.
_FEW_SAMPLES = 8
_MOST_RANDOM = 512

_models: dict[str, Explainer] = {}
_modalities: dict[str, Modality] = {}
_random: dict[tuple[Any, ...], NDArray[np.float16]] = {}
_readers: dict[str, SnapshotReader] = {}


def warm_up(model: Model, input_shape: tuple[int, ...] | None) -> None:
    """As `load_warm`; raises WorkRefusedError where the model cannot be rebuilt here."""
    try:
        load_warm(model, input_shape)
    except Exception as error:
        text = f"the model cannot be rebuilt in a worker: {describe(error)}"
        if isinstance(error, ModuleNotFoundError):
            text += (
                ". Put the folder that holds the module on sys.path, for example "
                "sys.path.append('/folder'), and make the Session again"
            )
        raise WorkRefusedError(text) from error


def load_warm(model: Model, input_shape: tuple[int, ...] | None) -> None:
    """Rebuild the model and answer a first job, on a blank input of that shape, which is slow.

    Does nothing where this process, or the one that it was forked from, has done so.
    """
    if model.id in _models:
        return
    explainer = load(model)
    if input_shape is None:
        return
    blank = _modalities[model.id].blank(input_shape)
    job = Job(
        model_id=model.id, model=None, weights={}, step=0, task=ANY_TASK, input=blank, target=0,
        method=_modalities[model.id].methods[0], samples=consensus.NOISE_BATCH, sigma=0.1,
        layer=None, seed=0,
    )  # fmt: skip
    with contextlib.suppress(Exception):  # real jobs will name what is wrong with the model
        explainer.rehearse(lambda: _explain(explainer, job, 0.0))
    _random.clear()


def run_job(job: Job | Probe) -> JobResult | ProbeResult | JobError:
    """Explain one sample, or look at several. Never raises."""
    began = time.process_time()
    try:
        if isinstance(job, Probe):
            logits = _ready(job).logits(job.inputs)
            return ProbeResult(logits, time.process_time() - began)
        return _explain(_ready(job), job, began)
    except StaleSnapshotError as error:
        return JobError("stale", str(error), time.process_time() - began)
    except UnknownModelError as error:  # an executor may restart its process by itself
        return JobError("forgotten", str(error), time.process_time() - began)
    except FloatingPointError as error:
        return JobError("non-finite", describe(error), time.process_time() - began)
    except Exception as error:  # noqa: BLE001 - named to the person for this sample alone
        text = describe(error)
        memory = isinstance(error, MemoryError) or "can't allocate memory" in text
        reachable = not isinstance(error, OSError)
        kind: Literal["memory", "unreachable", "other"]
        kind = "memory" if memory else "other" if reachable else "unreachable"
        return JobError(kind, text, time.process_time() - began)


def _ready(job: Job | Probe) -> Explainer:
    """The job's model with the job's weights."""
    if job.model_id in _models:
        explainer = _models[job.model_id]
    elif job.model is not None:
        explainer = load(job.model)
    else:
        raise UnknownModelError("this worker was not sent the model")
    if isinstance(job.weights, SnapshotRef):
        _reader(job.weights).read(job.weights, explainer.load_weights)
    else:
        explainer.load_weights(job.weights)
    return explainer


def _explain(explainer: Explainer, job: Job, began: float) -> JobResult:
    modality = _modalities[job.model_id]
    said = None
    if job.task.placed:
        job, said = _pointed(explainer, job)
    maps, found = _maps(explainer, job, job.target, job.samples)
    focus, why = found.get("shares", ({modality.name: 1.0}, ""))
    top = job.task.likeliest(found["probabilities"], _LIKELIEST, found.get("outputs"))
    shown = maps.shown
    outputs = found.get("outputs")
    output = math.nan if outputs is None else float(outputs[found["explained"]])
    result = JobResult(
        map=shown,
        livecam=maps.livecam,
        smoothgrad=maps.smoothgrad,
        consensus=maps.consensus,
        agreement=maps.agreement,
        focus_bbox=modality.focus(shown),
        top_classes=tuple(top),
        top_probs=tuple(top.values()),
        samples_used=found.get("samples_used", job.samples),
        modality_focus=focus,
        modality_reason=why,
        explained=found["explained"],
        output=output,
        region=job.region,
        said=said,
        seconds=0.0,
    )
    quality = None
    # Without a label there are no odds that taking something out could change.
    if job.checks and job.task.of_labels and hasattr(explainer, "randomise"):
        deleted = checks.deletion(
            partial(explainer.logits, **_more(job)),
            job.input,
            maps.shown,
            found["explained"],
            job.seed,
            job.task.odds,
            modality,
        )
        quality = checks.judge(maps.shown, deleted, _random_maps(explainer, job), modality.noun)
    return replace(result, quality=quality, seconds=time.process_time() - began)


def _pointed(explainer: Explainer, job: Job) -> tuple[Job, NDArray[np.uint8]]:
    """The job with the region and the class that it is of, and the class of each place (E)."""
    outputs = cast("Any", explainer).places(job.input[None])[0]
    if not np.isfinite(outputs).all():
        raise FloatingPointError("the model's output has NaN or infinite values on this sample")
    sides = outputs.shape[1:]
    at = None
    if job.at is not None:
        pairs = zip(reversed(job.at), sides, strict=True)
        at = tuple(min(int(share * side), side - 1) for share, side in pairs)
    region, target = cast("Placed", job.task).region(outputs, job.target, at, job.truth)
    return replace(job, region=region, target=target), outputs.argmax(0).astype(np.uint8)


def _more(job: Job) -> dict[str, Any]:
    """What an explainer is told of places; nothing where there are none."""
    return {} if job.region is None else {"region": job.region}


def _maps(
    explainer: Explainer, job: Job, target: int | None, samples: int
) -> tuple[Maps, dict[str, Any]]:
    """The job's maps, each (E) in [0, 1], and all that the explainer said."""
    modality = _modalities[job.model_id]
    if not modality.members:
        return _of_input(explainer, job, modality, target, samples)

    def of_part(held: Held, explained: int | None) -> tuple[Maps, dict[str, Any]]:
        kind = held.part.modality
        method = job.method if job.method in kind.methods else kind.methods[0]
        own = replace(job, input=held.part.of(job.input), method=method)
        try:
            return _of_input(explainer, own, kind, explained, samples, held=held)
        except NoSuitableLayerError:
            own = replace(own, method="smoothgrad")
            return _of_input(explainer, own, kind, explained, samples, held=held)

    value = partial(explained_value, job.task)
    return composed(modality, job.input, target, of_part, explainer.logits, value)


def _of_input(
    explainer: Explainer,
    job: Job,
    modality: Modality,
    target: int | None,
    samples: int,
    **more: Any,
) -> tuple[Maps, dict[str, Any]]:
    """Maps of one input."""

    def run(*methods: str) -> dict[str, Any]:
        return explainer.explain(
            job.input[None], target, methods, samples, job.sigma, job.layer, job.seed, modality,
            **more, **_more(job),
        )  # fmt: skip

    parts = modality.parts(job.method)
    two = len(parts) > 1
    try:
        found = run(*parts)
    except NoSuitableLayerError:
        if job.method != "smoothgrad":
            raise
        parts = parts[1:]
        found = run(*parts)
    made = {part: consensus.normalise(found[part]) for part in parts}
    smoothgrad = made[parts[-1]]
    # of a kind, or a model, with one map alone there is nothing to compare with
    livecam = made[parts[0]] if parts[1:] else np.zeros_like(smoothgrad)
    leading = livecam
    if two and job.region is not None and job.method == "consensus":
        leading = _surroundings(explainer, job, found["explained"], modality, livecam)
    blend = consensus.consensus(leading, smoothgrad, modality.smooth) if two else smoothgrad
    shown = blend if job.method == "consensus" else made[job.method]
    agreement = consensus.agreement(livecam, smoothgrad)
    return Maps(shown, livecam, smoothgrad, blend, agreement), found


def _surroundings(
    explainer: Explainer, job: Job, target: int, modality: Modality, otherwise: Map
) -> Map:
    """What decides the class of the job's region, (E) in [0, 1]; where nothing does, `otherwise`.

    A class-activation map of a region shows the region.
    """
    assert job.region is not None  # noqa: S101 - narrows the type; asked for regions alone
    places = cast("Any", explainer).places
    odds, x = job.task.odds, job.input[None]
    found = consensus.normalise(surroundings(places, x, job.region, target, odds, modality))
    return found if found.any() else otherwise


def _random_maps(explainer: Explainer, job: Job) -> Iterator[Map]:
    """Maps of the job's sample by the same model with random weights, one draw after another.

    They depend on no snapshot, so that each is made once a sample. Afterwards the model has
    lost its weights: every job brings its own.
    """
    region = b"" if job.region is None else job.region.tobytes()
    digest = hashlib.blake2b(job.input.tobytes() + region, digest_size=16).hexdigest()
    for draw in range(checks.RANDOM_DRAWS):
        key = (job.model_id, job.method, job.layer, digest, draw)
        if key not in _random:
            explainer.randomise(draw)
            # Which outcome hardly matters then, and the same one keeps what is stored valid.
            maps, _ = _maps(explainer, job, 0, _FEW_SAMPLES)
            _random[key] = maps.shown.astype(np.float16)
            if len(_random) > _MOST_RANDOM:
                del _random[next(iter(_random))]
        yield _random[key].astype(np.float32)


def load(model: Model) -> Explainer:
    """The model's explainer, rebuilt unless this process holds it already."""
    if model.id not in _models:
        explainer: Explainer = methods.load(model.explainer, model.structure)
        for known in (_models, _modalities):
            known.clear()  # one model a session; a foreign worker may see several sessions
        _models[model.id] = explainer
        _modalities[model.id] = loads(model.modality)
    return _models[model.id]


def _reader(ref: SnapshotRef) -> SnapshotReader:
    if ref.address.path not in _readers or _readers[ref.address.path].address != ref.address:
        _readers.clear()
        _readers[ref.address.path] = SnapshotReader(ref)
    return _readers[ref.address.path]
