"""How a cell shows what a session gives: candidates and effects as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Effect, Finding, StrokeRecord
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.modalities.base import Modality
from coflect_widget.records import cells
from coflect_widget.records.cells import Pictured, Tone
from coflect_widget.records.pictures import laid_on
from coflect_widget.records.sketches import sketch
from coflect_widget.records.sketches.marked import COLOURS
from coflect_widget.session.labels import Suspect

_SIDE = 128  # pixels of a picture in a list
_EXAMPLES = 6  # pictures of a finding
_WIDE = 250  # and of words, a curve or features
_LINE = 2  # pixels
_TONES: dict[str, Tone] = {"helped": "good", "looks there more": "good", "harmed": "bad"}


Content = Mapping[str, Any]


class Samples(Protocol):
    """What is shown of samples (`Gallery`)."""

    def thumbnail(self, index: int) -> bytes | None:
        """A PNG file, where there is one."""

    def content(self, index: int) -> Content | None:
        """What is drawn in its place; None where the picture is all."""


def listed(
    candidates: Sequence[Candidate],
    classes: Sequence[str],
    horizon: int,
    content: Callable[[int], Content | None],
) -> Pictured[Candidate]:
    """Candidates with what is shown of their samples; `horizon` is in epochs."""

    def draw(candidate: Candidate) -> str:
        lines = [f"#{candidate.index} · risk {candidate.risk:.0%}"]
        if candidate.error is not None:
            lines.append(f"error {candidate.error:.3g}")
        elif candidate.target >= 0:
            said = f"; the model says {classes[candidate.predicted]}"
            lines.append(classes[candidate.target] + (said if candidate.wrong_now else ""))
        verdict = cells.chip(
            "wrong now" if candidate.wrong_now else "at risk",
            "bad" if candidate.wrong_now else "quiet",
        )
        return _tile(
            candidate.index, candidate.thumbnail, sketch(content(candidate.index), small=True),
            [*lines, candidate.reason], verdict,
        )  # fmt: skip

    return Pictured(
        candidates,
        draw,
        lambda count: (
            f"{_counted(count, 'sample')} likely to be wrong in {horizon} epochs"
            if count
            else "No sample is likely to be wrong"
        ),
    )


def suspected(
    suspects: Sequence[Suspect], classes: Sequence[str], samples: Samples
) -> Pictured[Suspect]:
    """Samples whose label may be wrong, with the label and what the model sees in them."""

    def draw(suspect: Suspect) -> str:
        lines = [
            f"#{suspect.index} · doubt {suspect.doubt:.0%}",
            f"labelled {classes[suspect.target]}; looks like {classes[suspect.suggested]}",
        ]
        verdict = cells.chip(suspect.judged, "quiet") if suspect.judged else ""
        drawn = sketch(samples.content(suspect.index), small=True)
        return _tile(suspect.index, samples.thumbnail(suspect.index), drawn, lines, verdict)

    return Pictured(
        suspects,
        draw,
        lambda count: (
            f"{_counted(count, 'label')} that may be wrong" if count else "No label is suspected"
        ),
    )


def effects(
    interventions: Sequence[Intervention],
    samples: Samples,
    modality: Modality,
    extent: tuple[int, ...],
) -> Pictured[Effect]:
    """Those that were measured, with the sample, of this extent, and the strokes on it."""
    entries = {entry.id: entry for entry in interventions if entry.effect is not None}

    def draw(effect: Effect) -> str:
        entry = entries[effect.intervention]
        sample, picture = entry.record.sample, ""
        file = None if sample is None else samples.thumbnail(sample)
        content = None if sample is None else samples.content(sample)
        if content is not None:
            marks = [
                (s.kind, modality.mask(modality.region(s.roi, "stroke"), extent))
                for s in entry.record.strokes
            ]
            picture = sketch(content, None, marks, small=True)
        if file is not None and not picture:
            shown = cells.fitted(cells.pixels(file), _SIDE)
            drawn = stroked(shown, entry.record.strokes, modality, extent)
            picture = cells.picture_tag(cells.png(drawn), f"{entry.id} on sample {sample}")
        verdict = cells.chip(effect.verdict, _TONES.get(effect.verdict, "quiet"))
        text = effect.text.removeprefix(f"{effect.verdict}: ")
        return cells.tile(picture, [entry.understood, text], verdict, width=_SIDE + 120)

    return Pictured(
        [entry.effect for entry in entries.values() if entry.effect is not None],
        draw,
        lambda count: (
            f"What {_counted(count, 'intervention')} did" if count else "No effect is measured yet"
        ),
    )


def findings(
    found: Sequence[Finding],
    thumbnail: Callable[[int], bytes | None],
    modality: Modality,
    extent: tuple[int, ...],
) -> Pictured[Finding]:
    """Each with up to six of its samples and the region in them."""

    def draw(finding: Finding) -> str:
        pictures = []
        for index, roi in list(zip(finding.index, finding.regions, strict=True))[:_EXAMPLES]:
            file = thumbnail(index)
            if file is None:
                continue
            shown = cells.fitted(cells.pixels(file), _SIDE)
            stroke = StrokeRecord(kind="ignore", roi=roi, sample=index)
            drawn = stroked(shown, [stroke], modality, extent)
            pictures.append(cells.picture_tag(cells.png(drawn), f"{finding.id} on #{index}"))
        shares = [
            f'<div style="display:inline-block;margin:0 4px 4px 0">{p}</div>' for p in pictures
        ]
        verdict = cells.chip(finding.answer, "quiet") if finding.answer else ""
        return cells.tile(
            "".join(shares), [finding.id, finding.text], verdict, width=3 * _SIDE + 24
        )

    return Pictured(
        found,
        draw,
        lambda count: (
            f"{_counted(count, 'small region')} that decides by itself"
            if count == 1
            else f"{count} small regions that decide by themselves"
            if count
            else "No small region decides by itself"
        ),
    )


def _tile(index: int, file: bytes | None, drawn: str, lines: Sequence[str], verdict: str) -> str:
    """A sample in a list: drawn as what it is, or by its thumbnail."""
    if drawn:
        return cells.tile(drawn, lines, verdict, width=_WIDE)
    picture = "" if file is None else cells.picture_tag(file, f"sample {index}", _SIDE)
    return cells.tile(picture, lines, verdict)


def stroked(
    picture: NDArray[np.uint8],
    strokes: Sequence[StrokeRecord],
    modality: Modality,
    extent: tuple[int, ...],
) -> NDArray[np.uint8]:
    """The picture (h, w, 3) uint8 with outlines of strokes on it: green looks there, red ignores.

    What is marked along one axis lies along the picture's columns.
    """
    drawn = picture.copy()
    for stroke in strokes:
        region = modality.region(stroke.roi, "stroke")
        mask = laid_on(modality.on_picture(modality.mask(region, extent)), picture.shape[:2])
        inside = np.pad(mask, _LINE)
        kept = np.logical_and.reduce(
            [np.roll(inside, shift, axis) for axis in (0, 1) for shift in (-_LINE, _LINE)]
        )
        edge = (inside & ~kept)[_LINE:-_LINE, _LINE:-_LINE]
        drawn[edge] = COLOURS[stroke.kind]
    return drawn


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
