"""A test for shortcuts in one line, for a script or for continuous integration."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coflect_widget.events import Finding
from coflect_widget.records.run import Run
from coflect_widget.session import Session
from coflect_widget.studies.findings import findings_of


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    findings : sequence of Finding
    threshold : float
        Pull from which one counts.
    pictures : Path or None
        A page with their pictures.
    """

    findings: Sequence[Finding]
    threshold: float
    pictures: Path | None = None

    @property
    def shortcuts(self) -> list[Finding]:
        """Findings above the threshold that nobody said to be right."""
        return [
            one
            for one in self.findings
            if one.pull >= self.threshold and one.answer != "right reason"
        ]

    @property
    def code(self) -> int:
        """For ``sys.exit``: 1 where there is a shortcut, else 0."""
        return int(bool(self.shortcuts))

    def __str__(self) -> str:
        lines = [f"{one.id}: {one.text} (pull {_span(one)})" for one in self.findings]
        lines = lines or ["No small region decides by itself."]
        if self.pictures is not None:
            lines.append(f"Pictures: {self.pictures}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        drawn = getattr(self.findings, "_repr_html_", None)
        return f"<pre>{html.escape(str(self))}</pre>" if drawn is None else str(drawn())


def audit(
    model: Any,
    data: Any = None,
    val_data: Any = None,
    *,
    threshold: float = 0.5,
    pictures: str | Path | None = None,
    **arguments: Any,
) -> Audit:
    """Look for small regions that decide by themselves in a trained model; print what is found.

    ``sys.exit(coflect.audit(model, train, val).code)`` is a test for shortcuts.

    Parameters
    ----------
    model : model, Session, Run or path
        A model that was trained, with its training data; or a session, which is looked at now;
        or a run, or its folder, whose own findings are taken.
    data, val_data
        Training data and validation data, as of a `Session`; of a model only.
    threshold : float
        Pull, 0 to 1, from which a finding is a shortcut.
    pictures : path, optional
        Write a page (HTML) with the findings' pictures there; not for a run.
    **arguments
        Passed on to `Session`, such as ``classes``.

    Raises
    ------
    TypeError
        If a model comes without data, or a run with some.
    """
    if isinstance(model, Run | str | Path):
        if data is not None or pictures is not None:
            raise TypeError(
                "audit() of a run takes what was found in it; give the model to look anew: "
                "audit(model, train_data, val_data)"
            )
        run = model if isinstance(model, Run) else Run(Path(model))
        return _told(findings_of(run.events()), threshold, None)
    if isinstance(model, Session):
        return _told(model.find_shortcuts(), threshold, pictures)
    if data is None:
        raise TypeError("audit() of a model needs its training data: audit(model, train_data)")
    with (
        tempfile.TemporaryDirectory(prefix="coflect-audit-") as folder,
        Session(model, data, val_data, run_dir=folder, **arguments) as session,
    ):
        return _told(session.find_shortcuts(), threshold, pictures)


def _told(findings: Sequence[Finding], threshold: float, pictures: str | Path | None) -> Audit:
    page = None
    if pictures is not None:
        page = Path(pictures)
        drawn = getattr(findings, "_repr_html_")()  # noqa: B009 - a list that shows itself
        page.write_text(f"<!doctype html><meta charset=utf-8><title>Findings</title>{drawn}")
    found = Audit(findings, threshold, page)
    print(found)  # noqa: T201 - a script's own output
    return found


def _span(one: Finding) -> str:
    low, high = one.interval
    return f"{one.pull:.2f}, {low:.2f} to {high:.2f}"
