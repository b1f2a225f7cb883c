"""What the backends of every framework do alike, over samples that are read by index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Sample, batch_cuts, epoch_order
from coflect_widget.backends.defaults import BackendDefaults
from coflect_widget.backends.differentiable import WorkerModel
from coflect_widget.backends.judged import JudgedLabels


class SourcedBackend(BackendDefaults):
    """A backend over a source of training samples and, perhaps, one of validation samples.

    A subclass sets `train_source`, `val_source`, `batch_size` and `seed`, and says how the model is
    rebuilt and what a source's sample is to the model.
    """

    takes_labels = reads_val = True
    train_source: Any
    val_source: Any
    batch_size: int
    seed: int

    @staticmethod
    def load(structure: bytes) -> WorkerModel:
        """The model in a worker."""
        raise NotImplementedError

    def __init__(self) -> None:
        self._guidance: Any = None  # guidance.losses.GuidanceLosses
        self._judged = JudgedLabels()
        self._rank, self._ranks = 0, 1  # which share of an epoch this process goes over

    # --- data ----------------------------------------------------------------------------------

    @property
    def num_train(self) -> int:
        return int(self.train_source.length)

    @property
    def num_val(self) -> int:
        return 0 if self.val_source is None else int(self.val_source.length)

    @property
    def steps_per_epoch(self) -> int:
        return len(batch_cuts(-(-len(self._in_epoch) // self._ranks), self.batch_size))

    @property
    def _in_epoch(self) -> range | NDArray[np.int64]:
        return range(self.num_train) if self.members is None else self.members

    @property
    def reads_at_boundary(self) -> bool:
        return bool(self.train_source.draws_random_numbers)

    @property
    def val_reads_at_boundary(self) -> bool:
        return self.val_source is not None and bool(self.val_source.draws_random_numbers)

    def sources(self) -> list[Any]:
        """Those that there are."""
        return [source for source in (self.train_source, self.val_source) if source is not None]

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Indices of the training data in the order of an epoch, of this process's share.

        All shares are equally long: the first samples of the epoch come twice where they must.
        """
        order = epoch_order(self.seed, epoch, self._in_epoch)
        if self._ranks == 1:
            return order
        even = np.resize(order, -(-len(order) // self._ranks) * self._ranks)
        return np.ascontiguousarray(even[self._rank :: self._ranks])

    def rows_to_add(self, x: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        rows: tuple[NDArray[np.float32], NDArray[Any]] = self.train_source.rows_to_add(x, y)
        return rows

    def add_samples(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> None:
        if self.members is None:  # the epoch that is under way goes over those of before
            self.members = np.arange(self.num_train)
        self.train_source.add(inputs, targets)

    def as_sample(self, found: Any) -> Sample:
        """What a source gives as the session sees it."""
        sample: Sample = found
        return sample

    def as_picture(self, found: Any) -> NDArray[np.float32]:
        """A source's input as (C, H, W)."""
        picture: NDArray[np.float32] = found
        return picture

    def read_sample(self, index: int) -> Sample:
        return self.as_sample(self.train_source.sample(index))

    def read_val_sample(self, index: int) -> Sample:
        if self.val_source is None:
            raise IndexError("there are no validation data")
        return self.as_sample(self.val_source.sample(index))

    def labels(self) -> NDArray[Any]:
        found: NDArray[Any] = self.train_source.labels()
        return found

    def probes(self) -> list[NDArray[np.float32]]:
        return [self.read_sample(i).input for i in self.train_source.probes()]

    def readings(
        self, index: int, enough: Callable[[list[NDArray[Any]]], bool]
    ) -> list[NDArray[np.float32]]:
        return [self.as_picture(x) for x in self.train_source.readings(index, enough)]

    def forget_read(self) -> None:
        for source in self.sources():
            source.forget_read()

    def set_labels(self, labels: Mapping[int, int | None]) -> None:
        self._judged = JudgedLabels(labels)

    def label_of(self, index: int) -> int:
        return int(self.train_source.target(index))

    # --- guidance, and the model elsewhere -----------------------------------------------------

    @property
    def lapses(self) -> list[Any]:
        found: list[Any] = [] if self._guidance is None else self._guidance.lapses
        return found

    def attach_guidance(self, losses: Any) -> None:
        self._guidance = losses

    def set_guidance(self, guidance: Any) -> str:
        return "" if self._guidance is None else str(self._guidance.set_state(guidance))

    @property
    def guiding(self) -> Any:
        """The losses, where anything is in force; else None."""
        losses = self._guidance
        return losses if losses is not None and losses.active else None

    def check_layer(self, structure: bytes, sample: Sample, name: str | None) -> None:
        readable_layer(type(self).load(structure), sample.input.shape, name)


def readable_layer(
    model: WorkerModel, input_shape: tuple[int, ...], name: str | None = None
) -> str:
    """Name of the layer that class activation maps will read; a check before anything is started.

    Raises
    ------
    NoSuitableLayerError
        With the list of candidates.
    """
    model.fill()
    return model.bound().find_layer(input_shape, name).name


def same_shapes(train: Any, val: Any) -> None:
    """Raise ValueError unless both data sets have inputs of one shape."""
    if train != val:
        raise ValueError(
            f"val_data has inputs of shape {val}, but train_data of {train}; one model reads both: "
            "give them the same shape"
        )
