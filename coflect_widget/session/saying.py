"""What a person would have said at a step: checked as it would have been then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from coflect_widget import events
from coflect_widget.config import nearest
from coflect_widget.guidance.instructions import parse
from coflect_widget.guidance.interpret import check
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.guidance.state import Kind, Scope
from coflect_widget.modalities.base import Modality
from coflect_widget.session.arguments import fraction, one_of, whole_number
from coflect_widget.session.parts import Parts

_WORDS = ["step", "sample", "look", "ignore", "instruction", "strength", "scope"]


def feedback_of(
    modality: Modality,
    sample: int | None = None,
    look: Any = None,
    ignore: Any = None,
    instruction: str | None = None,
    strength: float | None = None,
    scope: Scope | None = None,
) -> events.Feedback:
    """The command that the arguments of `Session.feedback` are.

    Raises
    ------
    ValueError, TypeError
        If one of them cannot be used.
    """
    given_by_kind: dict[Kind, Any] = {"look": look, "ignore": ignore}
    strokes = [
        events.StrokeInput(kind=kind, roi=region.to_json())
        for kind, given in given_by_kind.items()
        for region in modality.regions(given, kind)
    ]
    if instruction is not None and not isinstance(instruction, str):
        raise TypeError(
            f'instruction={instruction!r} must be text, such as "increase focus by 10%"'
        )
    return events.Feedback(
        sample=None if sample is None else whole_number(sample, "sample"),
        strokes=strokes,
        instruction=instruction,
        strength=fraction(strength, "strength"),
        scope=one_of(scope, "scope", get_args(Scope)),
    )


def said_at(
    given: Intervention | Mapping[str, Any], parts: Parts, classes: list[str]
) -> Intervention:
    """An intervention at its step, from one or from arguments of `Session.feedback` with a step.

    Raises
    ------
    ValueError, TypeError
        If it cannot be used.
    """
    if isinstance(given, Intervention):
        return given
    if not isinstance(given, Mapping) or "step" not in given:
        raise TypeError(
            f"with_={given!r} must be an intervention, or feedback() with a step, as "
            "{'step': 40, 'sample': 3, 'ignore': (0.1, 0.1, 0.3, 0.3)}"
        )
    for name in given:
        if name not in _WORDS:
            raise TypeError(f"with_ has no {name!r}; {nearest(str(name), _WORDS)}")
    words = {name: value for name, value in given.items() if name != "step"}
    feedback = feedback_of(parts.modality, **words)
    text = feedback.instruction
    steering = parts.steering
    checked = check(
        feedback,
        None if text is None else parse(text, parts.modality, classes),
        parts.modality,
        steering.extent,
        parts.backend.num_train,
        classes,
        lambda index: int(parts.samples.train(index).target),
    )
    record = checked.beside(steering.ledger.state()).record("", parts.tell.author)
    return Intervention(record, whole_number(given["step"], "step"))
