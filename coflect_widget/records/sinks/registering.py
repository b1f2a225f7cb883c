"""A checkpoint of a run in MLflow's registry of models, and back from MLflow to the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.records.inside import find
from coflect_widget.records.sinks.base import RunFolder
from coflect_widget.records.sinks.feed import replay
from coflect_widget.records.sinks.mlflow import PATH_TAG, RUN_TAG, MLflow

_FOLDER = "checkpoint"  # of the run's artifacts


def register(run: RunFolder, checkpoint: Checkpoint, name: str, sink: MLflow) -> str:
    """Make the checkpoint the next version of a registered model.

    A run that MLflow's experiment does not have yet is sent there first. Nothing is sent of a
    checkpoint in which a link leads out of the run folder.

    Returns
    -------
    str
        ``"models:/NAME/VERSION"``.

    Raises
    ------
    OutsideError
        If a file of the checkpoint is outside the run folder.
    """
    root = checkpoint.path.parent.parent
    for file in (checkpoint.path, *checkpoint.path.rglob("*")):
        find(root, str(file.relative_to(root)))
    client = sink.connect()
    run_id = _run_id(run, sink, client)
    folder = f"{_FOLDER}/{checkpoint.path.name}"
    client.log_artifacts(run_id, str(checkpoint.path), folder)
    _make(client, name)
    tags = {RUN_TAG: run.id, "coflect.step": str(checkpoint.step)}
    if checkpoint.score is not None:
        tags[f"coflect.val_{checkpoint.score.metric}"] = str(checkpoint.score.value)
    made = client.create_model_version(name, f"runs:/{run_id}/{folder}", run_id, tags=tags)
    return f"models:/{name}/{made.version}"


def is_uri(path: str | Path) -> bool:
    """Whether it names a run or a model of MLflow."""
    return str(path).startswith(("runs:/", "models:/"))


def folder_of(uri: str, sink: MLflow) -> Path:
    """The run folder of ``"runs:/ID"``, ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"``.

    Raises
    ------
    ValueError
        If it is none of them.
    FileNotFoundError
        If that run is not from here, or its folder is not on this machine.
    """
    client = sink.connect()
    kind, _, rest = uri.partition(":/")
    rest = rest.strip("/")
    name, at, alias = rest.partition("@")
    if kind == "runs" and rest:
        run_id = rest.partition("/")[0]
    elif at:
        run_id = client.get_model_version_by_alias(name, alias).run_id
    elif rest.count("/") == 1:
        run_id = client.get_model_version(*rest.split("/")).run_id
    else:
        raise ValueError(
            f"{uri!r} names no run; it is 'runs:/ID', 'models:/NAME/VERSION' or "
            "'models:/NAME@ALIAS'"
        )
    folder = client.get_run(run_id).data.tags.get(PATH_TAG)
    if folder is None:
        raise FileNotFoundError(f"{uri!r} was not logged by coflect: it has no tag {PATH_TAG}")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{uri!r} is the run in {folder!r}, which is not on this machine")
    return Path(folder)


def _run_id(run: RunFolder, sink: MLflow, client: Any) -> str:
    """MLflow's id of the newest run that was told of this one."""
    tag = run.id.replace("'", "")
    found = client.search_runs(
        [sink.experiment(client)],
        f"tags.`{RUN_TAG}` = '{tag}'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not found:
        replay(run, sink)
        return str(sink.run_id)
    return str(found[0].info.run_id)


def _make(client: Any, name: str) -> None:
    """Have a registered model of that name."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
