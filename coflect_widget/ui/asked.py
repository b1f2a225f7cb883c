"""The finding that a person is asked about: the oldest without an answer."""

from __future__ import annotations

from coflect_widget import events
from coflect_widget.events import Event


class Asked:
    """Folded from findings and answers to them.

    Parameters
    ----------
    dirty : set of str
        Gets "question" where the question has changed.
    """

    def __init__(self, dirty: set[str]) -> None:
        self._open: dict[str, events.Finding] = {}
        self._dirty = dirty

    @property
    def finding(self) -> events.Finding | None:
        """What is asked now; None where nothing is."""
        return next(iter(self._open.values()), None)

    def found(self, _: Event, data: events.Finding) -> None:
        """A finding, or newer figures of one."""
        if data.asked and not data.answer:
            before, self._open[data.id] = self.finding, data
            if self.finding != before:
                self._dirty.add("question")

    def answered(self, _: Event, data: events.Answered) -> None:
        """It is not asked again, whatever was said."""
        before = self.finding
        self._open.pop(data.finding, None)
        if self.finding != before:
            self._dirty.add("question")
