"""Several runs side by side: what differs between them, and their curves in one chart."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget.records.curves import Curve, legend, svg
from coflect_widget.records.folder import write_whole
from coflect_widget.records.run import Run
from coflect_widget.records.table import Row, flat, html_table, row_of

#: Columns that differ between any two runs, or say the same in other words.
_OWN = ("id", "path", "started", "ended", "notes", "damaged")
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

    def curves(self) -> dict[str, dict[str, Curve]]:
        """By split and metric, as ``"val loss"``: steps and values (N,) of each run."""
        found: dict[str, dict[str, Curve]] = {}
        for run in self._runs:
            points: dict[str, list[tuple[int, float]]] = {}
            for event, values in run.iter_metrics():
                for name, value in values.items():
                    if value is not None:
                        key = f"{event.split or ''} {name}".strip()
                        points.setdefault(key, []).append((event.step, value))
            for name, pairs in points.items():
                steps, numbers = zip(*sorted(pairs), strict=True)
                # Runs of two folders may have one name.
                label = run.id if self.ids.count(run.id) == 1 else str(run.path)
                curve = np.array(steps, np.int64), np.array(numbers, np.float64)
                found.setdefault(name, {})[label] = curve
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
        body = self._repr_html_() + "".join(map(self._told, self._runs))
        write_whole(file, _PAGE.format(title=title, body=body))
        return file

    def __repr__(self) -> str:
        lines = [f"{name}: {' | '.join(map(str, column))}" for name, column in self.differs.items()]
        return "\n".join([" | ".join(self.ids), *lines])

    def _repr_html_(self) -> str:
        lines = [[name, *map(_cell, column)] for name, column in self.differs.items()]
        if len(self.ids) == 1:
            lines = [[name, _cell(value)] for name, value in flat(self.rows[0]).items()]
        charts = []
        for name, curves in self.curves().items():
            charts.append(f"<div>{svg(name, curves)}<div>{legend(list(curves))}</div></div>")
        table = html_table(["", *self.ids], lines)
        return f'<div><div style="display:flex;flex-wrap:wrap">{"".join(charts)}</div>{table}</div>'

    def _told(self, run: Run) -> str:
        """What a person told the run, and what it did."""
        given = [
            [event.step, event.data.get("author"), event.data.get("understood")]
            for event in run.iter_events("intervention")
        ]
        effects = [[event.step, event.data.get("text")] for event in run.iter_events("effect")]
        parts = f"<h2>{html.escape(run.id)}</h2>"
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
