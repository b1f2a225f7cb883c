"""What a person is asked: about a finding, or a random place among them; about kept requests."""

from __future__ import annotations

from coflect_widget import events
from coflect_widget.events import Event
from coflect_widget.studies.controls import Questions, Tally


class Asked:
    """Folded from findings, control questions, answers to them, and requests without a class.

    Parameters
    ----------
    dirty : set of str
        Gets "question" where the question has changed, "requests" where those have.

    Attributes
    ----------
    requests : events.Requests or None
        Those that wait for a person to say their class.
    """

    def __init__(self, dirty: set[str]) -> None:
        self._questions = Questions()
        self._tally = Tally()
        self._dirty = dirty
        self.requests: events.Requests | None = None

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

    def wait(self, _: Event, data: events.Requests) -> None:
        """Requests have come, or were labelled."""
        self.requests = data
        self._dirty.add("requests")
