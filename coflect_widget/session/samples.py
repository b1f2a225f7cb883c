"""Reading single samples while a training reads its batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from coflect_widget.backends.base import Sample
from coflect_widget.process.settings import ProcessSettings
from coflect_widget.training.controls import Controls, submit_between_steps


class Samples:
    """Samples of the training and validation data; any thread.

    Parameters
    ----------
    backend : backends.base.Backend
    controls : Controls
    process : ProcessSettings
    """

    def __init__(self, backend: Any, controls: Controls, process: ProcessSettings) -> None:
        self._backend = backend
        self._controls = controls
        self._process = process

    def train(self, index: int) -> Sample:
        """One training sample.

        A data set that draws random numbers is read between two steps, because its numbers
        and training's come from the same generators, and equal seeds shall give equal runs.
        Where nothing trains it is read at once and the generators are put back, which disturbs
        whoever draws from them at that moment: close a session before seeding the next model.
        """
        backend = self._backend
        return self._taken(backend.read_sample, index, at_boundary=backend.reads_at_boundary)

    def val(self, index: int) -> Sample:
        """One validation sample, read as one of `train` is."""
        backend = self._backend
        return self._taken(
            backend.read_val_sample, index, at_boundary=backend.val_reads_at_boundary
        )

    def _taken(self, read: Callable[[int], Any], index: int, *, at_boundary: bool) -> Sample:
        if at_boundary:
            return submit_between_steps(self._controls, partial(_read, read, index)).result(60)
        sample = _read(read, index)
        self._process.release_helpers()  # large pictures are prepared in parallel
        return sample

    def check(self, index: int) -> None:
        """Raise IndexError where the training data have no such sample."""
        if not 0 <= index < self._backend.num_train:
            raise IndexError(
                f"index={index} is not in the training data; indices go from 0 to "
                f"{self._backend.num_train - 1}"
            )


def _read(read: Callable[[int], Any], index: int) -> Sample:
    """One sample; what a data set raises to end its process is an error like any other."""
    try:
        return cast("Sample", read(index))
    except KeyboardInterrupt:
        if threading.current_thread() is threading.main_thread():
            raise  # a person's own
        raise RuntimeError(f"reading sample {index} raised KeyboardInterrupt") from None
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"reading sample {index} raised {error!r}") from error
