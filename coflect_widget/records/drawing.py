"""Charts as files, SVG and PNG, by matplotlib; nothing of them is a window or a global state."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget.tasks.measures import Chart, Matrix

#: Cells of a matrix with a number in each.
_NUMBERED = 20
_NAMES = 40  # of rows that are named
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def draw(folder: Path, chart: Chart | Matrix) -> list[str]:
    """Write a chart as ``{name}.svg`` and ``{name}.png`` into `folder`; the files' names.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message has the pip command.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "drawing charts needs the package 'matplotlib', which is not installed; run: "
            "pip install 'coflect-widget[evaluate]', or pass plots=False"
        ) from error
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=_plain(chart.title), xlabel=_plain(chart.x), ylabel=_plain(chart.y))
    if isinstance(chart, Matrix):
        _matrix(figure, axes, chart)
    else:
        _curves(axes, chart)
    stem = _UNSAFE.sub("_", chart.name)
    files = [f"{stem}.svg", f"{stem}.png"]
    figure.savefig(folder / files[0])
    figure.savefig(folder / files[1], dpi=120)
    return files


def _curves(axes: Any, chart: Chart) -> None:
    for name, (x, y) in chart.curves.items():
        style = {"marker": ".", "linestyle": "none"} if chart.dots else {}
        if len(np.atleast_1d(x)) == 1:
            style = {"marker": "o"}
        axes.plot(x, y, label=_plain(name), **style)
    if chart.logarithmic[0]:
        axes.set_xscale("log")
    if chart.logarithmic[1]:
        axes.set_yscale("log")
    if chart.reference == "diagonal":
        axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    elif chart.reference == "zero":
        axes.axhline(0, color="0.6", linestyle="--", linewidth=1)
    axes.grid(alpha=0.3)
    if any(chart.curves):
        axes.legend(fontsize="small")


def _matrix(figure: Any, axes: Any, chart: Matrix) -> None:
    values = chart.values
    shares = values / np.maximum(values.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label=f"share of {chart.y}")
    count = len(values)
    if count <= _NAMES:
        names = [_plain(name) for name in chart.names] or [str(k) for k in range(count)]
        axes.set_xticks(range(count), names, rotation=45, ha="right", fontsize="small")
        axes.set_yticks(range(count), names, fontsize="small")
    if count <= _NUMBERED:
        for row in range(count):
            for column in range(count):
                dark = shares[row, column] > 0.5
                axes.text(
                    column, row, str(values[row, column]), ha="center", va="center",
                    color="white" if dark else "black", fontsize="small",
                )  # fmt: skip


def _plain(text: str) -> str:
    """A text that is no formula: matplotlib sets what stands between two dollars as one."""
    return str(text).replace("$", r"\$")
