"""A test for shortcuts in one line, for a script or for continuous integration."""

from __future__ import annotations

import html
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coflect_widget.events import Finding
from coflect_widget.records.run import Run
from coflect_widget.session import Session
from coflect_widget.session.asking import TooFewSureWarning
from coflect_widget.studies.recorded_findings import findings_of


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
    why_not : str
        Why nothing can be told; "" where it was looked.
    """

    findings: Sequence[Finding]
    threshold: float
    pictures: Path | None = None
    why_not: str = ""

    @property
    def shortcuts(self) -> list[Finding]:
        """Findings above the threshold that nobody said to be right, and that have not faded."""
        return [
            one
            for one in self.findings
            if one.pull >= self.threshold and one.answer != "right reason" and not faded(one)
        ]

    @property
    def code(self) -> int:
        """For ``sys.exit``: 1 where there is a shortcut, 2 where nothing can be told, else 0."""
        return 1 if self.shortcuts else 2 * bool(self.why_not)

    def __str__(self) -> str:
        lines = [f"{one.id}: {one.text} (pull {_span(one)})" for one in self.findings]
        if self.why_not:
            lines.append(f"Nothing can be told of shortcuts: {self.why_not}.")
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

    ``sys.exit(coflect.audit(model, train, val).code)`` is a test for shortcuts: 1 where there is
    one, and 2 where nothing can be told, as of a model that is surely right on few samples.

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
        return _printed(of_run(run, threshold))
    if isinstance(model, Session):
        return _looked(model, threshold, pictures)
    if data is None:
        raise TypeError("audit() of a model needs its training data: audit(model, train_data)")
    with (
        tempfile.TemporaryDirectory(prefix="coflect-audit-") as folder,
        Session(model, data, val_data, run_dir=folder, **arguments) as session,
    ):
        return _looked(session, threshold, pictures)


def of_run(run: Run, threshold: float) -> Audit:
    """What a run has found, by itself or where somebody asked."""
    found = findings_of(run.events())
    looks = (run.config.get("findings") or {}).get("act", "off") != "off"
    why_not = "" if found or looks else (
        'this run did not look by itself (config["findings"]["act"] is "off"); give the model: '
        "audit(model, train_data, val_data)"
    )  # fmt: skip
    return Audit(found, threshold, None, why_not)


def _looked(session: Session, threshold: float, pictures: str | Path | None) -> Audit:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TooFewSureWarning)
        try:
            found: Sequence[Finding] = session.find_shortcuts()
        except (ValueError, RuntimeError) as error:
            return _told([], threshold, None, str(error))
    few = [str(one.message) for one in caught if issubclass(one.category, TooFewSureWarning)]
    return _told(found, threshold, pictures, few[0] if few else "")


def _told(
    findings: Sequence[Finding], threshold: float, pictures: str | Path | None, why_not: str
) -> Audit:
    page = None
    if pictures is not None:
        page = Path(pictures)
        drawn = getattr(findings, "_repr_html_")()  # noqa: B009 - a list that shows itself
        page.write_text(f"<!doctype html><meta charset=utf-8><title>Findings</title>{drawn}")
    return _printed(Audit(findings, threshold, page, why_not))


def _printed(found: Audit) -> Audit:
    print(found)  # noqa: T201 - a script's own output
    return found


def faded(one: Finding) -> bool:
    """Whether its pull, as it was measured over the run, has fallen below half of its largest."""
    pulls = [row.pull for row in one.history]
    return bool(pulls) and pulls[-1] < max(pulls) / 2


def _span(one: Finding) -> str:
    low, high = one.interval
    now = f"; now {one.history[-1].pull:.2f}: no longer" if faded(one) else ""
    return f"{one.pull:.2f}, {low:.2f} to {high:.2f}{now}"
