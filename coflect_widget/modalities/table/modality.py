"""Rows of a table as a kind of input."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Corners,
    Map,
    Modality,
    Region,
    Rendering,
    is_flat,
)
from coflect_widget.modalities.table import frames, regions
from coflect_widget.modalities.table.features import Feature, listed, make_features
from coflect_widget.modalities.table.ranges import Ranges, check_cells, measured
from coflect_widget.modalities.table.regions import Features
from coflect_widget.modalities.units import Units

#: Values of a column lie in so many standard deviations, as far as noise is concerned.
_WIDE = 4
#: Values of a row are drawn from black to white between these where no range is known.
_DRAWN = (-3.0, 3.0)


class Table(Units):
    """Rows (F,) of a table; a feature is a column, or several that are one-hot.

    Parameters
    ----------
    columns : sequence of str, optional
        Names of the columns; a DataFrame has its own, and others are called "0", "1", ...
    groups : mapping, optional
        Name of a feature to its one-hot columns, by name or by number, such as
        ``{"region": ["region_north", "region_south"]}``.
    codes : mapping, optional
        Name or number of a column that holds numbers of categories to their names, such as
        ``{"education": ["school", "college"]}``; for models that look them up in an embedding.
    mean, std : sequence of float, optional
        What was taken from the columns, and what they were divided by then, one for each column:
        a screen shows values as they were before.

    Raises
    ------
    ValueError
        If names are there twice or unknown, or lengths differ.

    Examples
    --------
    >>> table = Table(["age", "sex", "region_north", "region_south"],
    ...               groups={"region": ["region_north", "region_south"]})
    >>> table.names
    ('age', 'sex', 'region')
    >>> table.mask(table.region("region", "ignore"), (4,)).tolist()
    [False, False, True, True]
    """

    name = "table"
    noun, nouns = "row", "rows"
    methods = ("smoothgrad", "shapley")

    def __init__(
        self,
        columns: Sequence[Any] = (),
        *,
        groups: Mapping[str, Sequence[Any]] | None = None,
        codes: Mapping[Any, Sequence[Any]] | None = None,
        mean: Sequence[float] | NDArray[Any] | None = None,
        std: Sequence[float] | NDArray[Any] | None = None,
    ) -> None:
        if isinstance(columns, str):
            raise ValueError(f"columns={columns!r}: give a name for each column, in a list")
        self._groups, self._codes = dict(groups or {}), dict(codes or {})
        self._mean, self._std = _row(mean, "mean"), _row(std, "std")
        if self._std is not None and not (self._std > 0).all():
            raise ValueError("std= must be above 0; give 1 for a column that was not divided")
        self.columns: tuple[str, ...] = ()
        self.features: tuple[Feature, ...] = ()
        self.ranges: Ranges | None = None
        self._nameless = False
        self._whole: Map | None = None
        self.examples: tuple[str, ...] = ("ignore feature 2", "focus feature 0 and feature 1")
        if len(columns):
            self._take(tuple(str(name) for name in columns))

    @classmethod
    def of(cls, frame: Any, *, codes: Mapping[str, Sequence[Any]] | None = None) -> Table:
        """What a DataFrame is taken for; `columns` are the inputs of its model.

        Raises
        ------
        ValueError
            If it cannot be trained on.
        """
        if not frames.is_frame(frame):
            raise ValueError(f"frame={type(frame).__name__}: expected a DataFrame of pandas")
        return cls(codes=codes).unpacked(frame, "frame")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(feature.name for feature in self.features)

    def _take(self, columns: tuple[str, ...], features: tuple[Feature, ...] | None = None) -> None:
        """Know the columns."""
        if features is None:
            features = make_features(columns, self._groups, self._codes)
        self.columns, self.features = columns, features
        for what, given in (("mean", self._mean), ("std", self._std)):
            if given is not None and len(given) != len(columns):
                raise ValueError(
                    f"{what}= has {len(given)} values for {len(columns)} columns; give one each"
                )
        if any(feature.one_hot for feature in self.features):
            self._whole = np.zeros((len(columns), len(columns)), np.float32)
            for feature in self.features:
                self._whole[np.ix_(feature.columns, feature.columns)] = 1
        first, last = self.names[0], self.names[-1]
        both = regions.spelled([first, last])
        self.examples = (f"ignore {regions.spelled([last])}", f"focus {both}", f"ignore {both}")
        # a column may be called as a word that instructions take for another
        words = " ".join((*columns, *self.names)).casefold().replace("_", " ").replace("-", " ")
        self.synonyms: Mapping[str, str] = {word: word for word in words.split()}

    # --- what a sample is ----------------------------------------------------------------------

    def recognises(self, x: Any) -> bool:
        """A DataFrame, or one axis of floating point that are not all whole numbers, as ids are."""
        if frames.is_frame(x):
            return True
        if len(x.shape) != 1 or x.shape[0] < 2:
            return False
        values = np.asarray(x)
        if values.dtype.kind != "f":
            return False
        ids = (values == np.round(values)).all() and values.min() >= 0 and values.max() > 1
        return not bool(ids)

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        shape = tuple(x.shape)
        if len(shape) != 1 or not shape[0]:
            raise ValueError(
                f"{argument} has inputs of shape {shape}; give rows of a table, (N, F), for "
                "example inputs.reshape(len(inputs), -1)"
            )
        if self.columns and shape[0] != len(self.columns):
            raise ValueError(
                f"{argument} has rows of {shape[0]} columns, and the table has "
                f"{len(self.columns)}: {listed(self.columns)}; give as many"
            )

    def unpacked(self, inputs: Any, argument: str) -> tuple[Table, Any]:
        """A DataFrame's features, and its cells as float32; other whole numbers as float32."""
        if not frames.is_frame(inputs):
            kind = getattr(getattr(inputs, "dtype", None), "kind", "")
            return self, inputs.astype(np.float32) if kind in ("i", "u", "b") else inputs
        if not len(inputs) or not len(inputs.columns):
            raise ValueError(
                f"{argument} is a DataFrame of shape {inputs.shape}; it needs a row and a column"
            )
        if self._nameless:
            raise ValueError(
                f"{argument} is a DataFrame, and the columns of train_data have no names; give "
                "both as DataFrames, or both as arrays, frame.to_numpy(dtype='float32')"
            )
        table = self
        if not self.columns:
            if self._groups:
                table = self._copy(tuple(str(name) for name in inputs.columns))
            else:
                table = self._copy(*frames.features_of(inputs, argument, self._codes))
        return table, frames.cells(inputs, argument, table.columns, table.features)

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Table:
        """With names and ranges of the columns; validation data are looked through alone."""
        rows = inputs if isinstance(inputs, np.ndarray) else np.stack(list(inputs))
        table = self
        if not self.columns:
            table = self._copy(tuple(str(k) for k in range(rows.shape[1])))
            table._nameless = True
        check_cells(rows, table.features, argument, numbers)
        if table.ranges is None:
            table = table._copy(table.columns, table.features)
            table.ranges = measured(rows, complete=numbers is None)
        return table

    def _copy(self, columns: tuple[str, ...], features: tuple[Feature, ...] | None = None) -> Table:
        other = copy.copy(self)
        other._take(columns, features)
        return other

    def assumed(self, x: Array) -> str:
        """Names that nobody gave, and columns that say nothing."""
        said = []
        if self._nameless:
            said.append(
                f"Inputs are taken for rows of a table, whose columns are called 0 to {len(x) - 1};"
                " inputs=coflect.Table([...]) names them. Series of one channel need an axis for "
                "it, inputs[:, None]."
            )
        same = self.ranges.constant(self.features) if self.ranges and self.ranges.complete else []
        if same:
            said.append(
                f"The same value stands in every row of the training data in {listed(same)}: the "
                "model can learn nothing of it; leave it out."
            )
        return " ".join(said)

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """Features by name or by number, one or several; or a boolean mask (F,) of columns."""
        return regions.parse(value, argument, self.features, extent[0] if extent else None)

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """All that is given is one region."""
        if value is None or (isinstance(value, list | tuple) and not value):
            return ()
        if isinstance(value, list) and not all(
            isinstance(v, str | int | np.integer) for v in value
        ):
            return super().regions(value, argument, extent)
        return (self.region(value, argument, extent),)

    def read(self, words: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """Features joined by "and", by name or by number."""
        if bare:
            return "there is no such instruction"
        found = regions.read(words, self.features, self.columns)
        return found if isinstance(found, str) else (found[0], (found[1],))

    def describe(self, regions_: Sequence[Region]) -> str:
        """Names of the features."""
        marked = cast("Sequence[Features]", regions_)
        return regions.spelled([name for region in marked for name in region.names])

    # --- masks ---------------------------------------------------------------------------------

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """All columns of the features."""
        found = np.zeros(extent, np.bool_)
        names = cast("Features", region).names
        for feature in self.features:
            if feature.name in names:
                found[list(feature.columns)] = True
        if not self.features:
            found[[int(name) for name in names]] = True
        return found

    def overlap(self, one: Region, other: Region) -> bool:
        """Whether they share a feature."""
        names = cast("Features", one).names, cast("Features", other).names
        return bool(set(names[0]) & set(names[1]))

    def exchange(self, mask: Any, x: Any, other: Any) -> Any:
        """See `Modality.exchange`; one-hot columns go together, or a row would be of no kind."""
        if self._whole is not None:
            xp = compat.array_namespace(mask)
            whole = xp.asarray(self._whole, device=compat.device(mask))
            mask = xp.matmul(xp.astype(mask, xp.float32), whole) > 0
        return super().exchange(mask, x, other)

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """As many other features, at random; any where there are not so many others."""
        del x
        marked = self._by_feature(mask[None])[0]
        count = int(marked.sum())
        others = np.flatnonzero(~marked)
        if len(others) < count:
            others = np.arange(len(marked))
        drawn = np.zeros_like(marked)
        drawn[rng.choice(others, count, replace=False)] = True
        found: BoolArray = self._by_column(drawn[None], len(mask))[0]
        return found

    def marked_by(self, mask: BoolArray) -> tuple[Region, ...]:
        """Their features."""
        return (self.region(mask, "region", mask.shape),)

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """By whole features, round the end of the row."""
        return super().moves((len(self.features) or extent[0],), count, rng)

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """See `Modality.moved`."""
        shifted = super().moved(self._by_feature(masks), inputs, by)
        return self._by_column(shifted, masks.shape[1])

    def _by_feature(self, masks: BoolArray) -> BoolArray:
        """Masks (B, F) of columns as masks (B, features)."""
        if not self.features:
            return masks
        return np.stack([masks[:, list(f.columns)].any(1) for f in self.features], 1)

    def _by_column(self, masks: BoolArray, count: int) -> BoolArray:
        """Masks (B, features) as masks (B, F) of columns."""
        if not self.features:
            return masks
        found = np.zeros((len(masks), count), np.bool_)
        for k, feature in enumerate(self.features):
            found[:, list(feature.columns)] = masks[:, k : k + 1]
        return found

    def baseline(self, x: Array) -> Array:
        """The mean of each column."""
        return np.zeros_like(x) if self.ranges is None else self.ranges.mean.astype(x.dtype)

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """Gaussian noise, by the range of each column."""
        if self.ranges is None:
            return super().jitter(inputs, share, rng)
        noise = rng.standard_normal(inputs.shape, dtype=np.float32)
        changed: Array = inputs + (self.ranges.high - self.ranges.low) * share * noise
        return changed

    # --- maps ----------------------------------------------------------------------------------

    def spread(self, x: Array, share: float) -> Any:
        """By what each column varies, (F,), so that units of measurement do not matter."""
        if self.ranges is None:
            return super().spread(x, share)
        return share * _WIDE * self.ranges.scale

    def to_units(self, values: Any, inputs: Any) -> Any:
        """Magnitudes times what each column varies; a one-hot feature's is shared by its columns.

        The root of the sum of squares is what the feature as a whole moves the output by.
        """
        del inputs
        xp = compat.array_namespace(values)
        if self.ranges is not None:
            scale = xp.asarray(self.ranges.scale, device=compat.device(values))
            values = values * xp.astype(scale, values.dtype)
        if self._whole is not None:
            size = self._whole.sum(1, keepdims=True)
            share = xp.asarray(self._whole / size**2, device=compat.device(values))
            values = xp.sqrt(xp.matmul(values * values, xp.astype(share, values.dtype)))
        return values

    def focus(self, values: Map) -> Corners | None:
        """Round the columns of the strongest feature."""
        if is_flat(values):
            return None
        if not self.features:
            return super().focus(values)
        best = max(self.features, key=lambda feature: float(values[list(feature.columns)].sum()))
        low, high = min(best.columns), max(best.columns) + 1
        return (low / len(values), high / len(values))

    def heaviest(self, values: Map) -> Region | None:
        """The feature whose columns hold most."""
        if is_flat(values):
            return None
        each = self.features or [Feature(str(k), (k,)) for k in range(len(values))]
        best = max(each, key=lambda feature: float(values[list(feature.columns)].sum()))
        return self.region(best.name, "region")

    # --- the screen ----------------------------------------------------------------------------

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """A strip (1, F) of gray: where each value lies in its column's range."""
        del display
        low, high = _DRAWN
        at = (x.clip(low, high) - low) / (high - low) if self.ranges is None else self.ranges.at(x)
        gray = (np.nan_to_num(at) * 255).round().astype(np.uint8)
        return Rendering(np.repeat(gray[None, :, None], 3, 2))

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """A line for each feature: its name, its value, where that lies, and its columns."""
        del display
        at = None if self.ranges is None else self.ranges.at(x)
        shown = np.asarray(x, np.float64)
        shown = shown if self._std is None else shown * self._std
        shown = shown if self._mean is None else shown + self._mean
        features = self.features or [Feature(str(k), (k,)) for k in range(len(x))]
        lines = [
            {
                "name": feature.name,
                "text": _text(feature, shown[list(feature.columns)]),
                "at": None
                if at is None or feature.categories
                else round(float(at[feature.columns[0]]), 4),
                "units": list(feature.columns),
            }
            for feature in features
        ]
        return {"kind": "table", "rows": lines}


def _text(feature: Feature, values: NDArray[np.float64]) -> str:
    """A value as a person reads it."""
    if feature.one_hot:
        best = int(np.argmax(values))
        return feature.categories[best] if values[best] > 0.5 else "none"
    value = float(values[0])
    if feature.coded and value == round(value) and 0 <= value < len(feature.categories):
        return feature.categories[int(value)]
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _row(values: Any, argument: str) -> NDArray[np.float64] | None:
    if values is None:
        return None
    row = np.asarray(values, np.float64)
    if row.ndim != 1 or not np.isfinite(row).all():
        raise ValueError(f"{argument}= must be one finite number for each column, (F,)")
    return row


#: What inputs without names are taken for.
TABLE: Modality = Table()
