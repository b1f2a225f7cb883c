"""A torch model of several inputs, called with the rows in which they are packed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.backends.named_items import MASK
from coflect_widget.backends.several import Form, Packing, is_several
from coflect_widget.modalities import Modality

_NOTE = "_coflect_row"


class Cut(NamedTuple):
    """One part of a row."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]  # as the model takes it
    whole: bool


class RowCall(NamedTuple):
    """How a model is called with rows (B, T)."""

    cuts: tuple[Cut, ...]
    form: Form
    masked: bool  # whether the model is told which whole numbers count

    def shown(self, inputs: Tensor) -> str:
        """The shape of a batch as the model takes it."""
        return ", ".join(f"{(len(inputs), *cut.shape)} for {cut.name!r}" for cut in self.cuts)

    def exported(self, rows: Tensor) -> Any:
        """A batch as a model apart from its training takes it."""
        return rows

    def arguments(self, rows: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the model takes by place and by name."""
        parts: dict[str, Any] = {}
        more: dict[str, Any] = {}
        for cut in self.cuts:
            values = rows[:, cut.start : cut.stop].reshape(len(rows), *cut.shape)
            if cut.whole:
                ids = values.long()
                values = torch.where(ids < 0, ~ids, ids)
                if self.masked:
                    more[MASK] = (ids >= 0).long()
            parts[cut.name] = values
        if self.form == "mapping":
            return ({**parts, **more},), {}
        if self.form == "keywords":
            return (), {**parts, **more}
        values_ = tuple(parts.values())
        return ((values_,) if self.form == "tuple" else values_), more


class LaidOutCall(NamedTuple):
    """How a model is called with inputs (B, ...) that are kept laid out as something else."""

    kind: Modality

    def exported(self, rows: Tensor) -> Any:
        """See `RowCall.exported`."""
        return self.kind.as_given(rows)

    def arguments(self, rows: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """See `RowCall.arguments`."""
        return (self.kind.as_given(rows),), {}

    def shown(self, inputs: Tensor) -> str:
        """The shape of a batch as the model takes it."""
        return str(tuple(self.arguments(inputs)[0][0].shape))


Call = RowCall | LaidOutCall


def row_call(packing: Packing, takes: tuple[str, ...]) -> Call | None:
    """How the model of a session is called; None where it takes samples as they are kept."""
    if packing.modality is None:
        return None if packing.single is None else LaidOutCall(packing.single)
    parts = packing.modality.members
    cuts = tuple(Cut(p.name, p.start, p.stop, p.given, p.modality.whole) for p in parts)
    named = [cut.name for cut in cuts]
    one_text = sum(cut.whole for cut in cuts) == 1
    return RowCall(cuts, packing.form, one_text and MASK in takes and MASK not in named)


def note(model: nn.Module, call: Call | None) -> None:
    """Have `noted` find it; what another session noted is taken off."""
    for module in (model, getattr(model, "module", None), getattr(model, "_orig_mod", None)):
        if not isinstance(module, nn.Module):
            continue
        if call is None:
            module.__dict__.pop(_NOTE, None)
        else:
            module.__dict__[_NOTE] = call


def noted(model: nn.Module) -> Call | None:
    """How the model is called with samples as they are kept; None where that is as they are."""
    found: Call | None = getattr(model, _NOTE, None)
    return found


def array_of(x: Any) -> NDArray[Any]:
    """A part, an array or a tensor, in numpy."""
    if not isinstance(x, Tensor):
        return np.asarray(x)
    values = x.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def rows_of_parts(packing: Packing, x: Any) -> Tensor:
    """A batch of a user's own loop as rows (B, T), where samples have several inputs."""
    if not is_several(x):
        kind = packing.single
        found: Tensor = x.detach()
        return kind.unpacked(found, "x")[1] if kind and kind.recognises(found[0]) else found
    first = next(iter(x.values() if isinstance(x, dict) else x))
    return torch.from_numpy(packing.rows(x)).to(first.device)
