"""A person's data for the Torch backend: checked once, numbered, served batch by batch.

Arrays are indexed as a whole; a map-style data set goes through a DataLoader. The order of an
epoch depends on (seed, epoch) alone, so that equal runs see equal batches.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from coflect_widget.backends.added import Added, Grown, rows_to_add
from coflect_widget.backends.base import Batch, Sample, batch_cuts
from coflect_widget.backends.inputs import PICTURES_ONLY, float_remedy, no_picture
from coflect_widget.backends.items import (
    check_finite,
    check_item,
    class_number,
    has_own_items,
    label_error,
)
from coflect_widget.backends.progress import shown
from coflect_widget.backends.targets import kind_of_targets, label_remedy
from coflect_widget.backends.torch.items import Items, in_order
from coflect_widget.backends.torch.random_state import random_state_kept
from coflect_widget.data.arrays import ArrayDataset

_FOR_REGRESSION = "pass loss= as well, for example loss=torch.nn.MSELoss()"
_PROBES = 64  # samples of a map-style data set that are looked at before training
_MOST_KEPT = 2**30  # bytes of them that are kept until the session stands


class Source:
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
    names : sequence of str
        Arguments of the model's ``forward``, for inputs that have names.

    Attributes
    ----------
    regression : bool
        Whether the targets are such values. Batches have them as float32 (B, D); a sample's
        label is 0 then, "an error as usual".
    given : object
        `data` itself; None for a tuple or list.
    """

    def __init__(
        self,
        data: Any,
        argument: str,
        loader_workers: int = 0,
        *,
        may_regress: bool = False,
        names: Sequence[str] = (),
    ) -> None:
        self.argument = argument
        self.given = None if isinstance(data, tuple | list) else data
        self.regression = False
        self._may_regress = may_regress
        self.loader_workers = loader_workers
        self.inputs: torch.Tensor | list[torch.Tensor] | None = None
        self.targets: torch.Tensor | None = None
        self.dataset: Any = None
        self.num_classes: int | None = None  # known once the model is; then labels are checked
        #: of a data set: what was read of the probes, until `forget_read`, and their targets
        self._read: dict[int, Sample] = {}
        self._probed: list[Any] = []
        #: whether reading a sample moves a global random generator, as augmentation does
        self.draws_random_numbers = False
        self.added: Added | None = None
        # Pictures are read beside training; a data set may be no match for two readers at once.
        self._lock = threading.Lock()
        arrays = _as_arrays(data, argument, names)
        if arrays is not None:
            self.inputs, self.targets = self._checked_arrays(*arrays)
            self.length = len(self.targets)
        else:
            self.dataset = Items(self._checked_dataset(data), argument, names)
            self.length = len(data)
        if self.length == 0:
            raise ValueError(f"{argument} is empty; it needs at least one sample")
        if self.dataset is not None:
            with random_state_kept() as moved:
                self._check_shapes()
                self.draws_random_numbers = moved()
        first = self.sample(0)
        self._check_picture(first.input)
        #: of all inputs of a sample, in the order in which the model takes them
        self.shapes = [tuple(x.shape) for x in arguments(first)]
        self.picture_shape: tuple[int, ...] = first.input.shape

    # --- reading ---------------------------------------------------------------------------

    def sample(self, index: int) -> Sample:
        """Input (C, H, W) float32 and label of one sample."""
        if index in self._read:
            return self._read[index]
        x: Any
        if self.added is not None and index >= self.added.first:
            own = self.added.item(index)
            x, target = own[0], 0 if self.regression else int(own[1])
        elif self.inputs is not None and self.targets is not None:
            several = isinstance(self.inputs, list)
            x = tuple(a[index] for a in self.inputs) if several else self.inputs[index]
            target = 0 if self.regression else int(self.targets[index])
        else:
            # Only where reading draws: putting back what training drew meanwhile would be wrong.
            keep = random_state_kept() if self.draws_random_numbers else contextlib.nullcontext()
            with self._lock, keep:
                x, y, *_ = self.dataset[index]
            target = 0 if self.regression else class_number(y, self.argument, index)
        return _sample(x, target, self.argument)

    def readings(
        self, index: int, enough: Callable[[list[NDArray[np.float32]]], bool]
    ) -> list[NDArray[np.float32]]:
        """The picture (C, H, W) of one sample, read anew until there are `enough`.

        [] where the data are arrays, which give the same each time.
        """
        found: list[NDArray[np.float32]] = []
        if self.dataset is None:
            return found
        with self._lock, random_state_kept():
            while not enough(found):
                found.append(_sample(self.dataset[index][0], 0, self.argument).input.copy())
        return found

    def read_so_far(self) -> list[int]:
        """Indices of samples that `sample` gives without reading the data set again."""
        return self.probes() if self.dataset is None else list(self._read)

    def forget_read(self) -> None:
        """Let go of what was read before training; `sample` reads anew from now on."""
        self._read = {}

    def values(self) -> NDArray[np.float32]:
        """What regression aims at, (N, D), as far as known without reading every sample."""
        if self.targets is not None:
            return self.targets.numpy()
        return np.stack([_values(y).numpy() for y in self._probed])

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

    def probes(self) -> list[int]:
        """Indices spread evenly over the data, without what was added."""
        length = self.length if self.added is None else self.added.first
        return [int(i) for i in np.linspace(0, length - 1, min(_PROBES, length)).round()]

    def add(self, x: Any, y: Any, values: int = 0) -> int:
        """Put samples after the last one; at a step boundary. Gives how many there were of them.

        Raises
        ------
        ValueError
            If they do not fit the data.
        """
        if len(self.shapes) > 1:
            raise ValueError(
                "samples of several inputs cannot be added; add them to the data and make a new "
                "Session"
            )
        inputs, targets = rows_to_add(x, y, self.shapes[0], values)
        if self.added is None:
            self.added = Added(self.length, inputs, targets)
        else:
            self.added = self.added.and_(inputs, targets)
        self.length += len(inputs)
        return len(inputs)

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
            if self.added is not None and not isinstance(inputs, list):
                for group in groups:
                    x, y = _with_added(group, inputs, targets, self.added)
                    yield Batch(group, x.to(device), y.to(device))
                return
            if device.type == "cpu" and not isinstance(inputs, list) and _in_rows(inputs, targets):
                for group in groups:  # quicker than `inputs[picked]`, and each step pays it
                    picked = torch.from_numpy(group)
                    rows: Any = inputs.index_select(0, picked)
                    yield Batch(group, rows, targets.index_select(0, picked))
                return
            for group in groups:
                picked = torch.from_numpy(group)
                several = isinstance(inputs, list)
                rows = [x[picked] for x in inputs] if several else inputs[picked]
                wanted = targets[picked].to(device, non_blocking=True)
                yield Batch(group, _moved(rows, device), wanted)
            return
        loader = DataLoader(
            _Numbered(
                self, self.dataset if self.added is None else Grown(self.dataset, self.added)
            ),
            batch_sampler=[[int(i) for i in group] for group in groups],
            num_workers=self.loader_workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator().manual_seed(seed),
        )
        for x, y, index in loader:
            y = y.to(device, non_blocking=True)
            yield Batch(
                index.numpy(), _moved(x, device), y if self.regression else y.long().reshape(-1)
            )

    # --- checking --------------------------------------------------------------------------

    def _checked_arrays(
        self, x: Any, y: Any
    ) -> tuple[torch.Tensor | list[torch.Tensor], torch.Tensor]:
        if isinstance(x, tuple | list) and _several(x):
            arrays = [self._array(each, "inputs") for each in x]
            place = place_of_picture([a.shape[1:] for a in arrays], self.argument)
            self._check_lengths(arrays, y)
            inputs = [
                _as_float(each, self.argument, further=k != place) for k, each in enumerate(x)
            ]
            return inputs, self._checked_targets(y)
        given = self._array(x, "inputs")
        self._check_lengths([given], y)
        self._check_picture(given[0] if len(given) else given.new_zeros(given.shape[1:]))
        return _as_float(x, self.argument), self._checked_targets(y)

    def _array(self, values: Any, what: str) -> torch.Tensor:
        try:
            return torch.as_tensor(values)
        except (TypeError, ValueError) as error:
            if what == "labels" and _words(values):
                raise ValueError(
                    f"{self.argument} has labels that are words; pass their places among the "
                    "names as integers: names = sorted(set(labels)), "
                    "numpy.array([names.index(label) for label in labels]), and classes=names"
                ) from None
            raise ValueError(
                f"{self.argument}: the arrays cannot be used ({error}); inputs must be one array "
                "(N, C, H, W), all of one shape, and labels one array (N,)"
            ) from error

    def _check_lengths(self, inputs: Sequence[torch.Tensor], labels: Any) -> None:
        for each in inputs:
            if len(each) != len(labels):
                raise ValueError(
                    f"{self.argument} has {len(each)} inputs but {len(labels)} labels; "
                    "pass one label for each input"
                )

    def _checked_targets(self, y: Any) -> torch.Tensor:
        targets = self._array(y, "labels")
        if self._may_regress and targets.is_floating_point() and targets.ndim in (1, 2):
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

    def _check_picture(self, x: Any) -> None:
        """Raise ValueError unless one sample's input is a picture, or a row that may be one."""
        values = torch.as_tensor(x).detach()
        whole = not values.is_floating_point() or bool(
            values.numel() and values.max() > 1 and (values == values.round()).all()
        )
        problem = no_picture(tuple(values.shape), self.argument, whole=whole)
        if problem is not None:
            raise ValueError(problem)

    def _checked_dataset(self, data: Any) -> Any:
        if isinstance(data, DataLoader):
            raise TypeError(
                f"{self.argument} is a DataLoader; pass its data set, "
                f"{self.argument}=loader.dataset, and batch_size=, because the tool must know "
                "each sample by its index"
            )
        if isinstance(data, IterableDataset) or not (
            hasattr(data, "__getitem__") and hasattr(data, "__len__")
        ):
            raise TypeError(
                f"{self.argument}={type(data).__name__} is neither a map-style data set "
                "(__len__ and __getitem__ giving (x, y)) nor a pair of arrays (inputs, labels)"
            )
        return data

    def _check_shapes(self) -> None:
        shape: tuple[Any, ...] | None = None
        first: Any = None
        room = _MOST_KEPT
        probes = self.probes()
        for index in shown(probes, len(probes), f"samples of {self.argument}"):
            item = self.dataset[index]
            check_item(item, self.argument, index)
            x = item[0]
            for each in x if isinstance(x, tuple | list) else (x,):
                if not isinstance(each, torch.Tensor | np.ndarray):
                    raise ValueError(
                        f"{self.argument}[{index}][0] is a {type(each).__name__}; a data set must "
                        "give tensors or numpy arrays (C, H, W), or a tuple of such for a model "
                        "with several inputs: add a transform that converts"
                    )
            if shape is not None and _shape(x) != shape:
                raise ValueError(_shape_error(self.argument, index, _shape(x), shape))
            if shape is None and not isinstance(x, tuple | list):
                self._check_picture(x)  # before anybody is told to convert it
            shape = _shape(x)
            sample = _sample(x, 0, self.argument)
            first = item[1] if index == 0 else first
            target = self._checked_target(item[1], index, first)
            self._probed.append(target)
            room -= sum(x.nbytes for x in arguments(sample))
            if index == 0 or room > 0:
                self._read[index] = _copy(sample, 0 if self.regression else target)

    def _checked_target(self, y: Any, index: int, first: Any) -> Any:
        """A class number, or values; of the same kind and length as those of the `first` item."""
        floating = _is_floating(y)
        if floating and not self._may_regress:
            kind = kind_of_targets(_values(y).numpy()[None])
            if kind in ("binary", "values"):
                shown = f"pass a class number as an integer, or, for regression, {_FOR_REGRESSION}"
            else:
                shown = label_remedy(kind, "label", alone=True)
            raise ValueError(f"{self.argument}[{index}][1] is {y!r}; {shown}")
        if floating != _is_floating(first) or (floating and len(_values(y)) != len(_values(first))):
            raise ValueError(
                f"{self.argument}[{index}][1] is {y!r}, but the first target is {first!r}; give "
                "all of them as class numbers, or all as equally many floating point values"
            )
        self.regression = floating
        if not floating:
            return class_number(y, self.argument, index)
        values = _values(y).clone()
        check_finite(values.numpy(), self.argument, index)
        return values


