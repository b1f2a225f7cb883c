"""Which sample's maps a page shows beside each other: it asks by the sample's number."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coflect_widget.records.kept_maps import KeptMaps
from coflect_widget.records.run import Run
from coflect_widget.ui.inbox import MAX_ID, Receiver, not_understood
from coflect_widget.ui.records_view import RecordsView

_LARGEST = 10**9


class ShowSample(BaseModel):
    """Show this sample in all runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=MAX_ID)
    kind: Literal["sample"]
    number: int = Field(ge=0, lt=_LARGEST)


class MapsBeside:
    """Answers a page that asks for a sample of the runs compared.

    Reading and drawing take a thread of their own, since Pause comes on that of the messages. Of
    several samples that were asked for meanwhile the last one is shown.

    Parameters
    ----------
    runs : sequence of Run
    view : RecordsView
        Its trait ``_maps`` is set: at first to the sample that most runs have a map of.
    """

    def __init__(self, runs: Sequence[Run], view: RecordsView) -> None:
        self._kept = KeptMaps(runs)
        self._offered = self._kept.offered()
        self._view = view
        self._lock = threading.Lock()
        self._asked: tuple[str, int] | None = None  # id of the message, and the sample
        self._busy = False
        if self._offered:
            self._show(self._offered[0])
            self._inbox = Receiver(self.take)
            view._controls = self._inbox.model_id

    def take(self, content: Any) -> None:
        """One message, as it came from a page; returns at once."""
        identifier = content.get("id") if isinstance(content, dict) else None
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID:
            return
        try:
            asked = ShowSample.model_validate(content)
        except ValidationError as error:
            self._answer(identifier, ok=False, text=not_understood(error))
            return
        with self._lock:
            passed, self._asked = self._asked, (identifier, asked.number)
            begins, self._busy = not self._busy, True
        if passed is not None:
            self._answer(passed[0], ok=True, text="")
        if begins:
            threading.Thread(target=self._serve, daemon=True, name="coflect-maps").start()

    def _serve(self) -> None:
        """Show what was asked for last, until nothing is."""
        while True:
            with self._lock:
                asked, self._asked = self._asked, None
                if asked is None:
                    self._busy = False
                    return
            identifier, sample = asked
            try:
                self._show(sample)
            except Exception as error:  # noqa: BLE001 - the person gets the reason
                self._answer(identifier, ok=False, text=str(error) or repr(error))
            else:
                self._answer(identifier, ok=True, text="")

    def _show(self, sample: int) -> None:
        beside = self._kept.beside(sample)
        self._view._maps = {
            "sample": sample,
            "offered": self._offered,
            "shown": [{"run": one.run, "step": one.step, "png": one.png} for one in beside.shown],
            "without": beside.without,
            "more": beside.more,
            "alike": beside.alike,
        }

    def _answer(self, identifier: str, *, ok: bool, text: str) -> None:
        self._view.send({"kind": "reply", "id": identifier, "ok": ok, "text": text})
