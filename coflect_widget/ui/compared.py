"""Runs side by side in a cell: curves, settings against results, a table; for hundreds of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.comparison import Comparison
from coflect_widget.records.reports.figures import aim_of
from coflect_widget.records.run import Run
from coflect_widget.records.table import Row
from coflect_widget.records.tracks import Track, Tracks
from coflect_widget.ui.maps_beside import MapsBeside
from coflect_widget.ui.records_view import RecordsView, show

#: Points of all curves that travel to the page, about; and of each split of a run.
_POINTS = 60_000
_FEWEST, _MOST = 40, 400
#: Columns that say in other words what others say.
_LEFT_OUT = ("seconds", "undone", "archived")
_KINDS = {"config": "setting", "tags": "tag", "best": "result", "last": "result"}
_ORDER = ["setting", "tag", "other", "result"]


class Compared(Comparison):
    """A `Comparison` that a cell shows with curves, settings against results, and a table."""

    def __init__(self, runs: Iterable[Run]) -> None:
        super().__init__(runs)
        self._view: RecordsView | None = None
        self._maps: MapsBeside | None = None

    def _ipython_display_(self) -> None:
        show(self.view(), repr(self), self._repr_html_())

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        del kwargs
        return {**self.view().bundle(repr(self)), "text/html": self._repr_html_()}

    def _display_(self) -> Any:
        """The widget, which marimo shows."""
        return self.view()

    def view(self) -> RecordsView:
        """The widget, made when it is first shown."""
        if self._view is None:
            self._view = RecordsView()
            self._view._data, self._view._points = contents(self)
            self._maps = MapsBeside(self._runs, self._view)
        return self._view


def contents(compared: Comparison) -> tuple[dict[str, Any], bytes]:
    """What the page is sent: JSON alone, and the columns of all curves as float32.

    For each run and split these are steps, epochs, seconds trained, and a column for each metric.
    """
    tracks = compared.tracks
    splits = sum(len(one.splits) for one in tracks)
    most = min(max(_POINTS // max(splits, 1), _FEWEST), _MOST)
    blocks: list[NDArray[np.float32]] = []
    runs = []
    for label, one in zip(compared.labels, tracks, strict=True):
        described = []
        for split, track in one.splits.items():
            thin = track.thinned(most)
            blocks += _columns_of(thin)
            described.append(
                {"split": split, "count": len(thin.steps), "metrics": list(thin.values)}
            )
        runs.append({"id": label, "label": label, "told": one.told, "tracks": described})
    aim = aim_of(compared.rows, None, None)
    data = {
        "runs": runs,
        "columns": columns(compared.rows, compared.differs, tracks),
        "aim": None if aim is None else {
            "metric": f"val {aim.metric}", "column": f"best.{aim.metric}",
            "better": aim.direction, "threshold": aim.threshold,
        },
    }  # fmt: skip
    return data, b"".join(block.tobytes() for block in blocks)


def columns(
    rows: Sequence[Row], differs: dict[str, list[Any]], tracks: Sequence[Tracks]
) -> list[dict[str, Any]]:
    """What differs, results first; with the best of each metric, time trained and throughput."""
    better = {metric: one["direction"] for row in rows for metric, one in row["best"].items()}
    found = {
        f"best.{metric}": [row["best"].get(metric, {}).get("value") for row in rows]
        for metric in better
    }
    found["seconds trained"] = [round(one.seconds, 2) for one in tracks]
    found["steps a second"] = [
        None if one.throughput is None else round(one.throughput, 2) for one in tracks
    ]
    rest = [name for name in differs if name not in _LEFT_OUT and name not in found]
    rest.sort(key=lambda name: _ORDER.index(_kind(name)))  # stable
    found |= {name: differs[name] for name in rest}
    costs = {"seconds trained": "lower", "steps a second": "higher"}
    described = []
    for name, values in found.items():
        kind = "cost" if name in costs else _kind(name)
        metric = name.partition(".")[2].rpartition(" ")[2]
        direction = costs.get(name, better.get(metric) if kind == "result" else None)
        described.append(
            {"name": name, "kind": kind, "better": direction, "values": [*map(_plain, values)]}
        )
    return described


def _kind(name: str) -> str:
    return _KINDS.get(name.partition(".")[0], "other")


def _columns_of(track: Track) -> list[NDArray[np.float32]]:
    columns = [track.steps, track.epochs, track.seconds, *track.values.values()]
    return [column.astype(np.float32) for column in columns]


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)