class _Numbered(torch.utils.data.Dataset[tuple[Any, Any, int]]):
    """Adds the index to each sample of a map-style data set, and checks what was not probed."""

    def __init__(self, source: Source, dataset: Any) -> None:
        self.dataset = dataset
        self.argument = source.argument
        self.shape = source.shapes[0] if len(source.shapes) == 1 else tuple(source.shapes)
        self.num_classes = source.num_classes
        self.regression = source.regression
        # With processes of its own each has a data set of its own, and a lock cannot be sent.
        self.lock = source._lock if source.loader_workers == 0 else None

    def __getitem__(self, index: int) -> tuple[Any, Any, int]:
        with self.lock or contextlib.nullcontext():
            x, y, *_ = self.dataset[index]
        if _shape(x) != self.shape:
            raise ValueError(_shape_error(self.argument, index, _shape(x), self.shape))
        if self.regression:
            target: Any = _values(y)
        else:
            target = class_number(y, self.argument, index)
            if self.num_classes is not None and not 0 <= target < self.num_classes:
                raise ValueError(label_error(self.argument, index, target, self.num_classes))
        if isinstance(x, tuple | list):
            return tuple(_as_float(each, self.argument) for each in x), target, index
        return _as_float(x, self.argument), target, index

    def __len__(self) -> int:
        return len(self.dataset)


