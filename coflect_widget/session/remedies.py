"""What a person does next when a training has failed, in one sentence."""

from __future__ import annotations

import traceback

from coflect_widget.backends.base import NonFiniteLossError

#: Names of the functions in which a data set, or what puts its samples together, is at work.
_READS = frozenset({"__getitem__", "__getitems__", "__iter__", "__next__", "collate_fn", "collate"})
_GO_ON = (
    "then Continue, or session.train(), goes on with the batch at which it ended; the model still "
    "has its weights."
)
_RUN_AGAIN = "then run your loop again; the model still has its weights."


def remedy_of(error: BaseException, *, own_loop: bool = False) -> str:
    """What to do about an exception that ended a training, `own_loop`: one of the user's code.

    The first of these that is so: memory ran out; a sample could not be read; the outputs and the
    targets do not fit; anything else.
    """
    go_on = _RUN_AGAIN if own_loop else _GO_ON
    words = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, MemoryError) or "out of memory" in words:
        return (
            "There was not enough memory: make a new session with a smaller batch_size=, or free "
            f"memory (coflect.close_all(keep=session) ends other sessions); {go_on}"
        )
    if isinstance(error, NonFiniteLossError):
        return f"Begin again with a lower learning rate, or mend the samples named; {go_on}"
    frames = traceback.extract_tb(error.__traceback__)
    reads = [frame for frame in frames if frame.name in _READS]
    if reads:
        last = reads[-1]
        return (
            f"A sample could not be read (line {last.lineno} of {_file(last.filename)}): mend what "
            f"it reads, such as a missing file; {go_on} After a change of its code make "
            "a new session."
        )
    if any(word in words for word in ("shape", "size", "dimension", "dtype", "expected")):
        return (
            "Shapes or types do not fit: the trace's last lines name the layer or the loss. After "
            "a change of the model, the loss or the data make a new session."
        )
    return f"The trace's last line says where it happened; mend that, {go_on}"


def _file(path: str) -> str:
    """The last part of a file's path, which is what a person knows it by."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]
