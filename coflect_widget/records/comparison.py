"""Several runs side by side: what differs between them, and their curves in one chart."""

from __future__ import annotations

import html
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget.records.curves import Curve, legend, svg
from coflect_widget.records.folder import write_whole
from coflect_widget.records.run import Run
from coflect_widget.records.table import Row, flat, html_table, row_of
from coflect_widget.records.tracks import Tracks, read_tracks

#: Columns that differ between any two runs, or say the same in other words.
_OWN = ("id", "path", "started", "ended", "notes", "damaged")
#: Runs that HTML without the widget shows.
_SHOWN = 24
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:14px/1.5 system-ui,sans-serif;margin:24px}}
table{{border-collapse:collapse}}td,th{{padding:2px 10px;text-align:left;
border-bottom:1px solid #8884;overflow-wrap:anywhere}}</style>
</head><body><h1>{title}</h1>{body}</body></html>
"""


class Comparison:
    """Runs side by side; a cell shows what differs and the curves.

    Attributes
    ----------
    ids : list of str
        The runs, in the order given.
    differs : dict of str to list
        Settings, tags, results and counts that are not equal in all runs, one value a run; None
        where a run has none.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = list(runs)
        if not self._runs:
            raise ValueError(
                "there is no run to compare; coflect.runs('runs') finds those there are"
            )
        self.ids = [run.id for run in self._runs]
        self.rows: list[Row] = [row_of(run.path) for run in self._runs]
        rows = [flat(row) for row in self.rows]
        columns = dict.fromkeys(name for row in rows for name in row if name not in _OWN)
        values = {name: [row.get(name) for row in rows] for name in columns}
        self.differs: dict[str, list[Any]] = {
            name: column for name, column in values.items() if any(v != column[0] for v in column)
        }

    @property
    def labels(self) -> list[str]:
        """A name for each run that no other has: its id, or as much of its path as tells.

        A run that is given twice is numbered.
        """
        paths = [run.path.resolve().parts for run in self._runs]
        names = list(self.ids)
        for depth in range(2, max(map(len, paths)) + 1):
            if len(set(names)) == len(set(paths)):
                break
            names = [
                "/".join(path[-depth:]) if self.ids.count(one) > 1 else one
                for one, path in zip(self.ids, paths, strict=True)
            ]
        return [
            one if names.count(one) == 1 else f"{one} ({names[: k + 1].count(one)})"
            for k, one in enumerate(names)
        ]

    @cached_property
    def tracks(self) -> list[Tracks]:
        """Metrics of each run over steps, epochs and time, about 500 points a metric."""
        return [read_tracks(run.path) for run in self._runs]

    def curves(self) -> dict[str, dict[str, Curve]]:
        """By split and metric, as ``"val loss"``: steps and values (N,) of each run, N <= 500."""
        found: dict[str, dict[str, Curve]] = {}
        for label, tracks in zip(self.labels, self.tracks, strict=True):
            for split, track in tracks.splits.items():
                for name, values in track.values.items():
                    there = np.flatnonzero(np.isfinite(values))
                    if len(there):
                        there = there[np.argsort(track.steps[there], kind="stable")]
                        curve = track.steps[there], values[there]
                        found.setdefault(f"{split} {name}".strip(), {})[label] = curve
        return found

    def save(self, path: str | Path) -> Path:
        """Write one HTML file that needs nothing else; an existing file is not replaced.

        Raises
        ------
        FileExistsError
            If there is such a file.
        """
        file = Path(path).expanduser()
        if file.exists():
            raise FileExistsError(f"{str(file)!r} is there already; give another name")
        single = len(self.ids) == 1
        title = html.escape(self.ids[0] if single else f"{len(self.ids)} runs")
        body = self._repr_html_() + "".join(map(self._told, self.labels, self._runs))
        write_whole(file, _PAGE.format(title=title, body=body))
        return file

    def __repr__(self) -> str:
        lines = [f"{name}: {' | '.join(map(str, column))}" for name, column in self.differs.items()]
        return "\n".join([" | ".join(self.labels), *lines])

    def _repr_html_(self) -> str:
        lines = [[name, *map(_cell, column[:_SHOWN])] for name, column in self.differs.items()]
        if len(self.ids) == 1:
            lines = [[name, _cell(value)] for name, value in flat(self.rows[0]).items()]
        for name, costs in (
            ("seconds trained", [one.seconds for one in self.tracks]),
            ("steps a second", [one.throughput for one in self.tracks]),
        ):
            if any(costs):
                lines.append([name, *map(_cell, costs[:_SHOWN])])
        charts = []
        shown = self.labels[:_SHOWN]
        for name, curves in self.curves().items():
            few = {label: curve for label, curve in curves.items() if label in shown}
            charts.append(f"<div>{svg(name, few)}<div>{legend(list(few))}</div></div>")
        table = html_table(["", *shown], lines)
        more = len(self.ids) - _SHOWN
        note = f"<p>and {more} more runs</p>" if more > 0 else ""
        drawn = f'<div style="display:flex;flex-wrap:wrap">{"".join(charts)}</div>'
        return f"<div>{drawn}{table}{note}</div>"

    def _told(self, label: str, run: Run) -> str:
        """What a person told the run, and what it did."""
        given = [
            [event.step, event.data.get("author"), event.data.get("understood")]
            for event in run.iter_events("intervention")
        ]
        effects = [[event.step, event.data.get("text")] for event in run.iter_events("effect")]
        parts = f"<h2>{html.escape(label)}</h2>"
        if given:
            parts += html_table(["step", "who", "told"], given)
        if effects:
            parts += html_table(["step", "effect"], effects)
        meta = html_table(["", ""], [[name, _cell(value)] for name, value in run.meta.items()])
        return f"{parts}<details><summary>meta</summary>{meta}</details>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
