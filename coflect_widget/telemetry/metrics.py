"""Means of the training metrics over windows of steps that end at exact multiples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from coflect_widget.telemetry.batches import ManyStats


class MetricWindows:
    """Sums up steps; gives the means when a multiple of `every` is reached.

    Where outputs were dropped and the step at the multiple is missing, the window still ends
    there: its means come with the next step, under the multiple's number.
    """

    def __init__(self, every: int) -> None:
        if every < 1:
            raise ValueError(f"every = {every}; expected at least 1 step")
        self.every = every
        self._window = -1
        self._step = 0
        self._clear()

    def _clear(self) -> None:
        self._epoch = 0
        self._rows = 0.0
        self._right = 0.0
        self._loss_rows = 0.0
        self._loss = 0.0
        self._guided = 0
        self._guidance = 0.0

    def add(
        self,
        steps: NDArray[np.int64],
        epoch: int,
        *,
        samples: NDArray[np.int64],
        rows: NDArray[np.int64],
        loss: NDArray[np.float64],
        accuracy: NDArray[np.float64],
        guidance: dict[int, float],
    ) -> list[tuple[dict[str, float], int, int]]:
        """Take in steps of one epoch, oldest first; steps count from 1.

        Parameters
        ----------
        steps : (S,) int64
        samples : (S,) int64
            Of each step; 0 of one whose samples a person has left out, which has no loss.
        rows : (S,) int64
            Samples behind `accuracy`; it weighs both means.
        loss, accuracy : (S,) float64
            Means over each step's samples. A loss that is NaN or infinite shows in the window's.
        guidance : dict of int to float
            Guidance losses, by place in `steps`; steps without one are not there.

        Returns
        -------
        list of (values, step, epoch)
            Windows that are complete now.
        """
        done = []
        windows = (steps - 1) // self.every
        starts = [0, *(np.flatnonzero(windows[1:] != windows[:-1]) + 1).tolist()]
        weights = _weights(samples, rows)
        right = np.where(rows > 0, rows * accuracy, 0)
        sums = np.add.reduceat(
            np.stack([weights, weights * loss, rows, right]), starts, axis=1, dtype=np.float64
        )
        ends = [*starts[1:], len(steps)]
        for first, last, window, last_step, (weight, total, used, hits) in zip(
            starts, ends, windows[starts].tolist(), steps[np.array(ends) - 1].tolist(),
            sums.T.tolist(), strict=True,
        ):  # fmt: skip
            if window != self._window:
                if self._window >= 0 and (self._loss_rows or self._guided):
                    done.append(self._close())
                self._window = window
            self._epoch, self._step = epoch, last_step
            self._loss_rows += weight
            self._loss += total
            self._rows += used
            self._right += hits
            guided = [guidance[at] for at in range(first, last) if at in guidance]
            self._guided += len(guided)
            self._guidance += sum(guided)
            if last_step % self.every == 0 and (self._loss_rows or self._guided):
                done.append(self._close())
        return done

    def also(
        self,
        taken: ManyStats,
        samples: NDArray[np.int64],
        loss: NDArray[np.float64],
        guidance: NDArray[np.float64],
    ) -> None:
        """Take steps of another process into the window that is open.

        They come late, and their own window may be closed.

        Parameters
        ----------
        taken : ManyStats of S steps
        samples : (S,) int64
            See `add`.
        loss, guidance : (S,) float64
            NaN where a step had no guidance loss.
        """
        rows, weights = taken.rows, _weights(samples, taken.rows)
        self._loss_rows += float(weights.sum())
        self._loss += float((weights * loss).sum())
        self._rows += float(rows.sum())
        self._right += float(np.where(rows > 0, rows * taken.accuracy, 0).sum())
        guided = guidance[~np.isnan(guidance)]
        self._guided += len(guided)
        self._guidance += float(guided.sum())

    def flush(self) -> list[tuple[dict[str, float], int, int]]:
        """Means of a window that has begun, under its last step; empty where none has."""
        if not (self._loss_rows or self._guided):
            return []
        values, _, epoch = self._close()
        return [(values, self._step, epoch)]

    def _close(self) -> tuple[dict[str, float], int, int]:
        values = {
            "loss": self._loss / self._loss_rows if self._loss_rows else math.nan,
            "accuracy": self._right / self._rows if self._rows else math.nan,
        }
        if self._guided:
            values["guidance_loss"] = self._guidance / self._guided
        closed = (values, (self._window + 1) * self.every, self._epoch)
        self._clear()
        return closed


def _weights(samples: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the loss of each step weighs: a step without a usable row still has one."""
    return np.where(samples > 0, np.maximum(rows, 1), 0)
