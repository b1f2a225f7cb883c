"""The ledger: every intervention in order, and the guidance that follows from it.

The guidance in force is a fold over the interventions that are not undone, without what went out
of force by itself. Nothing else is
remembered, so that taking one out gives what would be in force had it never been given.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coflect_widget.config import nearest
from coflect_widget.events import Effect, Event, InterventionRecord, Lapsed, Undone
from coflect_widget.guidance.interpret import Interpretation, clip, interpret
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Kind, Located
from coflect_widget.modalities import IMAGE, Modality, find_modality
from coflect_widget.records.folder import write_whole

FORMAT = "coflect-ledger-1"

__all__ = ["Interpretation", "Intervention", "Ledger", "fold", "interpret"]


@dataclass(frozen=True, slots=True)
class Intervention:
    """One entry: what was told, when it came into force, whether it still is, and what it did."""

    record: InterventionRecord
    step: int
    undone: bool = False
    when: str = ""  #: time of day it was given, UTC, as in ISO 8601
    effect: Effect | None = None  #: None until it is measured
    #: of each kind of its strokes that went out of force by itself, why
    lapsed: Mapping[Kind, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the intervention, unique in its run."""
        return self.record.id

    @property
    def understood(self) -> str:
        """What was understood, in words."""
        return self.record.understood


class Ledger:
    """Interventions in the order in which they came into force; safe to use from any thread.

    Parameters
    ----------
    focus : float
        Strength of strokes before any instruction, in [0, 1].
    modality : Modality
        What its regions are.
    """

    def __init__(self, focus: float = 0.3, modality: Modality = IMAGE) -> None:
        self._focus = focus
        self.modality = modality
        self._entries: list[Intervention] = []
        self._places: dict[str, int] = {}  # of each id in the entries
        self._state = GuidanceState(focus=focus)  # what follows from the entries
        self._coming: list[Intervention] = []
        self._issued = 0
        self._lock = threading.Lock()

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """All entries, oldest first, undone ones too, and those that are to come."""
        with self._lock:
            return (*self._entries, *self._coming)

    @property
    def taken(self) -> tuple[Intervention, ...]:
        """Those that have come into force."""
        with self._lock:
            return tuple(self._entries)

    def __len__(self) -> int:
        return len(self._entries) + len(self._coming)

    def __getitem__(self, intervention: str) -> Intervention:
        with self._lock:
            coming = self._expected(intervention)
            return self._entries[self._find(intervention)] if coming is None else coming

    # A resumed training goes back to its checkpoint. What a person said after that is on record
    # with its step, and comes into force again at that step.

    def expect(self, record: InterventionRecord, step: int, when: str = "") -> None:
        """On record, and in force once training has come to `step` again."""
        with self._lock:
            self._coming.append(Intervention(record, step, when=when))

    def arrived(self, intervention: str) -> Intervention | None:
        """Take what was expected off that list, for `append`; None where it is not on it."""
        with self._lock:
            coming = self._expected(intervention)
            if coming is not None:
                self._coming.remove(coming)
            return coming

    def _expected(self, intervention: str) -> Intervention | None:
        return next((entry for entry in self._coming if entry.id == intervention), None)

    def new_id(self) -> str:
        """An id that no entry has: "i1", "i2", ..."""
        with self._lock:
            self._issued += 1
            while f"i{self._issued}" in self._places or self._expected(f"i{self._issued}"):
                self._issued += 1
            return f"i{self._issued}"

    def append(self, record: InterventionRecord, step: int, when: str = "") -> Intervention:
        """Put `record` into force from `step` on.

        Raises
        ------
        ValueError
            If its id is taken or a stroke is no region; then the ledger is as before.
        """
        entry = Intervention(record, step, when=when)
        with self._lock:
            if record.id in self._places:
                raise ValueError(f"intervention {record.id!r} is in the ledger already")
            self._state = fold(
                (entry,), self._state, self.modality
            )  # what cannot be folded must not get in
            self._places[record.id] = len(self._entries)
            self._entries.append(entry)
        return entry

    def undo(self, intervention: str) -> Intervention:
        """Take one out; later ones stay in force.

        Raises
        ------
        ValueError
            If there is none of that id, or it is undone already.
        """
        with self._lock:
            coming = self._expected(intervention)
            if coming is not None:
                undone = replace(coming, undone=True)
                self._coming[self._coming.index(coming)] = undone
                return undone
            position = self._find(intervention)
            entry = self._entries[position]
            if entry.undone:
                raise ValueError(f"intervention {intervention!r} is undone already")
            self._entries[position] = entry = replace(entry, undone=True)
            self._state = self._folded()
            return entry

    def lapse(self, lapsed: Lapsed) -> None:
        """Take one kind of an intervention's strokes out; what is not here is left out."""
        with self._lock:
            position = self._places.get(lapsed.id)
            if position is None:
                return
            entry = self._entries[position]
            why = " ".join(part for part in (lapsed.term, lapsed.why) if part)
            self._entries[position] = replace(entry, lapsed={**entry.lapsed, lapsed.kind: why})
            self._state = self._folded()

    def measured(self, effect: Effect) -> None:
        """Note what an intervention did; one that is not here is left out."""
        with self._lock:
            position = self._places.get(effect.intervention)
            if position is not None:
                self._entries[position] = replace(self._entries[position], effect=effect)

    # --- as a file -------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the ledger as JSON, for another session's ``guidance=``; returns the path."""
        file = Path(path).expanduser()
        write_whole(file, as_text(self.interventions, self._focus, self.modality.name))
        return file

    @classmethod
    def load(cls, path: str | Path, modality: Modality | None = None) -> Ledger:
        """Read a ledger that `save` wrote.

        Parameters
        ----------
        modality : Modality, optional
            The kind of input that it should be about; the kinds that are known serve otherwise.

        Raises
        ------
        ValueError
            If the file is none, or something in it is no guidance.
        FileNotFoundError
        """
        text = Path(path).expanduser().read_text(encoding="utf-8")
        return cls.from_text(text, str(path), modality)

    @classmethod
    def from_text(cls, text: str, path: str, modality: Modality | None = None) -> Ledger:
        """The same of a text that was read from `path`."""
        try:
            content: Any = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
            # of before there were other inputs it says nothing
            inputs = content.get("inputs", IMAGE.name)
            if modality is None or modality.name != inputs:
                modality = find_modality(inputs)
            ledger = cls(clip(float(content["focus"])), modality)
            for raw in content["interventions"]:
                record = InterventionRecord.model_validate(raw["record"])
                entry = ledger.append(record, int(raw["step"]), str(raw.get("when", "")))
                if raw.get("effect") is not None:
                    ledger.measured(Effect.model_validate(raw["effect"]))
                for kind, why in dict(raw.get("lapsed") or {}).items():
                    ledger.lapse(Lapsed(id=entry.id, kind=kind, why=str(why)))
                if raw["undone"]:
                    ledger.undo(entry.id)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            problem = str(error).splitlines()[0]
            raise ValueError(
                f"guidance={path!r} is no ledger that can be read ({problem}); write one with "
                "session.ledger.save(path)"
            ) from None
        return ledger

    @property
    def focus(self) -> float:
        """Strength of strokes before any instruction."""
        return self._focus

    def state(self) -> GuidanceState:
        """The guidance in force."""
        return self._state

    @classmethod
    def from_events(
        cls, events: Iterable[Event], focus: float = 0.3, modality: Modality = IMAGE
    ) -> Ledger:
        """The ledger as a recorded run left it."""
        ledger = cls(focus, modality)
        for event in events:
            if isinstance(event.data, InterventionRecord):
                ledger.append(event.data, event.step, event.ts.isoformat(timespec="seconds"))
            elif isinstance(event.data, Effect):
                ledger.measured(event.data)
            elif isinstance(event.data, Lapsed):
                ledger.lapse(event.data)
            elif isinstance(event.data, Undone):
                ledger.undo(event.data.id)
        return ledger

    def _folded(self) -> GuidanceState:
        return fold(self._entries, GuidanceState(focus=self._focus), self.modality)

    def _find(self, intervention: str) -> int:
        position = self._places.get(intervention)
        if position is None:
            ids = list(self._places)
            hint = nearest(intervention, ids) if ids else "the ledger is empty"
            raise ValueError(f"there is no intervention {intervention!r}; {hint}")
        return position


