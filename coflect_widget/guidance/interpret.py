"""From what a person sent to what it means: checks first, changes nothing, says it in words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coflect_widget.events import Feedback, InterventionRecord, StrokeRecord
from coflect_widget.guidance.instructions import ORDERS, NotUnderstood, Understood, parse
from coflect_widget.guidance.state import GuidanceState, Kind, Scope, union
from coflect_widget.modalities.base import Modality, Region


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A checked feedback; `record` makes the event of it.

    Attributes
    ----------
    sample : int or None
        The sample it was drawn on; None where there was none.
    scope : {"sample", "class", "everywhere"} or None
        For whom the strokes are meant, as said; None where it was not said.
    label : int or None
        The class, for scope "class".
    strokes : tuple of (kind, Region)
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
    strokes: tuple[tuple[Kind, Region], ...]
    instruction: str | None
    understood: str
    strength: float | None
    stroke_strength: float | None
    focus_change: float | None
    focus_set: float | None
    focus: float
    clears: bool
    scope: Scope | None = None
    label: int | None = None

    def record(self, id: str, author: str = "", loss: str = "") -> InterventionRecord:  # noqa: A002 - the event's own field name
        """The event of this intervention, under `id`."""
        return InterventionRecord.model_validate(
            {
                "id": id,
                "author": author,
                "sample": self.sample,
                "strokes": [
                    StrokeRecord(
                        kind=kind,
                        roi=region.to_json(),
                        sample=None if self.scope in ("class", "everywhere") else self.sample,
                        label=self.label,
                        spreads=self.scope is None,
                    )
                    for kind, region in self.strokes
                ],
                "scope": self.scope,
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
    modality: Modality,
    extent: tuple[int, ...],
    num_samples: int,
    classes: Sequence[str] = (),
    label_of: Callable[[int], int] | None = None,
) -> Interpretation:
    """Check one feedback and say what it means beside the guidance in force; see `check`."""
    said = None if feedback.instruction is None else parse(feedback.instruction, modality, classes)
    return check(feedback, said, modality, extent, num_samples, classes, label_of).beside(state)


@dataclass(frozen=True, slots=True)
class Checked:
    """A feedback that can be used, whatever else is in force by then."""

    feedback: Feedback
    modality: Modality
    sample: int | None
    strokes: tuple[tuple[Kind, Region], ...]
    said: Understood | None
    scope: Scope | None
    label: int | None
    where: str

    def beside(self, state: GuidanceState) -> Interpretation:
        """What it means beside the guidance in force."""
        return _assemble(
            self.feedback,
            self.modality,
            state,
            self.sample,
            self.strokes,
            self.said,
            self.scope,
            self.label,
            self.where,
        )


def check(
    feedback: Feedback,
    said: Understood | NotUnderstood | None,
    modality: Modality,
    extent: tuple[int, ...],
    num_samples: int,
    classes: Sequence[str] = (),
    label_of: Callable[[int], int] | None = None,
) -> Checked:
    """Check one feedback; a pure function.

    Parameters
    ----------
    feedback : events.Feedback
        Strokes, an instruction and a strength; any of them.
    said : Understood, NotUnderstood or None
        What `instructions.parse` makes of the instruction.
    modality : Modality
        What a region is.
    extent : tuple of int
        Of a sample; what is painted must have it.
    num_samples : int
        Size of the training data.
    classes : sequence of str
        Names of the classes.
    label_of : callable, optional
        Index -> class of a sample, for what is meant for all of its class.

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
    strokes: list[tuple[Kind, Region]] = [
        (stroke.kind, modality.region(stroke.roi, stroke.kind, extent))
        for stroke in feedback.strokes
    ]
    meant = _instruction(feedback, said)
    if meant is not None and meant.action == "region":
        strokes += [(meant.kind, region) for region in meant.regions]
    scope, label = _scope(feedback, sample, meant, label_of)
    if scope is not None and not strokes:
        raise ValueError(f"scope={scope!r} without a stroke; draw one, or name a region")
    ignored = [region for kind, region in strokes if kind == "ignore"]
    if ignored and union(ignored, modality, extent).all():
        raise ValueError(
            f"ignore covers the whole {modality.name}, with {modality.describe(ignored)}; leave "
            "something to look at"
        )
    where = _where(sample, scope, label, classes)
    return Checked(feedback, modality, sample, tuple(strokes), meant, scope, label, where)


