"""Items of any form that a torch script's data set gives by index."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from coflect_widget.backends import any_items
from coflect_widget.backends.torch.loader import refuse_loader
from coflect_widget.backends.torch.random_state import random_state_kept


class ItemSource(any_items.ItemSource):
    """See `backends.any_items.ItemSource`."""

    loader_workers = 0
    of_columns = "torch.utils.data.TensorDataset(*columns)"

    def kept_random_state(self) -> AbstractContextManager[Callable[[], bool]]:
        """See `source.Source`."""
        return random_state_kept()

    def _checked(self, data: Any) -> Any:
        refuse_loader(data, self.argument)
        return super()._checked(data)
