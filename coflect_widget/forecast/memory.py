"""What the forecast knows of the samples, for a checkpoint, and put back.

For the forecaster's thread: `keep` copies all that the next step will change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import ForecastScored
from coflect_widget.forecast.calibration import Calibration
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.foresight import Foresight, _Past
from coflect_widget.forecast.queue import Queue
from coflect_widget.forecast.queue import _Past as _Listed
from coflect_widget.forecast.scoreboard import Scoreboard, _Named, _Open
from coflect_widget.tasks.by_quantile import RecentErrors
from coflect_widget.telemetry.metrics import MetricWindows
from coflect_widget.telemetry.store import SampleStore

#: Changes with the meaning of anything in it.
VERSION = 3
_CALIBRATION = (
    "now",
    "then",
    "snapshot",
    "_rates",
    "_swings",
    "_epoch",
    "_share",
    "_after",
    "_blur",
)
_WINDOW = (
    "_window", "_step", "_epoch", "_rows", "_right", "_loss_rows", "_loss", "_guided", "_guidance",
)  # fmt: skip
_PLACE = ("_position", "_ranked_period", "_ranking_due", "onset")


def keep(forecaster: Forecaster) -> dict[str, Any]:
    """All that is known of the samples and learned of the run."""
    return {
        "version": VERSION,
        "store": keep_store(forecaster.store),
        "foresight": _foresight(forecaster.foresight),
        "queue": _queue(forecaster.queue),
        "metrics": _fields(forecaster._metrics, _WINDOW),
        "place": _fields(forecaster, _PLACE),
    }


def check(kept: Mapping[str, Any], store: SampleStore) -> None:
    """Raise ValueError where it is of other training data, or of another version."""
    if kept.get("version") != VERSION:
        raise ValueError(
            f"it holds a forecast's memory of version {kept.get('version')}, and this version of "
            f"the package reads {VERSION}"
        )
    for name, array in store.arrays.items():
        found = kept["store"]["arrays"].get(name)
        if found is None or (found.shape, found.dtype) != (array.shape, array.dtype):
            shape = "missing" if found is None else f"{found.dtype} {found.shape}"
            raise ValueError(
                f"the forecast's memory is of other training data: {name} is {shape}, expected "
                f"{array.dtype} {array.shape}"
            )


def restore(forecaster: Forecaster, kept: Mapping[str, Any]) -> None:
    """Put it in the place of what `forecaster` knows; on its thread."""
    restore_store(forecaster.store, kept["store"])
    restore_errors(forecaster.store, kept["store"])
    _restore_foresight(forecaster.foresight, kept["foresight"])
    _restore_queue(forecaster.queue, kept["queue"])
    _put(forecaster._metrics, kept["metrics"])
    _put(forecaster, kept["place"])


def restore_samples(forecaster: Forecaster, kept: Mapping[str, Any]) -> None:
    """Only what is known of the samples, for a run of its own that begins at its first epoch."""
    restore_store(forecaster.store, kept["store"])
    foresight, old = forecaster.foresight, kept["foresight"]
    foresight.weights = np.array(old["weights"])
    foresight.calibration.now = tuple(old["calibration"]["now"])
    foresight.calibration.then = tuple(old["calibration"]["then"])
    foresight.update_all()


def keep_store(store: SampleStore) -> dict[str, Any]:
    """A copy of the store."""
    values, recent = store.values, _errors_of(store)
    return {
        "arrays": {name: array.copy() for name, array in store.arrays.items()},
        "scale": store.scale,
        "scaled": store._means._scaled,
        "values": None if values is None else values.table.copy(),
        "recent": None if recent is None else recent.kept(),
    }


def restore_store(store: SampleStore, kept: Mapping[str, Any]) -> None:
    """Fill the store's own arrays."""
    for name, array in store.arrays.items():
        array[:] = kept["arrays"][name]
    store.scale, store._means._scaled = kept["scale"], kept["scaled"]
    if store.values is not None and kept["values"] is not None:
        store.values.table[:] = kept["values"]