def _assemble(
    feedback: Feedback,
    modality: Modality,
    state: GuidanceState,
    sample: int | None,
    strokes: tuple[tuple[Kind, Region], ...],
    said: Understood | None,
    scope: Scope | None,
    label: int | None,
    where: str,
) -> Interpretation:
    given = feedback.strength
    if said is not None and said.strength is not None:
        given = said.strength  # the words are what a person reads back
    change = said.delta if said is not None and said.action == "change" else None
    value = said.value if said is not None and said.action == "set" else None
    focus = state.focus
    if change is not None:
        focus = clip(focus + change)
    elif value is not None:
        focus = value
    strength = None
    if strokes:
        strength = state.focus if given is None else given
        strength = clip(strength + (change or 0.0)) if value is None else value

    parts: list[str] = []
    if strokes:
        parts.append(_stroke_words(strokes, modality, said, strength or 0.0, where))
        only = None if scope in ("class", "everywhere") else sample
        parts += _contradictions(strokes, modality, only, state)
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
        stroke_strength=given if strokes else None,
        focus_change=change,
        focus_set=value,
        focus=focus,
        clears=said is not None and said.action == "clear",
        scope=scope,
        label=label,
    )


def _scope(
    feedback: Feedback,
    sample: int | None,
    said: Understood | None,
    label_of: Callable[[int], int] | None,
) -> tuple[Scope | None, int | None]:
    """For whom, and the class where it is for one."""
    spoken = None if said is None else said.scope
    if spoken is not None and feedback.scope not in (None, spoken):
        raise ValueError(
            f"scope={feedback.scope!r}, but the instruction says {spoken!r}; leave one of them out"
        )
    scope: Scope | None = feedback.scope or spoken
    if said is not None and said.label is not None:
        return scope, said.label
    if scope in ("sample", "class") and sample is None:
        wanted = "only this one" if scope == "sample" else "all of its class"
        raise ValueError(
            f"scope={scope!r} ({wanted}) needs a sample; give sample=, click one, or name the class"
        )
    if scope == "class" and sample is not None:
        if label_of is None:
            raise ValueError("scope='class': the labels are not known here; name the class")
        return scope, label_of(sample)
    return scope, None


def _where(
    sample: int | None, scope: Scope | None, label: int | None, classes: Sequence[str]
) -> str:
    if scope == "class" and label is not None:
        name = classes[label] if label < len(classes) else str(label)
        return f"for class {' '.join(name.split())}"
    if scope == "sample":
        return f"only on sample {sample}"
    return "on every sample" if sample is None or scope == "everywhere" else f"on sample {sample}"


def _sample(sample: int | None, num_samples: int) -> int | None:
    if sample is not None and not 0 <= sample < num_samples:
        raise ValueError(
            f"sample={sample} is not in the training data; indices go from 0 to {num_samples - 1}"
        )
    return sample


def _instruction(feedback: Feedback, said: Understood | NotUnderstood | None) -> Understood | None:
    """The instruction; a bare strength stands for "set focus to"."""
    if feedback.instruction is None:
        if feedback.strokes or feedback.strength is None:
            return None
        return Understood("set", value=feedback.strength)
    assert said is not None  # noqa: S101 - there is an instruction
    if isinstance(said, NotUnderstood):
        raise ValueError(said.message)
    if said.action in (*ORDERS, "knobs"):
        raise ValueError(
            f"instruction={said.echo()!r} is an order: give it alone, without strokes or strength"
        )
    if said.action == "clear" and feedback.strokes:
        raise ValueError(
            f"instruction={feedback.instruction!r} with strokes: send the two one after the other"
        )
    return said


def _stroke_words(
    strokes: tuple[tuple[Kind, Region], ...],
    modality: Modality,
    said: Understood | None,
    strength: float,
    where: str,
) -> str:
    named = said if said is not None and said.action == "region" else None
    drawn = strokes if named is None else strokes[: len(strokes) - len(named.regions)]
    verbs = {"look": "look at", "ignore": "ignore"}
    words = [
        f"{verbs[kind]} {modality.describe([region for _, region in same])}"
        for kind, same in itertools.groupby(drawn, key=lambda stroke: stroke[0])
    ]
    if named is not None:
        words.append(f"{'focus' if named.kind == 'look' else 'ignore'} {named.region}")
    return f"{' and '.join(words)} {where}, strength {strength:.2f}"


def _contradictions(
    strokes: tuple[tuple[Kind, Region], ...],
    modality: Modality,
    sample: int | None,
    state: GuidanceState,
) -> list[str]:
    """One sentence for each older stroke of the other kind that overlaps with a new one."""
    older: list[tuple[Kind, Region, str]] = [
        (stroke.kind, stroke.region, f"the {stroke.kind} of {stroke.id}")
        for stroke in state.strokes
        if sample is None or stroke.sample is None or stroke.sample == sample
    ]
    sentences: list[str] = []
    for kind, region in strokes:
        sentences += [
            f"{kind} wins over {name} where they overlap"
            for other, place, name in older
            if other != kind and modality.overlap(region, place)
        ]
        older.append((kind, region, f"the {kind} before it"))
    return list(dict.fromkeys(sentences))


def clip(strength: float) -> float:
    """`strength` within [0, 1], free of binary dust such as 0.30000000000000004."""
    return round(min(1.0, max(0.0, strength)), 9)
