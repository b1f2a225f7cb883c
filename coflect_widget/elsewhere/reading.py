"""What a connected client reads of a session: JSON and buffers for each question."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.elsewhere import messages
from coflect_widget.elsewhere.values import explanation_out, explanations_out, intervention_out
from coflect_widget.session import Session

Answer = tuple[Any, list[bytes]]
Question = messages.Read | messages.Records | messages.Maps | messages.Timeline


def answer(session: Session, question: Question) -> Answer:
    """The answer to one question; may take a while, and raises what the session raises."""
    match question:
        case messages.Read():
            return _READ[question.what](session)
        case messages.Records():
            lines = [event.model_dump_json().encode() for event in session.events(question.type)]
            return {"count": len(lines)}, [b"\n".join(lines)]
        case messages.Maps():
            return explanation_out(session.explain(question.index))
        case messages.Timeline():
            return explanations_out(session.timeline(question.index))


def _now(session: Session) -> Answer:
    metrics = {
        name: events.finite(value) if isinstance(value, float) else value
        for name, value in session.metrics.items()
    }
    return {"state": session.state, "metrics": metrics}, []


def _interventions(session: Session) -> Answer:
    return [intervention_out(entry) for entry in session.interventions], []


def _candidates(session: Session) -> Answer:
    listed: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    for one in session.candidates:
        shown = _plain({name: getattr(one, name) for name in one.__slots__ if name != "thumbnail"})
        shown["thumbnail"] = None if one.thumbnail is None else len(pictures)
        pictures += [] if one.thumbnail is None else [one.thumbnail]
        listed.append(shown)
    return listed, pictures


def _suspects(session: Session) -> Answer:
    return [_plain(asdict(one)) for one in session.suspects], []


def _page(session: Session) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        return None, [session.save_html(Path(folder) / "page.html").read_bytes()]


_READ: dict[str, Callable[[Session], Answer]] = {
    "now": _now, "interventions": _interventions, "candidates": _candidates,
    "suspects": _suspects, "page": _page,
}  # fmt: skip


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in fields.items()}
