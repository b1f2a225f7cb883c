"""Checkpoints: written, then announced; tried again where the disk refused. Training never waits.

The weights are those of the training's end for as long as nobody changes them, so a checkpoint
that found no room can still be written when there is some. A digest tells whether they are.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from coflect_widget.training.controls import Controls

#: Seconds to the first attempt after one that failed; it doubles, up to `LONGEST`.
SOON, LONGEST = 2.0, 60.0


@dataclass(slots=True)
class _Unsaved:
    """What is not on disk: the weights of `step`, or with `memory` only what stands beside them."""

    step: int
    reason: str
    error: Exception
    digest: bytes | None
    memory: bool = False


class Saving:
    """Writes the checkpoints of one session.

    Parameters
    ----------
    backend : backends.base.Backend
    folder : Path
        Of the checkpoints; the folder above it is the run's.
    controls : Controls
        Lets an attempt run only where nothing trains.
    step : callable () -> int
        Steps done.
    announce : callable (file, reason)
        A checkpoint is on disk.
    save_memory : callable (file)
        Has the forecast's memory written to `file`, on another thread; `memory_failed` is called
        if it cannot be.
    notice : callable (level, text)
    """

    def __init__(
        self,
        backend: Any,
        folder: Path,
        controls: Controls,
        *,
        step: Callable[[], int],
        announce: Callable[[Path, str], object],
        save_memory: Callable[[Path], object],
        notice: Callable[[Literal["info", "warning"], str], object],
    ) -> None:
        self._backend = backend
        self._folder = folder
        self._controls = controls
        self._step = step
        self._announce = announce
        self._save_memory = save_memory
        self._notice = notice
        self._missing: _Unsaved | None = None
        self._lock = threading.Lock()  # of _thread, held for moments only
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    @property
    def unsaved(self) -> str | None:
        """What is not on disk and why, in sentences; None where everything is."""
        missing = self._missing
        if missing is None:
            return None
        what = "forecast's memory" if missing.memory else "checkpoint"
        text = f"The {what} of step {missing.step} could not be written: {missing.error}."
        if self._ended.is_set():
            return f"{text} The session is closed and tries no more. {self._instead(missing)}"
        return (
            f"{text} It is tried again every minute while the session is open, and at once by "
            f"session.stop(): make room for it in {self._folder}."
        )

    def _instead(self, missing: _Unsaved) -> str:
        if missing.memory:
            return "A new session can go on without it."
        return "The model still has its weights: save them elsewhere yourself."

    def write(self, reason: str) -> Path:
        """Write the weights; on the training thread, or while nothing trains.

        Raises
        ------
        Exception
            If they could not be written; from then on it is tried again.
        """
        step = self._step()
        try:
            file = self._write(step, reason)
        except Exception as error:
            self._lacks(_Unsaved(step, reason, error, self._digest()))
            raise
        self._missing = None
        self._save_memory(self._stem(step).with_suffix(".forecast.npz"))
        return file

    def memory_failed(self, error: Exception) -> None:
        """What stands beside a checkpoint could not be written; any thread."""
        if self._missing is None:
            self._lacks(_Unsaved(self._step(), "", error, self._digest(), memory=True))

    def retry(self) -> bool:
        """Try again what is not on disk, unless something trains; True if all is there."""
        if self._missing is not None and self._controls.owner is None:
            self._controls.submit(self._again).result()
        return self._missing is None

    def close(self) -> None:
        """Try once more, then no more."""
        self._ended.set()
        self.retry()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _stem(self, step: int) -> Path:
        return self._folder / f"step_{step:08d}"

    def _write(self, step: int, reason: str) -> Path:
        # The run folder itself is not made again: who moved it may bring it back.
        self._folder.mkdir(exist_ok=True)
        file: Path = self._backend.save_checkpoint(self._stem(step))
        self._announce(file, reason)
        return file

    def _again(self) -> None:
        """One more attempt, where nothing trains."""
        missing = self._missing
        if missing is None or self._controls.owner is not None:
            return
        if missing.digest != self._digest():
            self._missing = None
            what = "forecast's memory" if missing.memory else "checkpoint"
            self._notice(
                "warning",
                f"The {what} of step {missing.step}, which could not be written, is given up: "
                "the model's weights have changed since.",
            )
            return
        try:
            if not missing.memory:
                self._write(missing.step, missing.reason)
        except Exception as error:  # noqa: BLE001 - kept, and said by `unsaved`
            missing.error = error
            return
        self._missing = None
        self._notice("info", f"What could not be written of step {missing.step} is on disk now.")
        self._save_memory(self._stem(missing.step).with_suffix(".forecast.npz"))

    def _digest(self) -> bytes | None:
        """Of all weights; None where they cannot be read."""
        try:
            arrays = [np.empty(s.shape, s.dtype) for s in self._backend.weight_specs()]
            finish = self._backend.copy_weights(arrays)
            if finish is not None:
                finish()
            digest = hashlib.blake2b(digest_size=16)
            for array in arrays:
                digest.update(array.tobytes())
        except Exception:  # noqa: BLE001 - of a backend that a user wrote, perhaps
            return None
        return digest.digest()

    def _lacks(self, missing: _Unsaved) -> None:
        self._missing = missing
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(
                    target=self._serve, name="coflect-saving", daemon=True
                )
                self._thread.start()

    def _serve(self) -> None:
        """Try again from time to time, until everything is on disk or the session is closed."""
        delay = SOON
        while not self._ended.wait(delay):
            delay = min(2 * delay, LONGEST)
            with self._lock:
                if self._missing is None:
                    self._thread = None
                    return
            self.retry()
