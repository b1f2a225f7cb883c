"""A data set as a loader reads it: numbered, and each item checked."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from coflect_widget.backends.items import class_number, label_error
from coflect_widget.backends.looked_up import check_numbers
from coflect_widget.backends.source import other_shape
from coflect_widget.backends.torch.arrays import as_float, as_whole, shape_of


class Numbered(torch.utils.data.Dataset[tuple[Any, Any, int]]):
    """Adds the index to each sample of a map-style data set, and checks what was not probed.

    Parameters
    ----------
    source : backends.torch.data.Source
    dataset : sequence of items (x, y)
    """

    def __init__(self, source: Any, dataset: Any) -> None:
        self.dataset = dataset
        self.argument = source.argument
        self.shape = source.input_shape
        self.num_classes = source.num_classes
        self.regression, self.values_of = source.regression, source.values_of
        self.whole, self.numbers = source.whole, source.numbers
        # With processes of its own each has a data set of its own, and a lock cannot be sent.
        self.lock = source.lock if source.loader_workers == 0 else None

    def __getitem__(self, index: int) -> tuple[Any, Any, int]:
        with self.lock or contextlib.nullcontext():
            x, y, *_ = self.dataset[index]
        if shape_of(x) != self.shape:
            raise ValueError(other_shape(self.argument, index, shape_of(x), 0, self.shape))
        if self.regression:
            target: Any = self.values_of(y)
        else:
            target = class_number(y, self.argument, index)
            if self.num_classes is not None and not 0 <= target < self.num_classes:
                raise ValueError(label_error(self.argument, index, target, self.num_classes))
        if not self.whole:
            return as_float(x, self.argument), target, index
        values = as_whole(x)
        if self.numbers is not None:
            check_numbers(values[None], self.numbers, self.argument, index, masks=True)
        return values, target, index

    def __len__(self) -> int:
        return len(self.dataset)