def as_text(entries: Iterable[Intervention], focus: float, inputs: str) -> str:
    """Entries of a ledger as JSON; `inputs` is the name of their modality."""
    content = [
        {
            "step": entry.step,
            "when": entry.when,
            "undone": entry.undone,
            "lapsed": dict(entry.lapsed),
            "record": entry.record.model_dump(mode="json"),
            "effect": None if entry.effect is None else entry.effect.model_dump(mode="json"),
        }
        for entry in entries
    ]
    whole = {"format": FORMAT, "inputs": inputs, "focus": focus, "interventions": content}
    return json.dumps(whole, indent=1)


def fold(
    interventions: Iterable[Intervention], state: GuidanceState, modality: Modality
) -> GuidanceState:
    """The guidance in force once `interventions` follow on `state`.

    Within one intervention the strokes come first and what it says about strength second.
    """
    strokes, focus, located = list(state.strokes), state.focus, list(state.located)
    for entry in interventions:
        if entry.undone:
            continue
        record = entry.record
        if record.clears:
            strokes.clear()
            located.clear()
        change, value = record.focus_change, record.get("focus_set")
        given = record.get("stroke_strength", record.strength)
        given = focus if given is None else given
        strokes += [
            ActiveStroke(
                s.kind, modality.region(s.roi, s.kind), s.sample, given, record.id, s.label,
                s.spreads,
            )
            for s in record.strokes
            if s.kind not in entry.lapsed
        ]  # fmt: skip
        if record.found is not None and "ignore" not in entry.lapsed:
            found = record.found
            located.append(
                Located(tuple(found.index), tuple(found.box), given, record.id, found.of)
            )
        if value is not None:
            focus = value
            strokes = [replace(stroke, strength=value) for stroke in strokes]
            located = [replace(place, strength=value) for place in located]
        elif change is not None:
            focus = clip(focus + change)
            strokes = [replace(s, strength=clip(s.strength + change)) for s in strokes]
            located = [replace(p, strength=clip(p.strength + change)) for p in located]
    return GuidanceState(tuple(strokes), focus, tuple(located))
