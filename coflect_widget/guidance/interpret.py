"""From what a person sent to what it means: checks first, changes nothing, says it in words."""

from __future__ import annotations

from dataclasses import dataclass

from coflect_widget.config import GuidanceConfig
from coflect_widget.events import Feedback, InterventionRecord, StrokeRecord
from coflect_widget.guidance.instructions import NotUnderstood, Understood, parse
from coflect_widget.guidance.roi import Roi, parse_roi, rasterise
from coflect_widget.guidance.state import GuidanceState, Kind

_RASTER = (64, 64)  # fine enough to tell whether two strokes share pixels


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A checked feedback; `record` makes the event of it.

    Attributes
    ----------
    sample : int or None
        The sample it is about; None means everywhere.
    strokes : tuple of (kind, Roi)
        In the order given; those named by the instruction last.
    instruction : str or None
        In canonical words.
    understood : str
        All of it in one line for a person.
    strength : float or None
        Of the strokes, once the instruction is applied; None without strokes.
    default_strength : bool
        True where the strokes take the focus in force instead of a strength of their own.
    focus_change, focus_set : float or None
        What the instruction adds to the focus and all strokes, or sets them to.
    focus : float
        Strength of new strokes afterwards.
    clears : bool
        Ends the guidance given before.
    """

    sample: int | None
    strokes: tuple[tuple[Kind, Roi], ...]
    instruction: str | None
    understood: str
    strength: float | None
    stroke_strength: float | None
    focus_change: float | None
    focus_set: float | None
    focus: float
    clears: bool

    def record(self, id: str, author: str = "", loss: str = "") -> InterventionRecord:  # noqa: A002 - the event's own field name
        """The event of this intervention, under `id`."""
        return InterventionRecord.model_validate(
            {
                "id": id,
                "author": author,
                "sample": self.sample,
                "strokes": [
                    StrokeRecord(kind=kind, roi=roi.to_json(), sample=self.sample)
                    for kind, roi in self.strokes
                ],
                "instruction": self.instruction,
                "understood": self.understood,
                "strength": self.strength,
                "stroke_strength": self.stroke_strength,
                "focus_change": self.focus_change,
                "focus_set": self.focus_set,
                "focus": self.focus,
                "clears": self.clears,
                "loss": loss,
            }
        )


def interpret(
    feedback: Feedback,
    state: GuidanceState,
    config: GuidanceConfig,
    num_samples: int,
    image_size: tuple[int, int] | None = None,
) -> Interpretation:
    """Check one feedback against the guidance in force; a pure function.

    Parameters
    ----------
    feedback : events.Feedback
        Strokes, an instruction and a strength; any of them.
    state : GuidanceState
        What is in force now.
    config : GuidanceConfig
        Seam for rules that settings decide; the focus itself comes from `state`.
    num_samples : int
        Size of the training data.
    image_size : (int, int), optional
        Height and width of the images, which brushed masks must have.

    Raises
    ------
    ValueError
        If anything in it cannot be used. Then nothing of it is.
    """
    sample = _sample(feedback.sample, num_samples)
    if not feedback.strokes and feedback.instruction is None and feedback.strength is None:
        raise ValueError(
            "feedback is empty; give look, ignore, instruction or strength, for example "
            "feedback(sample=12, ignore=(0.7, 0.7, 0.95, 0.95))"
        )
    if not feedback.strokes and feedback.instruction is None and sample is not None:
        raise ValueError(
            f"strength={feedback.strength} on sample={sample} without a stroke; draw one, or leave "
            "sample out to set the strength of all guidance"
        )
    strokes: list[tuple[Kind, Roi]] = [
        (stroke.kind, parse_roi(stroke.roi, stroke.kind, image_size)) for stroke in feedback.strokes
    ]
    said = _instruction(feedback)
    if said is not None and said.action == "region":
        strokes += [(said.kind, roi) for roi in said.rois]
    for kind, roi in strokes:
        if kind == "ignore" and rasterise(roi, *_RASTER).all():
            raise ValueError(
                f"ignore={roi.describe()} is the whole image; leave something to look at"
            )
    return _assemble(feedback, state, sample, tuple(strokes), said)


def _assemble(
    feedback: Feedback,
    state: GuidanceState,
    sample: int | None,
    strokes: tuple[tuple[Kind, Roi], ...],
    said: Understood | None,
) -> Interpretation:
    change = said.delta if said is not None and said.action == "change" else None
    value = said.value if said is not None and said.action == "set" else None
    focus = state.focus
    if change is not None:
        focus = clip(focus + change)
    elif value is not None:
        focus = value
    strength = None
    if strokes:
        strength = state.focus if feedback.strength is None else feedback.strength
        strength = clip(strength + (change or 0.0)) if value is None else value

    parts: list[str] = []
    if strokes:
        parts.append(_stroke_words(strokes, sample, said, strength or 0.0))
        parts += _contradictions(strokes, sample, state)
    if said is not None and said.action != "region":
        change_words = "" if said.action == "clear" else f": {state.focus:.2f} -> {focus:.2f}"
        parts.append(said.echo() + change_words)
        if feedback.strength is not None and feedback.instruction is not None and not strokes:
            parts.append(f"strength {feedback.strength:.2f} is not used, nothing was drawn")
    if (strength if strokes else focus) == 0.0 and not (said and said.action == "clear"):
        parts.append("at strength 0 it has no effect")
    return Interpretation(
        sample=sample,
        strokes=strokes,
        instruction=None if feedback.instruction is None or said is None else said.echo(),
        understood="; ".join(parts),
        strength=strength,
        stroke_strength=feedback.strength if strokes else None,
        focus_change=change,
        focus_set=value,
        focus=focus,
        clears=said is not None and said.action == "clear",
    )


def _sample(sample: int | None, num_samples: int) -> int | None:
    if sample is not None and not 0 <= sample < num_samples:
        raise ValueError(
            f"sample={sample} is not in the training data; indices go from 0 to {num_samples - 1}"
        )
    return sample


def _instruction(feedback: Feedback) -> Understood | None:
    """The instruction; a bare strength stands for "set focus to"."""
    if feedback.instruction is None:
        if feedback.strokes or feedback.strength is None:
            return None
        return Understood("set", value=feedback.strength)
    said = parse(feedback.instruction)
    if isinstance(said, NotUnderstood):
        raise ValueError(said.message)
    if said.action == "clear" and feedback.strokes:
        raise ValueError(
            f"instruction={feedback.instruction!r} with strokes: send the two one after the other"
        )
    return said


def _stroke_words(
    strokes: tuple[tuple[Kind, Roi], ...],
    sample: int | None,
    said: Understood | None,
    strength: float,
) -> str:
    named = said.region if said is not None and said.action == "region" else ""
    drawn = strokes[: len(strokes) - len(said.rois)] if named and said is not None else strokes
    words = [f"{'look at' if kind == 'look' else 'ignore'} {roi.describe()}" for kind, roi in drawn]
    if named and said is not None:
        words.append(said.echo())
    where = "on every sample" if sample is None else f"on sample {sample}"
    return f"{' and '.join(words)} {where}, strength {strength:.2f}"


def _contradictions(
    strokes: tuple[tuple[Kind, Roi], ...], sample: int | None, state: GuidanceState
) -> list[str]:
    """One sentence for each older stroke of the other kind that shares pixels with a new one."""
    older: list[tuple[Kind, Roi, str]] = [
        (stroke.kind, stroke.roi, f"the {stroke.kind} of {stroke.id}")
        for stroke in state.strokes
        if sample is None or stroke.sample is None or stroke.sample == sample
    ]
    sentences: list[str] = []
    for kind, roi in strokes:
        pixels = rasterise(roi, *_RASTER)
        sentences += [
            f"{kind} wins over {name} where they overlap"
            for other, place, name in older
            if other != kind and (pixels & rasterise(place, *_RASTER)).any()
        ]
        older.append((kind, roi, f"the {kind} before it"))
    return list(dict.fromkeys(sentences))


def clip(strength: float) -> float:
    """`strength` within [0, 1], free of binary dust such as 0.30000000000000004."""
    return round(min(1.0, max(0.0, strength)), 9)
