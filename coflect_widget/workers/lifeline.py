"""No worker outlives its kernel: the system itself ends it, whatever it is doing.

On Linux the kernel holds the writing end of a pipe and never writes. A worker asks to be sent
SIGKILL when that pipe changes, which happens as soon as the kernel is gone, however it went. A
thread that looks for the parent does the same elsewhere, but cannot run while an import or a
library holds the interpreter, which may be seconds on a busy machine.
"""

from __future__ import annotations

import os
import signal
import sys

_F_SETSIG = 10  # <fcntl.h> of Linux; Python's fcntl has no name for it
_pipe: tuple[int, int] | None = None


def lifeline() -> int | None:
    """In the kernel: number of the pipe's reading end; None where the system has no such thing."""
    global _pipe
    if sys.platform != "linux":
        return None
    if _pipe is None:
        _pipe = os.pipe()
        # Whom the kernel forks, as data loaders do, must not keep the pipe open after its end.
        os.register_at_fork(after_in_child=_let_go)
    return _pipe[0]


def _let_go() -> None:
    global _pipe
    if _pipe is not None:
        for end in _pipe:
            os.close(end)
        _pipe = None


def hold_on(kernel_pid: int, reading_end: int | None) -> bool:
    """In a worker: end with the kernel. False where this system or sandbox does not allow it."""
    if sys.platform != "linux" or reading_end is None:
        return False
    import fcntl

    try:
        # Not inherited but opened anew: the interest in its changes belongs to this process.
        end = os.open(f"/proc/{kernel_pid}/fd/{reading_end}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    except OSError:
        return False
    return True
