"""Whether somebody is still writing a run: an advisory lock on its stream.

The lock goes with the process, so a killed kernel leaves none behind. Where the system has no
such locks (Windows, some network disks) a run counts as being written, and is left untouched.
"""

from __future__ import annotations

import sys
from typing import IO

if sys.platform != "win32":
    import fcntl


def hold_for_writing(file: IO[bytes]) -> bool:
    """Take the writer's lock on an open file; it ends when the file is closed."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
