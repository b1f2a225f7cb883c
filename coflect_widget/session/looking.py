"""The part of a `Session` that is looked at: the queue, maps, and what interventions did.

A cell shows each of them as pictures; see `coflect_widget.cells`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from coflect_widget import cells
from coflect_widget.arguments import whole_number
from coflect_widget.cells import Pictured, Tone
from coflect_widget.events import Effect, StrokeRecord
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.guidance.roi import Box, Mask, Polygon, parse_roi
from coflect_widget.timeline import read_timeline

if TYPE_CHECKING:
    from coflect_widget.attribution.explanation import Explanation
    from coflect_widget.record.run import Run
    from coflect_widget.session.parts import Parts

T = TypeVar("T")

_SIDE = 128  # pixels of a picture in a list
_COLOURS = {"look": (26, 127, 55), "ignore": (198, 40, 40)}
_TONES: dict[str, Tone] = {"helped": "good", "looks there more": "good", "harmed": "bad"}


class Looks:
    """Mixed into `Session`: candidates, explanations, timelines, effects."""

    classes: list[str]
    _run: Run

    def _open(self) -> Parts:
        raise NotImplementedError

    def _made(self) -> Parts:
        raise NotImplementedError

    def _wait_for(self, future: Future[T], timeout: float, what: str) -> T:
        raise NotImplementedError

    @property
    def _elsewhere(self) -> bool:
        raise NotImplementedError

    @property
    def interventions(self) -> list[Intervention]:
        """The ledger, oldest first."""
        raise NotImplementedError

    @property
    def candidates(self) -> Pictured[Candidate]:
        """Samples that will be wrong some epochs from now, riskiest first.

        The first ``forecast.top`` of those at risk and those wrong now together; each says which
        it is. Empty before the first ranking, and where nothing is likely to be wrong.
        """
        return self._listed(self._candidates()[: self._made().config.forecast.top])

    @property
    def at_risk(self) -> Pictured[Candidate]:
        """Samples that are right now and will be wrong, riskiest first; as many at most."""
        return self._listed([c for c in self._candidates() if not c.wrong_now])

    @property
    def wrong_now(self) -> Pictured[Candidate]:
        """Samples that are wrong now and will be then, surest first; as many at most.

        None while `onset` is set.
        """
        return self._listed([c for c in self._candidates() if c.wrong_now])

    def _candidates(self) -> list[Candidate]:
        parts = self._made()
        forecast = parts.observer.forecast
        if forecast is None:
            return []
        unknown = [None] * len(forecast.index)  # of classes
        doubtful = set(forecast.doubtful)
        return [
            Candidate(
                index, risk, target, predicted, reason, parts.gallery.thumbnail(index),
                wanted, given, error, index in doubtful,
            )
            for index, risk, target, predicted, reason, wanted, given, error in zip(
                forecast.index,
                forecast.risk,
                forecast.target,
                forecast.predicted,
                forecast.reason,
                forecast.target_value or unknown,
                forecast.predicted_value or unknown,
                forecast.error or unknown,
                strict=True,
            )
        ]  # fmt: skip

    def explain(self, index: int, timeout: float = 120.0) -> Explanation:
        """Where the model looks on one training sample, now.

        Raises
        ------
        IndexError
            If there is no such sample.
        RuntimeError
            If no explanation can be given; the message says why.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        parts = self._open()
        parts.scheduler.start()
        asked = parts.desk.explain(whole_number(index, "index"))
        explanation = self._wait_for(asked, timeout, "explain()")
        parts.stream.flush()
        picture = parts.gallery.explained(explanation.index, explanation.model_step)
        return replace(explanation, picture=picture, classes=tuple(self.classes))

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one training sample over the run, oldest first.

        One explanation for each training step at which the sample was explained, as far as
        ``config["attribution"]["maps_per_sample"]`` keeps them; [] where it never was.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        number = whole_number(index, "index")
        self._made().samples.check(number)
        if not (self._made().closed or self._elsewhere):
            self._made().stream.flush()
        return read_timeline(self._run, number)

    @property
    def effects(self) -> Pictured[Effect]:
        """What interventions did, as far as it is measured; ``.text`` says it in a sentence."""
        entries = {e.id: e for e in self.interventions if e.effect is not None}

        def draw(effect: Effect) -> str:
            entry = entries[effect.intervention]
            verdict = cells.chip(effect.verdict, _TONES.get(effect.verdict, "quiet"))
            text = effect.text.removeprefix(f"{effect.verdict}: ")
            return cells.tile(
                self._stroked(entry), [entry.understood, text], verdict, width=_SIDE + 120
            )

        return Pictured(
            [e.effect for e in entries.values() if e.effect is not None],
            draw,
            lambda count: f"What {_counted(count, 'intervention')} did",
        )

    # --- drawn ---------------------------------------------------------------------------------

    def _listed(self, candidates: Sequence[Candidate]) -> Pictured[Candidate]:
        forecast = self._made().observer.forecast
        due = 0 if forecast is None else forecast.horizon
        return Pictured(
            candidates,
            self._drawn,
            lambda count: (
                f"{_counted(count, 'sample')} that will probably be wrong {due} epochs on"
            ),
        )

    def _drawn(self, candidate: Candidate) -> str:
        lines = [f"#{candidate.index} · risk {candidate.risk:.0%}"]
        if candidate.error is not None:
            lines.append(f"error {candidate.error:.3g}")
        elif candidate.target >= 0:
            lines.append(
                f"{self.classes[candidate.target]}; the model says "
                f"{self.classes[candidate.predicted]}"
                if candidate.wrong_now
                else f"{self.classes[candidate.target]}, still right"
            )
        verdict = cells.chip(
            "wrong now" if candidate.wrong_now else "at risk",
            "bad" if candidate.wrong_now else "quiet",
        )
        picture = "" if candidate.thumbnail is None else cells.picture_tag(
            candidate.thumbnail, f"sample {candidate.index}", _SIDE
        )  # fmt: skip
        return cells.tile(picture, [*lines, candidate.reason], verdict)

    def _stroked(self, entry: Intervention) -> str:
        """The sample that an intervention was drawn on, with its strokes; "" without one."""
        thumbnail = None
        if entry.record.sample is not None:
            thumbnail = self._made().gallery.thumbnail(entry.record.sample)
        if thumbnail is None:
            return ""
        picture = cells.fitted(cells.pixels(thumbnail), _SIDE)
        drawn = stroked(picture, entry.record.strokes)
        return cells.picture_tag(cells.png(drawn), f"{entry.id} on sample {entry.record.sample}")


def stroked(picture: Any, strokes: Sequence[StrokeRecord]) -> Any:
    """The picture (H, W, 3) uint8 with strokes on it: green looks there, red ignores."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    scale = np.array([image.width - 1, image.height - 1])
    for stroke in strokes:
        colour = _COLOURS[stroke.kind]
        match parse_roi(stroke.roi):
            case Box() as box:
                corners = np.array([[box.x0, box.y0], [box.x1, box.y1]]) * scale
                draw.rectangle([tuple(c) for c in corners.tolist()], outline=colour, width=2)
            case Polygon() as polygon:
                points = [tuple(p) for p in (np.array(polygon.points) * scale).tolist()]
                draw.line([*points, points[0]], fill=colour, width=2)
            case Mask() as mask:
                inside = Image.fromarray(mask.pixels()).resize(image.size)
                image.paste(colour, mask=inside.point(lambda on: 140 if on else 0, "L"))
    return np.asarray(image)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
