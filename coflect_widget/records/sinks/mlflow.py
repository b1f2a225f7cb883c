"""MLflow: a run of its tracking server, SQLite file or folder, through its own client."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coflect_widget.events import RunState
from coflect_widget.records.sinks.tracker import Facts, Plain, Tracker

EXPERIMENT = "coflect"
#: The tag by which a run is found there again.
RUN_TAG = "coflect.run_id"
#: The tag by which its folder is found here.
PATH_TAG = "coflect.path"
_LONGEST = {"param": 500, "tag": 5000, "note": 5000}  # characters that all of its stores take
_MOST = {"metrics": 1000, "params": 100}  # of one call
_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}


class MLflow(Tracker):
    """Logs a run to MLflow.

    Settings are parameters, maps are artifacts under ``maps``, and what people did is the run's
    description.

    Parameters
    ----------
    experiment : str, optional
        Its name; ``MLFLOW_EXPERIMENT_NAME`` or "coflect" if left out. It is made if need be.
    tracking_uri : str, optional
        As "sqlite:///mlflow.db" or "http://server:5000"; MLflow's own setting if left out.
    pictures : int
        How many maps at most.
    """

    name = "mlflow"
    client, package = "mlflow", "mlflow"

    def __init__(
        self,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        *,
        pictures: int = 100,
    ) -> None:
        super().__init__(pictures=pictures)
        self._experiment = experiment
        self._uri = tracking_uri
        #: MLflow's id of the newest run, once it has begun.
        self.run_id: str | None = None

    def connect(self) -> Any:
        """MLflow's client."""
        from mlflow import MlflowClient

        return MlflowClient(self._uri)

    def experiment(self, client: Any) -> str:
        """Id of the experiment, which is made if need be."""
        from mlflow.exceptions import MlflowException

        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name))
            except MlflowException:  # somebody else made it meanwhile, or it cannot be made
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def begin(self, facts: Facts) -> None:
        """Make the run."""
        from mlflow import entities

        self._entities = entities
        self._client = self.connect()
        self._notes: list[str] = []
        self._waiting: list[Any] = []
        self._ended: datetime | None = None
        self._state: RunState = "idle"
        tags = {name: _cut(value, "tag") for name, value in facts.tags.items()}
        if "git.commit" in tags:
            tags["mlflow.source.git.commit"] = tags["git.commit"]
        tags[PATH_TAG] = str(self._run.path.resolve())
        started = self._run.meta.get("started")
        made = self._client.create_run(
            self.experiment(self._client),
            start_time=_milliseconds(_when(started)),
            tags=tags,
            run_name=facts.run_id,
        )
        self.run_id = str(made.info.run_id)
        self.params(facts.params)

    def params(self, values: Mapping[str, Plain]) -> None:
        """Log parameters."""
        made = [self._entities.Param(name, _cut(value, "param")) for name, value in values.items()]
        for k in range(0, len(made), _MOST["params"]):
            self._client.log_batch(self.run_id, params=made[k : k + _MOST["params"]])

    def metrics(self, values: Mapping[str, float], step: int, when: datetime) -> None:
        """Keep metrics for one call that logs many."""
        at = _milliseconds(when)
        self._waiting += [self._entities.Metric(k, v, at, step) for k, v in values.items()]

    def flush(self) -> None:
        """Log the metrics that wait."""
        while self._waiting:
            some = self._waiting[: _MOST["metrics"]]
            self._client.log_batch(self.run_id, metrics=some)
            del self._waiting[: len(some)]

    def note(self, text: str, step: int, when: datetime) -> None:
        """Add a line to the description."""
        self._notes.append(f"- step {step}: {text}\n")
        self._client.set_tag(self.run_id, "mlflow.note.content", _cut("".join(self._notes), "note"))

    def picture(self, name: str, png: bytes, step: int, when: datetime) -> None:
        """Log an artifact."""
        folder, _, stem = name.rpartition("/")
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / f"{stem}_step_{step:08d}.png"
            file.write_bytes(png)
            self._client.log_artifact(self.run_id, str(file), folder)

    def state(self, state: RunState, when: datetime) -> None:
        """A training that ended has ended there; one that goes on runs again."""
        self.flush()
        before, self._state, self._ended = _STATUS.get(self._state), state, when
        status = _STATUS.get(state)
        if status is not None:
            self._client.set_terminated(self.run_id, status, _milliseconds(when))
        elif before is not None:
            self._client.update_run(self.run_id, status="RUNNING")

    def finish(self, tags: Mapping[str, Plain]) -> None:
        """End the run there; one whose training did not end is "KILLED"."""
        self.flush()
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, _cut(value, "tag"))
        if self._state not in _STATUS:
            ended = None if self._ended is None else _milliseconds(self._ended)
            self._client.set_terminated(self.run_id, "KILLED", ended)


def _cut(value: Plain, what: str) -> str:
    text, most = str(value), _LONGEST[what]
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _when(started: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(started))
    except ValueError:
        return datetime.now(UTC)


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)
