"""What a person says of a finding: done between two steps, and on disk before it is answered."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextvars import copy_context

from coflect_widget import events
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling
from coflect_widget.studies.findings import Finder

#: A finding, or of a control what all of them came to, in a sentence.
Asked = events.Finding | str


class Answering:
    """Takes answers to findings, one after the other; any thread, nothing here waits.

    Parameters
    ----------
    findings, steering, tell
        Who knows the findings, who ignores them, and who records the answers.
    refits : bool
        Whether the model's last layer can be fitted again.
    """

    def __init__(
        self, findings: Finder, steering: Steering, tell: Telling, *, refits: bool
    ) -> None:
        self._refits = refits
        self._findings = findings
        self._steering = steering
        self._tell = tell
        self._one = threading.Lock()

    def answer(
        self, finding: str, said: events.Answer
    ) -> Future[tuple[Asked, Intervention | None]]:
        """The future has what was asked as it is then, and after "wrong reason" what ignores it.

        Of a control that is a sentence, and nothing is ignored.

        Where a finding is may have to be looked for first, so a thread of its own does all of it.

        Raises
        ------
        ValueError
            If there is no such finding; in the future, if it is ignored already.
        """
        if self._findings.controls.get(finding) is None:
            self._findings.named(finding)
        answered: Future[tuple[Asked, Intervention | None]] = Future()

        def work() -> None:
            try:
                with self._one:
                    answered.set_result(self._answer(finding, said))
            except Exception as error:  # noqa: BLE001 - the person gets the reason
                answered.set_exception(error)

        threading.Thread(
            target=copy_context().run, args=(work,), name="coflect-answer", daemon=True
        ).start()
        return answered

    def _answer(self, finding: str, said: events.Answer) -> tuple[Asked, Intervention | None]:
        told: Intervention | None = None
        control = self._findings.controls.get(finding) is not None
        if not control:
            before = self._findings.named(finding).intervention
            given = self._steering.ledger.interventions
            if any(one.id == before and not one.undone for one in given):
                raise ValueError(
                    f"finding {finding!r} is ignored already, by {before}; undo({before!r}) takes "
                    "it back, and the finding can be answered anew"
                )
        if said == "wrong reason" and not control:
            ignored = self._steering.ignore_places(finding, *self._findings.strokes(finding))
            try:
                told = ignored.result()
            except ValueError as error:
                if not self._refits:
                    raise
                raise ValueError(
                    f"{error}; session.refit({finding!r}) fits the last layer again instead, where "
                    "held-out samples contradict it"
                ) from error
        data = events.Answered(
            finding=finding,
            answer=said,
            author=self._tell.author,
            intervention="" if told is None else told.id,
        )
        recorded: Future[Asked] = Future()
        found: Asked = str(self._findings.controls.answered(data)) if control else ""
        self._tell.durably(data, recorded, found or self._findings.answered(data))
        return recorded.result(), told
