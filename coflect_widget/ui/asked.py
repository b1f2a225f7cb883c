"""The question that a person is asked: about a finding, or about a random place among them."""

from __future__ import annotations

from coflect_widget import events
from coflect_widget.events import Event
from coflect_widget.studies.controls import Questions, Tally


class Asked:
    """Folded from findings, control questions, and answers to them.

    Parameters
    ----------
    dirty : set of str
        Gets "question" where the question has changed.
    """

    def __init__(self, dirty: set[str]) -> None:
        self._questions = Questions()
        self._tally = Tally()
        self._dirty = dirty

    @property
    def question(self) -> events.Finding | events.Control | None:
        """What is asked now; None where nothing is."""
        return self._questions.asked

    @property
    def controls(self) -> str:
        """What control questions came to, in a sentence; "" before the first answer to one."""
        controls = self._tally.controls
        return str(controls) if controls.answered else ""

    def take(self, _: Event, data: events.Finding | events.Control | events.Answered) -> None:
        """A finding or newer figures of one, a control, or an answer: none is asked again."""
        before = self.question
        self._questions.take(data)
        if not isinstance(data, events.Finding):
            self._tally.take(data)
        if self.question != before:
            self._dirty.add("question")
