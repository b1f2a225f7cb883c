"""A sample's inputs and targets as torch and the model take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from coflect_widget.backends.base import Sample
from coflect_widget.backends.items import has_own_items, whole_arrays
from coflect_widget.backends.named_items import MASK, NUMBERS, SEGMENTS, in_order, numbers_of
from coflect_widget.modalities.image.inputs import float_remedy


def to_sample(
    x: Any, target: int, argument: str, *, whole: bool = False, targets: Any = None
) -> Sample:
    """One sample with its input as float32; int64 where it is `whole`."""
    values = as_whole(x) if whole else as_float(x, argument)
    return Sample(input=values.numpy(), target=target, targets=targets)


def shape_of(x: Any) -> tuple[Any, ...]:
    """Shape of an input, or of each of several."""
    return tuple(map(shape_of, x)) if isinstance(x, tuple | list) else tuple(x.shape)


def are_several(x: Any, labels: Any) -> bool:
    """Whether `x` is several inputs, an array each, and not one array's rows."""
    if len(x) < 2 or not all(hasattr(a, "shape") and len(a.shape) > 0 for a in x):
        return False
    if all(len(a) == len(labels) != len(x) for a in x):
        return True
    shapes = {tuple(a.shape[1:]) for a in x}
    return all(len(a.shape) > 1 for a in x) and (len(shapes) > 1 or len(x[0].shape) == 4)


def as_arrays(data: Any, argument: str, names: Sequence[str]) -> tuple[Any, Any] | None:
    """Inputs and labels, where they are all there is to `data`; a subclass may augment them."""
    arrays = whole_arrays(data)
    if arrays is not None:
        return arrays
    if isinstance(data, TensorDataset) and not has_own_items(data, TensorDataset):
        *tensors, last = data.tensors
        if len(tensors) == 1:
            return tensors[0], last
        counted = torch.equal(last, torch.arange(len(last)).to(last))  # (x, y, index)
        return None if counted or len(tensors) < 2 else (tuple(tensors), last)
    if isinstance(data, tuple | list) and len(data) == 2:
        given: tuple[Any, Any] = (data[0], data[1])
        inputs, labels = given
        if hasattr(labels, "to_numpy"):  # a column of pandas, which cannot be written to
            labels = np.array(labels.to_numpy())
        labelled = hasattr(labels, "shape") or isinstance(labels, tuple | list)
        if labelled and isinstance(inputs, Mapping) and {NUMBERS, MASK} <= set(inputs):
            ids = numbers_of(inputs, f"{argument}[0]")
            beside = {k: v for k, v in inputs.items() if k not in (NUMBERS, MASK, SEGMENTS)}
            inputs = {NUMBERS: ids, **beside}
        if labelled and isinstance(inputs, Mapping | set | frozenset):
            inputs = in_order(inputs, names, f"{argument}[0]")
        several = isinstance(inputs, tuple | list) and labelled and are_several(inputs, labels)
        if labelled and (hasattr(inputs, "shape") or isinstance(inputs, Mapping) or several):
            return inputs, labels
    return None


def is_floating(y: Any) -> bool:
    """Whether a data set's target is a value, or several, and no class number."""
    if isinstance(y, torch.Tensor):
        return y.is_floating_point()
    return isinstance(y, float) or bool(np.issubdtype(np.asarray(y).dtype, np.floating))


def values_of(y: Any) -> torch.Tensor:
    """One sample's values, (D,) float32."""
    return torch.as_tensor(y, dtype=torch.float32).reshape(-1)


def are_words(labels: Any) -> bool:
    """Whether labels are names of classes."""
    try:
        return np.asarray(labels).dtype.kind in "US" or any(isinstance(y, str) for y in labels)
    except (TypeError, ValueError):
        return False


def as_whole(x: Any) -> torch.Tensor:
    """`x`, whole numbers, as int64."""
    return torch.as_tensor(x).detach().long()


def as_float(x: Any, argument: str) -> torch.Tensor:
    """`x` as float32."""
    tensor = torch.as_tensor(x).detach()
    if tensor.is_floating_point():
        return tensor.float()
    if tensor.is_complex():
        raise ValueError(
            f"{argument} has inputs of type {tensor.dtype}; pass real numbers, for example the "
            "magnitude, numpy.abs(images)"
        )
    found = f"{argument} has inputs of type {tensor.dtype}; the model needs floating point"
    is_tensor = isinstance(x, torch.Tensor)
    largest = float(tensor.double().max()) if tensor.numel() else 1.0
    if tensor.dtype is torch.uint8:
        largest = 255.0  # though these few may be dark
    raise ValueError(f"{found}, for example {float_remedy(largest, tensor=is_tensor)}")
