"""One line about the machine and the day, for the head of every table."""

from __future__ import annotations

import datetime as dt
import os
import platform

import numpy as np
import torch


def describe() -> str:
    """Date, processors, system and the versions that figures depend on."""
    return (
        f"{dt.date.today():%Y-%m-%d}, {os.cpu_count()} processors ({platform.machine()}), "
        f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}"
    )
