"""The shell of a notebook, where this process has one."""

from __future__ import annotations

import sys
from typing import Any


def shell_here() -> Any:
    """IPython's shell; None in a script, and while another thread still imports IPython."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get is None else get()
