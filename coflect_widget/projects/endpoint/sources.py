"""What can be served: a run, an exported ONNX file, a model of an MLflow registry."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.projects.quickstart.pipeline import FILE, FOLDER, Pipeline, parts_of
from coflect_widget.records.inside import is_there, read_text

REGISTERED = "models:/"
#: Folders above an ONNX file that may be its run: exports/export_001/model.onnx.
_UP = 3


@dataclass(frozen=True)
class Served:
    """A model that answers.

    Attributes
    ----------
    name : str
        Of the run, or what was given.
    form : str
        What computes: "torch", "trees" or "onnx".
    inputs, goal, target
        As of `Pipeline`.
    outputs : callable
        Inputs (N, ...) to outputs (N, outputs) float32; for one thread at a time.
    test : dict or None
        What the test part came to.
    folder : Path or None
        Where requests may be kept; None where nobody would find them.
    pipeline : Pipeline or None
        With the network itself, of a run whose model has maps.
    """

    name: str
    form: str
    inputs: Inputs
    goal: Goal
    target: str
    outputs: Callable[[NDArray[Any]], NDArray[np.float32]]
    test: dict[str, Any] | None = None
    folder: Path | None = None
    pipeline: Pipeline | None = None


def open_served(source: str | Path, own: Callable[..., Any] | None = None) -> Served:
    """The model of a run folder, of ``model.onnx``, or ``models:/name/version``.

    `own` is what made the network of a run, where `quickstart` was given one.

    Raises
    ------
    ValueError, OSError, ImportError
        If there is none, or it cannot be used; the message says what to do.
    """
    if str(source).startswith(REGISTERED):
        return _registered(str(source))
    path = Path(source)
    return _onnx(path) if path.suffix == ".onnx" else _run(path, own)


def _run(folder: Path, own: Callable[..., Any] | None) -> Served:
    pipeline = Pipeline.of(folder, own)
    return Served(
        name=folder.resolve().name,
        form=pipeline.learner.form,
        inputs=pipeline.inputs,
        goal=pipeline.goal,
        target=pipeline.target,
        outputs=pipeline.answering(),
        test=_test(folder),
        folder=folder,
        pipeline=pipeline if pipeline.learner.maps else None,
    )


def _onnx(file: Path) -> Served:
    """A file whose pipeline lies beside it, or in the run whose export it is."""
    home = _home_of(file)
    inputs, goal, target, _ = pipeline_in(home)
    answer = _by_onnxruntime(file, goal.outputs)
    return Served(
        name=home.resolve().name,
        form="onnx",
        inputs=inputs,
        goal=goal,
        target=target,
        outputs=lambda x: goal.beside(answer(x), x),
        test=_test(home),
        folder=home,
    )


def _home_of(file: Path) -> Path:
    """The folder that has the pipeline of an ONNX file: its own, or that of its run."""
    if not file.is_file():
        raise ValueError(f"{file} is no file")
    beside = file.resolve().parent
    if is_there(beside, FILE):
        return beside
    for above in list(beside.parents)[:_UP]:
        if is_there(above, f"{FOLDER}/{FILE}"):
            return above
    raise ValueError(
        f"{file} has no {FILE} beside it, which says how rows become its inputs; copy "
        f"{FOLDER}/{FILE} of the run that it was exported from"
    )


def pipeline_in(folder: Path) -> tuple[Inputs, Goal, str, dict[str, Any]]:
    """What `parts_of` reads, of a run folder, or of a folder with ``pipeline.json`` in it.

    Raises
    ------
    ValueError
        If there is no pipeline, or it cannot be used.
    """
    return parts_of(folder, FILE if is_there(folder, FILE) else f"{FOLDER}/{FILE}")


def _by_onnxruntime(file: Path, outputs: int) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    ort = _package("onnxruntime", f"{file.name} needs", "pip install 'coflect-widget[export]'")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised
    # A thread that waits for work would take the processor from the requests meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        (given,), found = session.get_inputs(), session.get_outputs()[0].shape
    except Exception as error:  # noqa: BLE001 - onnxruntime has errors of its own
        words = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"{file} cannot be run by onnxruntime: {words[0]}") from None
    if len(found) != 2 or (isinstance(found[1], int) and found[1] != outputs):
        raise ValueError(f"{file} gives {found}, and its pipeline tells {outputs} outputs")

    def answer(x: NDArray[Any]) -> NDArray[np.float32]:
        told: NDArray[np.float32] = session.run(None, {given.name: x})[0]
        return told

    return answer


def _registered(source: str) -> Served:
    """A model of MLflow's registry that holds ``model.onnx`` and ``pipeline.json``."""
    mlflow = _package("mlflow", f"{source} needs", "pip install mlflow-skinny")
    with tempfile.TemporaryDirectory() as made:
        try:
            got = Path(mlflow.artifacts.download_artifacts(source, dst_path=made))
        except Exception as error:  # noqa: BLE001 - MLflow and its stores have errors of their own
            words = str(error).splitlines() or [type(error).__name__]
            raise ValueError(f"{source} cannot be had: {words[0]}") from None
        found = sorted(got.rglob("*.onnx"))
        if len(found) != 1:
            raise ValueError(f"{source} holds {len(found)} files *.onnx; one is needed")
        beside = sorted(got.rglob(FILE))
        if len(beside) == 1 and beside[0].parent != found[0].parent:
            beside[0].replace(found[0].parent / FILE)  # where log_model puts further files
        served = _onnx(found[0])
    return replace(served, name=source, folder=None)


def _test(folder: Path) -> dict[str, Any] | None:
    name = f"{FOLDER}/test.json"
    if not is_there(folder, name):
        return None
    found: dict[str, Any] = json.loads(read_text(folder, name))
    return found


def _package(name: str, who: str, remedy: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"{who} {name}, which is not installed; {remedy}") from None