def _with_added(
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


def _shape_error(argument: str, index: int, shape: tuple[Any, ...], first: tuple[Any, ...]) -> str:
    return (
        f"{argument}[{index}] has shape {shape}, but sample 0 has {first}; images must be of one "
        "shape: resize or crop them in the data set"
    )


def arguments(sample: Sample) -> list[NDArray[np.float32]]:
    """All inputs of a sample in the order in which the model takes them."""
    return [*sample.others[: sample.place], sample.input, *sample.others[sample.place :]]


def place_of_picture(shapes: Sequence[Sequence[int]], argument: str) -> int:
    """Which of several inputs is the picture: the first with three dimensions."""
    for place, shape in enumerate(shapes):
        if len(shape) == 3 and min(shape[1:]) > 1:
            return place
    raise ValueError(
        f"{PICTURES_ONLY}: {argument} gives several inputs of shapes "
        f"{[tuple(s) for s in shapes]}; one of them must be a picture (C, H, W)"
    )


def _sample(x: Any, target: int, argument: str) -> Sample:
    if not isinstance(x, tuple | list):
        return Sample(input=_as_float(x, argument).numpy(), target=target)
    place = place_of_picture([a.shape for a in x], argument)
    arrays = [_as_float(each, argument, further=k != place).numpy() for k, each in enumerate(x)]
    return Sample(arrays.pop(place), target, tuple(arrays), place)


def _copy(sample: Sample, target: int) -> Sample:
    """The same in memory of its own: a data set may fill one buffer for each item."""
    others = tuple(other.copy() for other in sample.others)
    return Sample(sample.input.copy(), target, others, sample.place)


def _shape(x: Any) -> tuple[Any, ...]:
    return tuple(map(_shape, x)) if isinstance(x, tuple | list) else tuple(x.shape)


def _moved(x: Any, device: torch.device) -> Any:
    if isinstance(x, tuple | list):
        return tuple(each.to(device, non_blocking=True) for each in x)
    return x.to(device, non_blocking=True)


def _in_rows(*arrays: torch.Tensor) -> bool:
    """Whether all lie in this machine's memory, row after row."""
    return all(x.device.type == "cpu" and x.is_contiguous() for x in arrays)


def _several(x: Any) -> bool:
    """Whether `x` is several inputs, an array each, and not one array's rows."""
    return (
        len(x) > 1
        and all(hasattr(a, "shape") and len(a.shape) > 1 for a in x)
        and (len({tuple(a.shape[1:]) for a in x}) > 1 or len(x[0].shape) == 4)
    )


def _as_arrays(data: Any, argument: str, names: Sequence[str]) -> tuple[Any, Any] | None:
    """Inputs and labels, where they are all there is to `data`; a subclass may augment them."""
    if isinstance(data, ArrayDataset) and not has_own_items(data, ArrayDataset):
        return data.images, data.labels
    if isinstance(data, TensorDataset) and not has_own_items(data, TensorDataset):
        return (data.tensors[0], data.tensors[1]) if len(data.tensors) == 2 else None
    if isinstance(data, tuple | list) and len(data) == 2:
        inputs, labels = data
        labelled = hasattr(labels, "shape") or isinstance(labels, tuple | list)
        if labelled and isinstance(inputs, Mapping | set | frozenset):
            inputs = in_order(inputs, names, f"{argument}[0]")
        several = isinstance(inputs, tuple | list) and _several(inputs)
        if labelled and (hasattr(inputs, "shape") or several):
            return inputs, labels
    return None


def _is_floating(y: Any) -> bool:
    """Whether a data set's target is a value, or several, and no class number."""
    if isinstance(y, torch.Tensor):
        return y.is_floating_point()
    return isinstance(y, float) or bool(np.issubdtype(np.asarray(y).dtype, np.floating))


def _values(y: Any) -> torch.Tensor:
    """One sample's values, (D,) float32."""
    return torch.as_tensor(y, dtype=torch.float32).reshape(-1)


def _words(labels: Any) -> bool:
    try:
        return np.asarray(labels).dtype.kind in "US" or any(isinstance(y, str) for y in labels)
    except (TypeError, ValueError):
        return False


def _as_float(x: Any, argument: str, *, further: bool = False) -> torch.Tensor:
    """`x` as float32; `further` says that it is an input beside the picture."""
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
    if further:
        convert = "ids.float()" if is_tensor else "ids.astype('float32')"
        raise ValueError(
            f"{found}: of an input beside the picture, such as token ids, pass {convert} and turn "
            "them back in the model's forward(), ids.long()"
        )
    largest = float(tensor.double().max()) if tensor.numel() else 1.0
    if tensor.dtype is torch.uint8:
        largest = 255.0  # though these few may be dark
    raise ValueError(f"{found}, for example {float_remedy(largest, tensor=is_tensor)}")
