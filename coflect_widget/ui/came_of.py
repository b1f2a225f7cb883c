"""What came of interventions, in their entries of the ledger: effects and proofs."""

from __future__ import annotations

from typing import Any

from coflect_widget import events
from coflect_widget.events import Event


class CameOf:
    """Folded from effects, from proofs, and from how far a proof is.

    Parameters
    ----------
    ledger : dict
        Entries by the intervention's id.
    overlays : dict
        Maps by sample and model step.
    dirty : set of str
        Gets "ledger" where an entry has changed.
    """

    def __init__(
        self,
        ledger: dict[str, dict[str, Any]],
        overlays: dict[int, dict[int, events.Overlay]],
        dirty: set[str],
    ) -> None:
        self._ledger = ledger
        self._overlays = overlays
        self._dirty = dirty
        self._before: dict[str, Any] = {}  # proofs of interventions that are proved anew

    def effect(self, _: Event, data: events.Effect) -> None:
        """What it did, as far as the training itself can tell."""
        self._set(data.intervention, "effect", data.model_dump())

    def proving(self, _: Event, data: events.Proving) -> None:
        """A proof is under way, or is over, with or without a verdict."""
        entry = self._ledger.get(data.intervention)
        if entry is None:
            return
        if entry["proof"] is None or entry["proof"]["verdict"]:
            self._before[data.intervention] = entry["proof"]
        self._no_branches()
        if data.over:
            self._set(data.intervention, "proof", self._before.pop(data.intervention, None))
            return
        share = min(1.0, data.done / data.total) if data.total else 0.0
        found = _shown("", data.text, round(share, 3))
        self._set(data.intervention, "proof", found)

    def interrupted(self) -> None:
        """Nothing is under way any more: its process has ended without a word."""
        for intervention, before in self._before.items():
            if (entry := self._ledger.get(intervention)) and not entry["proof"]["verdict"]:
                self._set(intervention, "proof", before)
        self._before.clear()

    def proof(self, _: Event, data: events.Proof) -> None:
        """Its verdict."""
        found = _shown(data.verdict, data.text, 1.0)
        found |= {"keeps": list(data.keeps), "to_step": data.from_step + data.steps}
        self._set(data.intervention, "proof", found)

    def kept(self, _: Event, data: events.Kept) -> None:
        """The training goes on from one of its branches; maps of later weights are not its own."""
        entry = self._ledger.get(data.intervention)
        if entry is not None and entry["proof"] is not None:
            self._set(data.intervention, "proof", {**entry["proof"], "kept": data.branch})
        for mine in self._overlays.values():
            for step in [k for k in mine if k > data.from_step]:
                del mine[step]
        self._dirty |= {"ledger", "timeline"}

    def _no_branches(self) -> None:
        """A proof is under way: the branches of the one before are not there any more."""
        for intervention, entry in self._ledger.items():
            if entry["proof"] is not None and entry["proof"]["keeps"]:
                self._set(intervention, "proof", {**entry["proof"], "keeps": []})

    def _set(self, intervention: str, name: str, value: Any) -> None:
        entry = self._ledger.get(intervention)
        if entry is not None:
            entry[name] = value
            self._dirty.add("ledger")


def _shown(verdict: str, text: str, share: float) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "text": text,
        "share": share,
        "keeps": [],
        "kept": "",
        "to_step": None,
    }
