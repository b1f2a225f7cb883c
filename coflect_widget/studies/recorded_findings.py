"""Findings as a run's events have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coflect_widget.events import Answered, Event, Finding, Undone
from coflect_widget.modalities.base import Modality


def findings_of(recorded: Iterable[Event]) -> list[Finding]:
    """The findings in a run's events, with their newest figures and answers, oldest first."""
    found: dict[str, Finding] = {}
    for event in recorded:
        match event.data:
            case Finding() as data:
                found[data.id] = data
            case Answered() as data if data.finding in found:
                said = {"answer": data.answer, "intervention": data.intervention}
                found[data.finding] = found[data.finding].model_copy(update=said)
            case Undone() as data:
                for finding in list(found.values()):
                    if finding.intervention == data.id:
                        opened = {"answer": "", "intervention": ""}
                        found[finding.id] = finding.model_copy(update=opened)
    return list(found.values())


def sentence(
    modality: Modality, names: Sequence[str], pull: float, finding: Finding, searched: int
) -> str:
    """What a finding with this pull says and asks; so many samples were searched for it."""
    nouns, classes, count = modality.nouns, finding.classes, finding.count
    into = (
        repr(names[classes[0]])
        if len(classes) == 1 and classes[0] < len(names)
        else f"the class of the {modality.noun} that it is taken from"
    )
    return (
        f"This place alone turns {pull:.0%} of other {nouns} into {into}; it was found in "
        f"{count} of {max(count, searched)} {nouns}. Is it the reason?"
    )
