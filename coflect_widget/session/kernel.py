"""The sessions of one kernel: a cell that is run twice makes two of them."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from coflect_widget.process.ending import before_the_end
from coflect_widget.session import at_exit
from coflect_widget.session.held import Held

#: Variable of the environment: sessions are served as they are made.
SERVE = "COFLECT_SERVE"
#: Sessions that are not closed.
_open: set[Held] = set()
_beside: ContextVar[bool] = ContextVar("coflect_beside", default=False)


@contextmanager
def beside() -> Iterator[None]:
    """A session that is made within works for another one, which stays the one worked with."""
    token = _beside.set(True)
    try:
        yield
    finally:
        _beside.reset(token)


def training() -> list[str]:
    """Runs of the sessions that train in this kernel, held or not; also replays and proofs."""
    made = [(one, one._made()) for one in _open]
    return _names(_by_name(one for one, parts in made if parts.loop.running or parts.busy))


def join(session: Held) -> None:
    """Take a place among the sessions of this kernel, and say which others are still open."""
    me = weakref.ref(session)

    def close_others() -> list[str]:
        session = me()
        return [] if session is None else close_all(keep=session)

    parts = session._open()
    parts.desk.close_others = close_others
    earlier = _by_name(_open)
    _open.add(session)
    if _beside.get():
        return
    if parts.config.process.touch:
        before_the_end(close_all)
    for other in earlier:
        other._made().spare = True
    _serve_where_asked(session)
    if earlier:
        parts.tell.notice(
            "info",
            "Still open in this kernel, with model, data and worker processes: "
            f"{', '.join(_names(earlier))}. "
            "coflect.close_all(keep=session) ends all but this one.",
            "close_others",
        )


def _serve_where_asked(session: Held) -> None:
    """`coflect run train.py` serves each session of a script; a failure is said and no more."""
    if not os.environ.get(SERVE) or session._made().backend.follows:
        return
    try:
        session.serve()
    except Exception as error:  # noqa: BLE001 - the training goes on without
        sys.stderr.write(f"coflect run: {session._run.id} is not served: {error}\n")
    else:
        place = session._run.path.resolve()
        sys.stderr.write(f'coflect run: steer it with coflect.connect("{place}")\n')
    sys.stderr.flush()


def leave(session: Held) -> None:
    """The session is closed."""
    _open.discard(session)


def say_who_trains(session: Held) -> None:
    """Tell a session that begins to train which others take their share of the processor."""
    training = [s for s in _open - {session} if s._made().loop.state == "training"]
    if training:
        session._made().tell.notice(
            "warning",
            f"{', '.join(_names(_by_name(training)))} trains in this kernel too and takes its "
            "share of the processor; coflect.close_all(keep=session) ends all but this one.",
            "close_others",
        )


def close_all(*, keep: Held | None = None) -> list[str]:
    """Close every session of this kernel but `keep`, also those that no variable holds any more.

    Returns
    -------
    list of str
        Names of the runs that were ended.
    """
    closed = _by_name(_open if keep is None else _open - {keep})
    for session in closed:
        session.close()
    return _names(closed)


def _by_name(sessions: Iterable[Held]) -> list[Held]:
    return sorted(sessions, key=lambda session: session._run.id)


def _names(sessions: Iterable[Held]) -> list[str]:
    return [session._run.id for session in sessions]


# A script that ends without close() leaves complete records all the same.
at_exit.register(close_all)
if hasattr(os, "register_at_fork"):
    # A child has none of the threads that closing would wait for, and its parent goes on.
    def _leave_to_the_parent() -> None:
        for session in _open:
            session._made().own_loop.disown()
        _open.clear()

    os.register_at_fork(after_in_child=_leave_to_the_parent)
