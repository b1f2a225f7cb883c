"""A person's data for the Torch backend: checked once, numbered, served batch by batch.

Arrays are indexed as a whole; a map-style data set goes through a DataLoader. The order of an
epoch depends on (seed, epoch) alone, so that equal runs see equal batches.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from coflect_widget.backends.added import Grown
from coflect_widget.backends.base import Batch, Sample, batch_cuts
from coflect_widget.backends.items import check_finite, check_item, class_number, is_map_style
from coflect_widget.backends.lengths import OfLengths
from coflect_widget.backends.looked_up import check_numbers
from coflect_widget.backends.named_items import Items
from coflect_widget.backends.several import OneRow, Packing, is_several
from coflect_widget.backends.source import OtherShapeError, other_shape
from coflect_widget.backends.targets import kind_of_targets, label_remedy
from coflect_widget.backends.torch.arrays import (
    are_words,
    as_arrays,
    as_float,
    as_whole,
    is_floating,
    shape_of,
    to_sample,
    values_of,
)
from coflect_widget.backends.torch.batch_rows import in_rows, with_added
from coflect_widget.backends.torch.loader import refuse_loader
from coflect_widget.backends.torch.numbered import Numbered
from coflect_widget.backends.torch.random_state import random_state_kept
from coflect_widget.backends.torch.several import array_of, rows_of_parts
from coflect_widget.modalities import Modality, container, recognise

_FOR_REGRESSION = "pass loss= as well, for example loss=torch.nn.MSELoss()"


class Source(OfLengths):
    """Samples by index, and batches of an epoch.

    Parameters
    ----------
    data : map-style data set of (x, y), (x, y, index) or mappings, or pair of arrays
    argument : str
        Name used in error messages, "train_data" or "val_data".
    loader_workers : int
        Processes of the DataLoader that serves a map-style data set.
    may_regress : bool
        Whether targets may be floating point, for regression.
    labels : bool
        Whether integers (N, L) are rows of labels, and so values like floating point ones.
    names : sequence of str
        Arguments of the model's ``forward``, for inputs that have names.
    modality : Modality, optional
        What an input is; found by the first one if left out.

    Attributes
    ----------
    regression : bool
        Whether the targets are such values. Batches have them as float32 (B, D); a sample's
        label is 0 then, "an error as usual".
    packing : Packing
        How several inputs of a sample are one row; its `modality` is None where there is one input.
    input_shape : tuple of int
        Of one sample.
    given : object
        `data` itself; None for a tuple or list.
    """

    #: what a target is that is no class number
    values_of = staticmethod(values_of)

    def __init__(
        self,
        data: Any,
        argument: str,
        loader_workers: int = 0,
        *,
        may_regress: bool = False,
        labels: bool = False,
        names: Sequence[str] = (),
        modality: Modality | None = None,
    ) -> None:
        super().__init__(argument)
        self._modality = modality or container(data)
        self.given = None if isinstance(data, tuple | list) else data
        self.regression = False
        self._may_regress = may_regress or labels
        self._labels = labels
        self.loader_workers = loader_workers
        self.inputs: torch.Tensor | None = None
        self.packing = Packing(argument, self._modality, names, array_of)
        self.targets: torch.Tensor | None = None
        self.num_classes: int | None = None  # known once the model is; then labels are checked
        self.numbers: int | None = None  # likewise of whole numbers that are looked up
        arrays = as_arrays(data, argument, names)
        if arrays is not None:
            self.inputs, self.targets = self._checked_arrays(*arrays)
            self.length = len(self.targets)
        else:
            items = Items(self._checked_dataset(data), argument, names, (torch.Tensor, np.ndarray))
            self.dataset = OneRow(items, self.packing)
            self.length = len(data)
        self.look()
        first = self.sample(0)
        self._check_kind(first.input)
        self._modality = self.fitted(self.modality, self.inputs)
        self.input_shape: tuple[int, ...] = first.input.shape

    # --- reading ---------------------------------------------------------------------------

    def sample(self, index: int) -> Sample:
        """Input (...) float32 and label of one sample."""
        found: Sample = self.item(index)
        return found

    def kept_random_state(self) -> AbstractContextManager[Callable[[], bool]]:
        """See `source.Source`."""
        return random_state_kept()

    def of_arrays(self, index: int) -> Sample:
        """See `source.Source`."""
        inputs, targets = self.inputs, self.targets
        assert inputs is not None and targets is not None  # noqa: S101, PT018 - narrows the types
        return self._of(inputs[index], targets[index], index)

    def of_dataset(self, index: int) -> Sample:
        """See `source.Source`."""
        x, y, *_ = self.dataset[index]
        return self._of(x, y, index)

    def _of(self, x: Any, y: Any, index: int) -> Sample:
        if self.regression:
            return self._sample(x, 0, self.values_of(y).numpy())
        return self._sample(x, class_number(y, self.argument, index))

    def _sample(self, x: Any, target: int, targets: Any = None) -> Sample:
        return to_sample(x, target, self.argument, whole=self.whole, targets=targets)

    @property
    def whole(self) -> bool:
        """Whether inputs are whole numbers; of several inputs that is not so."""
        return self._modality is not None and self._modality.whole

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """See `source.Source`."""
        if self.packing.modality is not None:
            raise ValueError(
                "samples of several inputs cannot be added; add them to the data and make a new "
                "Session"
            )
        return self.input_shape, self.values().shape[1] if self.regression else 0

    def rows_to_add(self, x: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """See `source.Source`."""
        if self.numbers is None:
            return super().rows_to_add(x, y)
        given = torch.as_tensor(x).detach().cpu()
        if given.ndim:
            rows = given[None] if given.ndim == len(self.input_shape) else given
            self.modality.check(rows[0].numpy(), "x")
            check_numbers(rows, self.numbers, "x")
            self.modality.fitted(rows.numpy(), "x")
        return super().rows_to_add(given.numpy().astype(np.float32), y)

    def of_added(self, x: NDArray[np.float32], y: Any) -> Sample:
        """See `source.Source`."""
        if self.regression:
            return self._sample(x, 0, self.values_of(y).numpy())
        return self._sample(x, int(y))

    def picture(self, item: Sample) -> NDArray[np.float32]:
        """See `source.Source`."""
        return item.input.copy()

    def target(self, index: int) -> int:
        """Class number of one sample."""
        return self.sample(index).target

    def values(self) -> NDArray[np.float32]:
        """What regression aims at, (N, D), as far as known without reading every sample."""
        if self.targets is not None:
            return self.targets.numpy()
        return np.stack([self.values_of(y).numpy() for y in self._probed])

    def labels(self) -> NDArray[np.int64]:
        """All labels, where they are known without reading every sample; else of the probes."""
        if self.regression:
            return np.zeros(self.length, np.int64)
        if self.targets is not None:
            return self.targets.numpy()
        probed = np.array(self._probed, dtype=np.int64)
        for name in ("targets", "labels"):
            try:
                known = np.asarray(getattr(self.given, name, ()))
            except (TypeError, ValueError):  # several of a sample, as boxes have
                continue
            # Only what the items say too: a target_transform may map these to others.
            if known.shape == (self.length,) and np.array_equal(known[self.probes()], probed):
                return known.astype(np.int64)
        return probed

    def batches(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        device: torch.device,
        *,
        skip: int = 0,
        seed: int = 0,
    ) -> Iterator[Batch]:
        """Batches in the given order, inputs and targets on `device`.

        `seed` is what a DataLoader's processes get, so that it takes none from the global
        generator, which dropout uses.
        """
        groups = [order[a:b] for a, b in batch_cuts(len(order), batch_size)[skip:]]
        if self.inputs is not None and self.targets is not None:
            inputs, targets = self.inputs, self.targets
            if self.added is not None:
                for group in groups:
                    x, y = with_added(group, inputs, targets, self.added)
                    yield Batch(group, x.to(device), y.to(device))
                return
            if device.type == "cpu" and in_rows(inputs, targets):
                for group in groups:  # quicker than `inputs[picked]`, and each step pays it
                    picked = torch.from_numpy(group)
                    rows: Any = inputs.index_select(0, picked)
                    yield Batch(group, rows, targets.index_select(0, picked))
                return
            for group in groups:
                picked = torch.from_numpy(group)
                wanted = targets[picked].to(device, non_blocking=True)
                yield Batch(group, inputs[picked].to(device, non_blocking=True), wanted)
            return
        dataset = self.dataset if self.added is None else Grown(self.dataset, self.added)
        loader = DataLoader(
            Numbered(self, dataset),
            batch_sampler=[[int(i) for i in group] for group in groups],
            num_workers=self.loader_workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator().manual_seed(seed),
        )
        for x, y, index in loader:
            y = y.to(device, non_blocking=True)
            x = x.to(device, non_blocking=True)
            yield Batch(index.numpy(), x, y if self.regression else y.long().reshape(-1))

    # --- checking --------------------------------------------------------------------------

    def set_numbers(self, count: int, modality: Modality) -> None:
        """Inputs are whole numbers that the model looks up among `count`; what they are by that.

        Raises
        ------
        ValueError
            If there are others, as far as is known without reading every sample.
        """
        self.numbers = count
        if isinstance(self.inputs, torch.Tensor):
            check_numbers(self.inputs, count, self.argument)
        else:
            for index in self.read_so_far():
                x = torch.from_numpy(self.sample(index).input)
                check_numbers(x[None], count, self.argument, index, masks=True)
        self._modality = self.fitted(modality, self.inputs)

    def as_long(self, x: Any) -> Any:
        """See `lengths.OfLengths`; several inputs come as rows."""
        return super().as_long(rows_of_parts(self.packing, x))

    def _take_packing(self) -> None:
        """Inputs are what they were packed to, where they were several."""
        packed: Any = self.packing.modality or self.packing.single
        self._modality = packed or self._modality

    def number_parts(self, counts: dict[str, int]) -> None:
        """Of parts that the model looks up, among how many; checked as far as data are known."""
        for part in () if self.packing.modality is None else self.packing.modality.members:
            if part.name not in counts:
                continue
            self.packing.number(part.name, counts[part.name])
            where = f"{self.argument}, in {part.name!r},"
            if self.inputs is not None:
                check_numbers(part.of(self.inputs), counts[part.name], where, masks=True)
                continue
            for index in self.read_so_far():
                x = part.of(self.sample(index).input)[None]
                check_numbers(x, counts[part.name], where, index, masks=True)
        known: Any = self.packing.modality or self.modality
        self._modality = self.fitted(known, self.inputs)

    def _checked_arrays(self, x: Any, y: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if is_several(x):
            rows = torch.from_numpy(self.packing.rows(x))
            self._take_packing()
            self._check_lengths(rows, y)
            return rows, self._checked_targets(y)
        known = self._modality or container(x)
        if known is not None and not known.lays_out:
            self._modality, x = known.unpacked(x, self.argument)
        given = self._array(x, "inputs")
        self._check_lengths(given, y)
        if len(given):
            laid = self.packing.alone(given, self.argument, lead=1)
            x, given = (x, given) if laid is given else (laid, laid)
            self._take_packing()
        self._check_kind(given[0] if len(given) else given.new_zeros(given.shape[1:]))
        if not self.whole:
            return as_float(x, self.argument), self._checked_targets(y)
        return as_whole(x), self._checked_targets(y)

    def _array(self, values: Any, what: str) -> torch.Tensor:
        try:
            with warnings.catch_warnings():  # pandas gives arrays that nobody may write into
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                return torch.as_tensor(values)
        except (TypeError, ValueError) as error:
            if what == "labels" and are_words(values):
                raise ValueError(
                    f"{self.argument} has labels that are words; pass their places among the "
                    "names as integers: names = sorted(set(labels)), "
                    "numpy.array([names.index(label) for label in labels]), and classes=names"
                ) from None
            raise ValueError(
                f"{self.argument}: the arrays cannot be used ({error}); inputs must be one array "
                "(N, C, H, W), all of one shape, and labels one array (N,)"
            ) from error

    def _check_lengths(self, inputs: torch.Tensor, labels: Any) -> None:
        if len(inputs) != len(labels):
            raise ValueError(
                f"{self.argument} has {len(inputs)} inputs but {len(labels)} labels; "
                "pass one label for each input"
            )

    def _checked_targets(self, y: Any) -> torch.Tensor:
        targets = self._array(y, "labels")
        rows = self._labels and targets.ndim == 2 and targets.shape[1] > 1
        floating = self._may_regress and targets.is_floating_point() and targets.ndim in (1, 2)
        if (floating or rows) and not targets.is_complex():
            self.regression = True
            targets = targets.reshape(len(targets), -1).float().contiguous()
            check_finite(targets.numpy(), self.argument)
            return targets
        if targets.ndim != 1 or targets.is_floating_point() or targets.is_complex():
            kind = kind_of_targets(targets.detach().numpy())
            remedy = label_remedy(kind, "labels" if hasattr(y, "shape") else "numpy.array(labels)")
            if kind in ("binary", "values"):
                remedy += f", or, for regression, {_FOR_REGRESSION}"
            raise ValueError(
                f"{self.argument} has labels of shape {tuple(targets.shape)} and type "
                f"{targets.dtype}; {remedy}"
            )
        return targets.long().contiguous()

    @property
    def modality(self) -> Modality:
        """What an input is."""
        assert self._modality is not None  # noqa: S101 - the first sample has told
        return self._modality

    def _check_kind(self, x: Any) -> None:
        """Raise ValueError unless one sample's input is of its kind."""
        tensor = torch.as_tensor(x).detach()
        values = (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
        self._modality = self._modality or recognise(values)
        self._modality.check(values, self.argument)

    def _checked_dataset(self, data: Any) -> Any:
        refuse_loader(data, self.argument, " and batch_size=,")
        if isinstance(data, IterableDataset) or not is_map_style(data):
            raise TypeError(
                f"{self.argument}={type(data).__name__} is neither a map-style data set "
                "(__len__ and __getitem__ giving (x, y)) nor a pair of arrays (inputs, labels)"
            )
        return data

    def probe(self, index: int) -> tuple[Sample, Any, int]:
        """See `source.Source`."""
        item = self.dataset[index]
        check_item(item, self.argument, index)
        x, y = item[0], item[1]
        if not isinstance(x, torch.Tensor | np.ndarray):
            raise ValueError(
                f"{self.argument}[{index}][0] is {_what_is(x)}; a data set must give tensors or "
                "numpy arrays (C, H, W), or a tuple or a dict of such for a model with several "
                "inputs: add a transform that converts"
            )
        if self._first is None:
            self._take_packing()
            self._check_kind(x)  # before anybody is told to convert it
            self._first = (shape_of(x), y)
        elif shape_of(x) != self._first[0]:
            raise OtherShapeError(other_shape(self.argument, index, shape_of(x), 0, self._first[0]))
        sample = self._sample(x, 0)
        target = self._checked_target(y, index, self._first[1])
        label, known = (0, target.numpy()) if self.regression else (target, None)
        kept = Sample(sample.input.copy(), label, known)
        return kept, target, sample.input.nbytes

    def _is_value(self, y: Any) -> bool:
        return is_floating(y) or (self._labels and np.ndim(y) == 1 and len(y) > 1)

    def _checked_target(self, y: Any, index: int, first: Any) -> Any:
        """A class number, or values; of the same kind and length as those of the `first` item."""
        floating = self._is_value(y)
        if floating and not self._may_regress:
            kind = kind_of_targets(values_of(y).numpy()[None])
            if kind in ("binary", "values"):
                shown = f"pass a class number as an integer, or, for regression, {_FOR_REGRESSION}"
            else:
                shown = label_remedy(kind, "label", alone=True)
            raise ValueError(f"{self.argument}[{index}][1] is {y!r}; {shown}")
        if floating != self._is_value(first) or (
            floating and len(values_of(y)) != len(values_of(first))
        ):
            raise ValueError(
                f"{self.argument}[{index}][1] is {y!r}, but the first target is {first!r}; give "
                "all of them as class numbers, or all as equally many floating point values"
            )
        self.regression = floating
        if not floating:
            return class_number(y, self.argument, index)
        values = values_of(y).clone()
        check_finite(values.numpy(), self.argument, index)
        return values


def _what_is(x: Any) -> str:
    """What a data set gave in place of an array."""
    if isinstance(x, tuple | list) and x:
        return f"a {type(x).__name__} with a {type(x[0]).__name__}"
    return f"a {type(x).__name__}"
