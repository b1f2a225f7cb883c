"""Means of the training metrics over windows of steps that end at exact multiples."""

from __future__ import annotations

import math


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
        self._rows = 0
        self._right = 0.0
        self._loss_rows = 0
        self._loss = 0.0
        self._guided = 0
        self._guidance = 0.0

    def add(
        self,
        step: int,
        epoch: int,
        *,
        rows: int,
        loss: float,
        accuracy: float,
        guidance: float | None,
    ) -> list[tuple[dict[str, float], int, int]]:
        """Take in one step; steps count from 1.

        Parameters
        ----------
        rows : int
            Samples behind `accuracy`; it weighs both means.
        loss : float
            Mean over the step's samples. A NaN or infinity shows in the window's mean.
        guidance : float or None
            Guidance loss; None where the step had none.

        Returns
        -------
        list of (values, step, epoch)
            Windows that are complete now: none, one, or two after dropped steps.
        """
        done = []
        window = (step - 1) // self.every
        if window != self._window:
            if self._window >= 0 and (self._loss_rows or self._guided):
                done.append(self._close())
            self._window = window
        self._epoch = epoch
        self._step = step
        weight = max(rows, 1)  # a step without a usable row still has a loss
        self._loss_rows += weight
        self._loss += weight * loss
        if rows:
            self._rows += rows
            self._right += rows * accuracy
        if guidance is not None:
            self._guided += 1
            self._guidance += guidance
        if step % self.every == 0:
            done.append(self._close())
        return done

    def flush(self) -> list[tuple[dict[str, float], int, int]]:
        """Means of a window that has begun, under its last step; empty where none has."""
        if not (self._loss_rows or self._guided):
            return []
        values, _, epoch = self._close()
        return [(values, self._step, epoch)]

    def _close(self) -> tuple[dict[str, float], int, int]:
        values = {
            "loss": self._loss / self._loss_rows,
            "accuracy": self._right / self._rows if self._rows else math.nan,
        }
        if self._guided:
            values["guidance_loss"] = self._guidance / self._guided
        closed = (values, (self._window + 1) * self.every, self._epoch)
        self._clear()
        return closed
