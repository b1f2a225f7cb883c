"""Waits for a training beside another one: nobody sees it hold, and nobody could let it go on."""

from __future__ import annotations

from collections.abc import Callable

from coflect_widget.session.parts import Parts


def wait_unseen(parts: Parts, look: Callable[[], None] = lambda: None) -> None:
    """Wait for its end; a batch whose loss is not finite is left out, as by who presses Resume.

    Parameters
    ----------
    parts : Parts
        Of the session that trains.
    look : callable ()
        Called some times a second.

    Raises
    ------
    NonFiniteLossError
        If as many batches as an epoch has were left out one after the other. The training has
        ended then.
    """
    loop, at, left_out = parts.loop, -1, 0
    while not loop.wait(0.05):
        look()
        error = parts.holding.broken
        if error is None:
            continue
        left_out = left_out + 1 if loop.step == at else 1
        at = loop.step
        if left_out >= parts.backend.steps_per_epoch:
            parts.controls.stop()
            loop.wait(None)
            raise error
        parts.desk.order("resume")
