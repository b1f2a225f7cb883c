"""The part of a `Session` for its findings: what decides by itself, and answers to that."""

from __future__ import annotations

import warnings
from typing import get_args

from coflect_widget import events
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.records.cells import Pictured
from coflect_widget.session.arguments import one_of
from coflect_widget.session.drawing import findings
from coflect_widget.session.held import Held
from coflect_widget.studies.controls import Controls


class TooFewSureWarning(UserWarning):
    """A model is sure of too few samples for anything to be told of shortcuts."""


class Asks(Held):
    """Mixed into `Session`: findings, and answers to them."""

    @property
    def findings(self) -> Pictured[events.Finding]:
        """Small regions that decide by themselves, oldest first; a cell shows them as pictures.

        Each has ``.id``, ``.index`` and ``.regions`` (the samples that it was seen in, and where),
        ``.share`` (of the confidently right samples that were looked at), ``.pull`` and
        ``.interval`` (share of other samples that the region turns, beyond what the same shape at
        other places does, with its 95 % interval), ``.classes``, ``.since`` (the epoch after which
        it first had half of its pull, ``.began`` its interval), ``.history`` (its pull over the
        run), ``.count`` (training samples that have it), ``.text`` and ``.answer``.
        """
        parts = self._made()
        return findings(
            parts.findings.found, parts.gallery.thumbnail, parts.modality, parts.steering.extent
        )

    @property
    def controls(self) -> Controls:
        """How control questions were answered: ``.answered``, ``.errors``, ``.rate``, ``.by``.

        With ``config={"findings": {"act": "ask"}}`` a random place is asked about now and then. To
        call that a right reason is an error.
        """
        parts = self._made()
        return parts.findings.controls.tally.controls

    def find_shortcuts(self, timeout: float = 600.0) -> Pictured[events.Finding]:
        """Look at the model as it is now, and wait for what is found.

        A training that runs goes on meanwhile; it is looked at by itself after its epochs.

        Raises
        ------
        ValueError
            If such a model cannot be looked at.
        RuntimeError
            If looking failed.
        TimeoutError
            If it takes longer than `timeout` seconds.

        Warns
        -----
        UserWarning
            If the model is sure of too few samples for anything to be told.
        """
        parts = self._led(steers=False)
        if parts.findings.missed and not parts.findings.able:
            raise ValueError(f"shortcuts cannot be looked for: {parts.findings.missed}")
        loop = parts.loop

        def look() -> None:
            parts.findings.look(loop.step, loop.epoch, last=True)

        self._wait_for(parts.controls.submit(look), timeout, "find_shortcuts()")
        if not parts.findings.wait(timeout):
            raise TimeoutError(f"find_shortcuts() took longer than {timeout:.0f} s")
        parts.stream.flush()
        if parts.findings.failed or not parts.findings.able:
            raise RuntimeError(f"shortcuts were not looked for: {parts.findings.missed}")
        if parts.findings.missed:
            text = f"nothing can be told of shortcuts: {parts.findings.missed}; train on"
            warnings.warn(text, TooFewSureWarning, stacklevel=2)
        return self.findings

    def answer(
        self, finding: events.Finding | str, answer: events.Answer, timeout: float = 600.0
    ) -> Intervention | None:
        """Say whether a finding is a good reason; returns once that is on disk.

        "wrong reason" ignores it in all ``finding.count`` samples that have it, as one
        intervention, which `undo` takes out again. "right reason" is remembered: it is not asked
        about again. "skip" puts it away without an answer.

        Returns
        -------
        Intervention or None
            After "wrong reason" the one that ignores it.

        Raises
        ------
        ValueError
            If there is no such finding or answer, or it is ignored already; nothing has changed
            then.
        """
        name = finding if isinstance(finding, str) else finding.id
        said = one_of(answer, "answer", get_args(events.Answer))
        if said is None:
            raise ValueError(f"answer=None; expected one of {', '.join(get_args(events.Answer))}")
        parts = self._led()
        return self._wait_for(parts.desk.answer(name, said), timeout, "answer()")[1]
