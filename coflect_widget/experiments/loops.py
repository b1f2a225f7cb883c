"""How an experiment trains, where its file names no loop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coflect_widget.experiments.making import Made
    from coflect_widget.session import Session


def standard(session: Session, made: Made) -> None:
    """The session's own loop, for ``training.epochs``; a resumed run for what it has left."""
    if made.resumed:
        session.train()
    else:
        session.train(epochs=made.settings.epochs)
    session.wait()
