"""In how many bits a training computes: in 32, or where a device is quicker so in 16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch


def half_type(
    wanted: bool | None,  # noqa: FBT001 - the setting
    device: torch.device,
    *,
    values: bool,
) -> torch.dtype | None:
    """The 16-bit type that a training computes in; None where all of it is in 32 bits.

    Parameters
    ----------
    wanted : bool or None
        ``config["mixed_precision"]``; None has it on a CUDA device.
    device : torch.device
    values : bool
        Whether outputs are numbers with a size, as in regression. By itself nothing rounds those:
        bfloat16 has three digits, so that of the years 2001 to 2007 each would be 2000 or 2008.
    """
    if wanted is None:
        wanted = device.type == "cuda" and not values
    if not wanted:
        return None
    return torch.bfloat16 if has_bfloat16(device) else torch.float16


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself; a GPU that emulates it is slow at that."""
    if device.type != "cuda":
        return True
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def scaler_for(kind: torch.dtype | None, device: torch.device) -> torch.amp.GradScaler | None:
    """What keeps small gradients from vanishing, where the type is float16."""
    return torch.amp.GradScaler(device.type) if kind == torch.float16 else None


def autocast(kind: torch.dtype | None, device: torch.device) -> AbstractContextManager[Any]:
    """Within it passes compute in this type."""
    if kind is None:
        return nullcontext()
    return cast("AbstractContextManager[Any]", torch.autocast(device.type, dtype=kind))
