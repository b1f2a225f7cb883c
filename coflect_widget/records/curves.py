"""Curves of metrics over steps as SVG: no script, nothing fetched, every text escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Colours that people with any sight for colours tell apart (Okabe and Ito), on light and dark.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7f87")
_WIDE, _HIGH, _LEFT, _BELOW, _ABOVE = 520, 240, 60, 28, 24
_POINTS = 500  # of one curve that are drawn, at most

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


def svg(title: str, curves: Mapping[str, Curve]) -> str:
    """One chart.

    Parameters
    ----------
    title : str
    curves : mapping of str to (steps, values)
        By their names, (N,) each; NaN and infinite values are left out.
    """
    kept = {}
    for name, (steps, values) in curves.items():
        fine = np.isfinite(values)
        if fine.any():
            kept[name] = _thinned(steps[fine], values[fine])
    text = f'<text x="{_LEFT}" y="15" font-weight="600">{html.escape(title)}</text>'
    lines = []
    if kept:
        x_most = max(int(steps.max()) for steps, _ in kept.values()) or 1
        low = min(float(values.min()) for _, values in kept.values())
        high = max(float(values.max()) for _, values in kept.values())
        reach = (high - low) or abs(high) or 1.0
        text += _label(_LEFT - 4, _ABOVE + 8, f"{high:.4g}", "end")
        text += _label(_LEFT - 4, _HIGH - _BELOW, f"{low:.4g}", "end")
        text += _label(_LEFT, _HIGH - 10, "0", "middle")
        text += _label(_WIDE - 8, _HIGH - 10, f"step {x_most}", "end")
        for k, (name, (steps, values)) in enumerate(kept.items()):
            x = _LEFT + steps / x_most * (_WIDE - _LEFT - 8)
            y = _HIGH - _BELOW - (values - low) / reach * (_HIGH - _BELOW - _ABOVE)
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
            points += f" {points}" if len(steps) == 1 else ""  # a round cap makes it a dot
            lines.append(
                f'<polyline fill="none" stroke="{COLOURS[k % len(COLOURS)]}" stroke-width="1.5" '
                'stroke-linecap="round" '
                f'points="{points}"><title>{html.escape(name)}</title></polyline>'
            )
    axes = f'<path d="M{_LEFT} {_ABOVE}V{_HIGH - _BELOW}H{_WIDE - 8}" fill="none" stroke="#888"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" '
        f'height="{_HIGH}" role="img" aria-label="{html.escape(title)}" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">'
        f"{text}{axes}{''.join(lines)}</svg>"
    )


def legend(names: list[str]) -> str:
    """Names beside the colours that `svg` gives to curves in the same order."""
    return "".join(
        f'<span style="margin-right:14px"><span style="color:{COLOURS[k % len(COLOURS)]}">'
        f"&#9644;</span> {html.escape(name)}</span>"
        for k, name in enumerate(names)
    )


def _thinned(steps: NDArray[np.int64], values: NDArray[np.float64]) -> Curve:
    if len(steps) <= _POINTS:
        return steps, values
    places = np.linspace(0, len(steps) - 1, _POINTS).astype(int)
    return steps[places], values[places]


def _label(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(words)}</text>'
