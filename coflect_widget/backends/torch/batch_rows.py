"""Rows of batches: put together, moved to a device, taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.backends.added import Added
from coflect_widget.backends.base import Batch
from coflect_widget.backends.judged import JudgedLabels


def with_added(
    group: NDArray[np.int64], inputs: torch.Tensor, targets: torch.Tensor, added: Added
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of arrays, some of them perhaps added ones."""
    old = group < added.first
    places = torch.from_numpy(old)
    rows = inputs.new_empty((len(group), *inputs.shape[1:]))
    wanted = targets.new_empty((len(group), *targets.shape[1:]))
    later = group[~old] - added.first
    for filled, data, more in ((rows, inputs, added.inputs), (wanted, targets, added.targets)):
        filled[places] = data[torch.from_numpy(group[old])]
        filled[~places] = torch.from_numpy(more[later]).to(filled)
    return rows, wanted


def in_rows(*arrays: torch.Tensor) -> bool:
    """Whether all lie in this machine's memory, row after row."""
    return all(x.device.type == "cpu" and x.is_contiguous() for x in arrays)


def one_row(batch: Batch, row: int) -> tuple[Any, torch.Tensor]:
    """Inputs and target of one row, as a batch of one."""
    part = slice(row, row + 1)
    return batch.inputs[part], batch.targets[part]


def rows_of(
    source: Any, indices: Sequence[int], judged: JudgedLabels, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (n, ...) of samples, and their labels (n,) as judged, or their values (n, D).

    The label of a sample that is left out is -1.
    """
    samples = [source.sample(int(i)) for i in indices]
    inputs = torch.stack([torch.from_numpy(s.input) for s in samples]).to(device)
    if source.regression:
        return inputs, torch.stack([torch.from_numpy(s.targets) for s in samples]).to(device)
    labels = [judged.label(int(i), s.target) for i, s in zip(indices, samples, strict=True)]
    return inputs, torch.tensor(labels, device=device)


def as_judged(batch: Batch, judged: JudgedLabels) -> Batch:
    """A batch with the labels that a person has put in, without what was left out."""
    found = judged.of(batch.indices)
    if found is None:
        return batch
    targets = batch.targets.clone()
    targets[torch.from_numpy(found.changed)] = torch.from_numpy(found.labels).to(targets)
    kept = torch.from_numpy(found.keep).to(targets.device)
    return Batch(batch.indices[found.keep], batch.inputs[kept], targets[kept])
