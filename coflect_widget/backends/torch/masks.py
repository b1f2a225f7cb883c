"""A person's data whose targets are masks, a class for each place, for the Torch backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coflect_widget.backends.base import Batch
from coflect_widget.backends.source import other_shape
from coflect_widget.backends.torch.data import Source

TASK = "task='segmentation'"


def mask_of(y: Any) -> Tensor:
    """One sample's mask (H, W), or several, of the type that was given where torch can use it."""
    mask = torch.as_tensor(y).detach()
    return mask.long() if mask.dtype in (torch.uint16, torch.uint32, torch.uint64) else mask


class MaskSource(Source):
    """A `data.Source` of pictures and masks: batches have them as int64 (B, H, W).

    ``regression`` is set, because no target is one class number; ``Sample.targets`` is the mask.
    """

    values_of = staticmethod(mask_of)

    def batches(
        self, order: NDArray[np.int64], batch_size: int, device: torch.device, **how: Any
    ) -> Iterator[Batch]:
        """See `data.Source`; masks stay in the type they were given in until here."""
        for batch in super().batches(order, batch_size, device, **how):
            yield batch._replace(targets=batch.targets.long())

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        raise ValueError(
            "samples with masks cannot be added; add them to the data and make a new Session"
        )

    def fit(self, classes: int, void: int) -> None:
        """Look at all masks that are known, once the classes are.

        Raises
        ------
        ValueError
            For the first mask with another class.
        """
        masks = self.values()
        whole = len(masks) == self.length
        for at, mask in enumerate(masks):
            if mask.size == 0 or (mask.min() >= 0 and mask.max() < classes):
                continue
            strange = np.setdiff1d(mask, [*range(classes), void])
            if len(strange):
                index = at if whole else self.probes()[at]
                raise ValueError(_unknown(self.argument, index, strange, classes))
        if tuple(masks.shape[1:]) != self.input_shape[1:]:
            raise ValueError(
                f"{self.argument} has masks of {masks.shape[1:]} and pictures of "
                f"{self.input_shape[1:]}; give a class to each pixel: resize the masks by nearest "
                "neighbours, or the pictures"
            )

    def _checked_targets(self, y: Any) -> Tensor:
        targets = self._array(y, "labels")
        _check(targets, self.argument, several=True)
        self.regression = True
        return mask_of(targets).contiguous()

    def _checked_target(self, y: Any, index: int, first: Any) -> Any:
        named = f"{self.argument}[{index}][1]"
        try:
            mask = mask_of(y)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"{named} is a {type(y).__name__}; give a mask (H, W), a tensor or a numpy array: "
                "of a picture that is numpy.array(mask)"
            ) from None
        _check(mask, named, several=False)
        if mask.shape != mask_of(first).shape:
            shapes = tuple(mask.shape), tuple(mask_of(first).shape)
            raise ValueError(other_shape(f"{self.argument}'s mask", index, shapes[0], 0, shapes[1]))
        self.regression = True
        return mask.clone()


def _check(masks: Tensor, argument: str, *, several: bool) -> None:
    """Raise ValueError unless it is one mask (H, W), or are `several` (N, H, W), of integers."""
    name, channel = ("masks", 1) if several else ("mask", 0)
    found = (
        f"{argument} has targets of shape {tuple(masks.shape)} and type {masks.dtype}; {TASK} "
        f"needs {'masks (N, H, W)' if several else 'a mask (H, W)'} of class numbers, integers"
    )
    axes = masks.ndim - several
    if axes == 3 and masks.shape[channel] == 1:
        raise ValueError(f"{found}: pass {name}{'[:, 0]' if several else '[0]'}")
    if axes == 3:
        raise ValueError(f"{found}: of a channel for each class pass {name}.argmax({channel})")
    if axes != 2:
        raise ValueError(f"{found}; of one class number a sample leave task= out")
    if masks.is_floating_point() or masks.is_complex():
        raise ValueError(
            f"{found}: pass {name}.long() of a tensor, {name}.astype('int64') of an array; masks "
            "that were scaled to 0 to 1, as pictures are, have lost their class numbers"
        )


def _unknown(argument: str, index: int, strange: NDArray[Any], classes: int) -> str:
    listed = ", ".join(str(value) for value in strange[:5].tolist())
    what = f"the class {listed}" if len(strange) == 1 else f"the classes {listed}"
    text = (
        f"{argument} has a mask with {what} at index {index}, and the model has outputs for 0 to "
        f"{classes - 1}"
    )
    if len(strange) == 1:
        value = strange.tolist()[0]
        return (
            f"{text}: where it marks places without a label pass "
            f"loss=torch.nn.CrossEntropyLoss(ignore_index={value}), or set the attribute "
            f"ignore_index of your own loss to {value}; else correct the mask, or add outputs"
        )
    return f"{text}: number the classes from 0 on, or give the model as many outputs"
