"""Says where a stroke's place means little: its sample lies elsewhere each time it is read."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import InterventionRecord
from coflect_widget.modalities.base import Modality
from coflect_widget.training.controls import Controls, submit_between_steps

logger = logging.getLogger("coflect.guidance")

Readings = list[NDArray[Any]]
Read = Callable[[int, Callable[[Readings], bool]], Readings]

#: Readings of a sample where they differ, and how many the same are enough; a mirror image comes
#: in every other one.
_MOST, _SAME = 6, 4
#: Seconds after which two are enough.
_SECONDS = 1.0
#: Strokes whose samples are looked at, as long as nothing was found.
_STROKES = 3
#: Seconds to wait for the next step boundary.
_WAIT = 60.0


class PlaceWatch:
    """Reads the samples that are drawn on a few times, and tells once if one moves.

    Parameters
    ----------
    read : callable or None
        `Backend.readings`.
    controls : Controls or None
        Of the training, where its data set may only be read between two steps.
    modality : Modality
        Whether a sample lies elsewhere.
    tell : callable (text)
    """

    def __init__(
        self,
        read: Read | None,
        controls: Controls | None,
        modality: Modality,
        tell: Callable[[str], object],
    ) -> None:
        self._read = read
        self._modality = modality
        self._controls = controls
        self._tell = tell
        self._left = 0 if read is None else _STROKES

    def drawn(self, record: InterventionRecord, *, training: bool) -> None:
        """Strokes were drawn; while something trains, another thread looks at the sample."""
        sample = next((s.sample for s in record.strokes if s.sample is not None), record.sample)
        if not self._left or sample is None or not record.strokes:
            return
        self._left -= 1
        if training:
            look = partial(self._look, sample, record.id)
            threading.Thread(target=look, name="coflect-places", daemon=True).start()
        else:
            self._look(sample, record.id)

    def _look(self, sample: int, intervention: str) -> None:
        try:
            found = self._readings(sample)
            if all(np.array_equal(x, found[0], equal_nan=True) for x in found):
                self._left = 0  # each reading gives the same
            elif why := self._modality.wanders(found):
                self._left = 0
                self._tell(_text(sample, intervention, why))
        except Exception as error:  # noqa: BLE001 - a question that nobody asked
            logger.info("sample %d could not be read several times: %s", sample, error)

    def _readings(self, sample: int) -> Readings:
        assert self._read is not None  # noqa: S101 - narrows the type
        began = time.monotonic()

        def enough(found: Readings) -> bool:
            if len(found) < 2:
                return False
            late = time.monotonic() - began > _SECONDS
            same = all(np.array_equal(x, found[0], equal_nan=True) for x in found)
            return late or len(found) == (_SAME if same and self._controls is None else _MOST)

        if self._controls is None:
            return self._read(sample, enough)
        return submit_between_steps(self._controls, partial(self._read, sample, enough)).result(
            _WAIT
        )


def _text(sample: int, intervention: str, why: str) -> str:
    return (
        f"Sample {sample} lies elsewhere each time it is read from train_data, {why}, so what "
        f"{intervention} marks moves away from it. Leave these changes out of "
        "train_data and make them on the batch: in the model, before its first layer and only "
        "while it trains, or in a loop of your own between session.loop() and the model. Then "
        f"places hold, and session.similar({intervention!r}) finds the same in other samples."
    )