def restore_errors(store: SampleStore, kept: Mapping[str, Any]) -> None:
    """Tell the task what errors were usual: of the same model, which a run of its own has not."""
    recent, errors = _errors_of(store), kept.get("recent")  # older checkpoints have none
    if recent is not None and errors is not None:
        recent.take(errors)


def _errors_of(store: SampleStore) -> RecentErrors | None:
    recent = getattr(store.task, "recent", None)
    return recent if isinstance(recent, RecentErrors) else None  # a task may call its own so


def _foresight(foresight: Foresight) -> dict[str, Any]:
    return {
        "weights": foresight.weights.copy(),
        "calibration": _fields(foresight.calibration, _CALIBRATION),
        "random": _generator(foresight._rng),
        "past": [tuple(past) for past in foresight._past],
        "offset": foresight._offset.copy(),
        "offset_count": foresight._offset_count.copy(),
        "round": list(foresight._round),
    }


def _restore_foresight(foresight: Foresight, kept: Mapping[str, Any]) -> None:
    foresight.weights = np.array(kept["weights"])
    _restore_calibration(foresight.calibration, kept["calibration"])
    foresight._rng.bit_generator.state = kept["random"]
    foresight._past = deque((_Past(*past) for past in kept["past"]), foresight._past.maxlen)
    foresight._offset, foresight._offset_count = (
        np.array(kept[name]) for name in ("offset", "offset_count")
    )
    foresight._round = [tuple(one) for one in kept["round"]]


def _restore_calibration(calibration: Calibration, kept: Mapping[str, Any]) -> None:
    _put(calibration, kept)
    calibration.now, calibration.then = tuple(kept["now"]), tuple(kept["then"])


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "lines": list(queue._lines),
        "past": [(p.epoch, p.right, p.rows, p.log_odds, p.wrong) for p in queue._past],
        "epoch": queue._epoch,
        "noise": {"rate": queue.noise.rate, "accuracies": dict(queue.noise._accuracies)},
    }


def _restore_queue(queue: Queue, kept: Mapping[str, Any]) -> None:
    queue._lines = [tuple(line) for line in kept["lines"]]
    queue._past = [_Listed(*past) for past in kept["past"]]
    queue._epoch = kept["epoch"]
    queue.noise.rate = kept["noise"]["rate"]
    queue.noise._accuracies = dict(kept["noise"]["accuracies"])


def keep_scores(board: Scoreboard) -> dict[str, Any]:
    """What was named and how it came out."""
    return {
        "scored": [score.model_dump() for score in board.scored],
        "waiting": [_named(named) for named in board._waiting],
        "open": [
            {
                "named": _named(one.named),
                "score": board.scored.index(one.score),
                "drawn": one.drawn,
                "wrong": dict(one.wrong),
            }
            for one in board._open
        ],
        "step": board._step,
        "random": _generator(board._rng),
    }


def restore_scores(board: Scoreboard, kept: Mapping[str, Any]) -> None:
    """Put back what `keep_scores` gave."""
    board.scored = [ForecastScored.model_validate(score) for score in kept["scored"]]
    board._waiting = [_Named(**named) for named in kept["waiting"]]
    board._open = [
        _Open(_Named(**one["named"]), board.scored[one["score"]], one["drawn"], dict(one["wrong"]))
        for one in kept["open"]
    ]
    board._step = kept["step"]
    board._rng.bit_generator.state = kept["random"]


def _named(named: _Named) -> dict[str, Any]:
    return {
        "epoch": named.epoch,
        "indices": named.indices,
        "window_open": named.window_open,
        "right": named.right,
    }


def _generator(random: np.random.Generator) -> dict[str, Any]:
    return dict(random.bit_generator.state)


def _fields(owner: MetricWindows | Calibration | Forecaster, names: tuple[str, ...]) -> Any:
    return {name: _own(getattr(owner, name)) for name in names}


def _put(owner: MetricWindows | Calibration | Forecaster, kept: Mapping[str, Any]) -> None:
    for name, value in kept.items():
        setattr(owner, name, _own(value))


def _own(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        copy: NDArray[Any] = value.copy()
        return copy
    return dict(value) if isinstance(value, dict) else value
