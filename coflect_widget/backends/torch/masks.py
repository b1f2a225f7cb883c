"""A person's data whose targets are masks, a class for each place, for the Torch backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coflect_widget.backends.base import Batch
from coflect_widget.backends.masks import OfMasks, check_known, check_masks, check_places
from coflect_widget.backends.source import other_shape
from coflect_widget.backends.torch.data import Source

_WHOLE = "{name}.long() of a tensor, {name}.astype('int64') of an array"


def mask_of(y: Any) -> Tensor:
    """One sample's mask (H, W), or several, of the type that was given where torch can use it."""
    mask = torch.as_tensor(y).detach()
    return mask.long() if mask.dtype in (torch.uint16, torch.uint32, torch.uint64) else mask


class MaskSource(OfMasks, Source):
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

    def fit(self, classes: int, void: int) -> None:
        """Look at all masks that are known, once the classes are.

        Raises
        ------
        ValueError
            For the first mask with another class.
        """
        masks = self.values()
        check_known(self, masks, classes, void, _leaves_out)
        check_places(self.argument, tuple(masks.shape[1:]), tuple(self.input_shape[1:]))

    def _checked_targets(self, y: Any) -> Tensor:
        targets = self._array(y, "labels")
        check_masks(tuple(targets.shape), targets.dtype, self.argument, _WHOLE, several=True)
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
        check_masks(tuple(mask.shape), mask.dtype, named, _WHOLE, several=False)
        if mask.shape != mask_of(first).shape:
            shapes = tuple(mask.shape), tuple(mask_of(first).shape)
            raise ValueError(other_shape(f"{self.argument}'s mask", index, shapes[0], 0, shapes[1]))
        self.regression = True
        return mask.clone()


def _leaves_out(value: int) -> str:
    return (
        f"loss=torch.nn.CrossEntropyLoss(ignore_index={value}), or set the attribute ignore_index "
        f"of your own loss to {value}"
    )
