"""The guidance in force as tensors on the model's device."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from coflect_widget.guidance.plan import General, Places, Plan


def on_device(plan: Plan[NDArray[Any]], device: torch.device) -> Plan[Tensor]:
    """The same plan; its inputs and labels are there already."""

    def move(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(device)

    names = [field.name for field in fields(General)]
    general: General[Any] = General(**{n: move(getattr(plan.general, n)) for n in names})
    located: tuple[Any, ...] = tuple(
        Places(move(p.index), move(p.box), move(p.strength)) for p in plan.located
    )
    named = ("samples", "look", "ignore", "swap", "look_strength", "ignore_strength", "like")
    arrays: dict[str, Any] = {name: move(getattr(plan, name)) for name in named}
    moved: Any = replace(
        plan, inputs=plan.inputs.detach(), general=general, located=located, **arrays
    )
    return cast(Plan[Tensor], moved)
