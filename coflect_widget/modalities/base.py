"""What an input is: one small protocol for each kind, such as pictures.

A sample's input `x` is one array. Its *extent* is what a person can mark on it and what a map has
a value for, unit by unit: (H, W) of a picture (C, H, W), (L,) of a text (L,). A *mask* is a boolean
array of the extent. Where this file says B and E: rows of a batch, and the axes of the extent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig

Array = NDArray[Any]
Map = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
#: A map is flat if its range is below this share of its largest magnitude.
_FLAT = 1e-6
#: A box in an extent, in fractions of its axes: the low corner and then the high one, each with
#: the last axis first, as x stands before y.
Corners = tuple[float, ...]
#: What can be told from a sample's values wherever it is, such as the ids of a word.
Pattern = Any


class Region(Protocol):
    """What a person has marked; immutable, and equal where it marks the same."""

    def to_json(self) -> dict[str, Any]:
        """What `Modality.region` reads again."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a screen shows of one sample.

    Attributes
    ----------
    picture : ndarray (h, w, 3) of uint8
        RGB. A map of one axis lies along its columns, one of two axes all over it.
    thumbnail : bytes or None
        A small PNG for lists; None where the picture, made smaller, is one.
    content : mapping or None
        What `Modality.content` says, once somebody has asked; `Modality.render` leaves it None.
    """

    picture: NDArray[np.uint8]
    thumbnail: bytes | None = None
    content: Mapping[str, Any] | None = None


class Member(Protocol):
    """One part of a sample that has several; see `modalities.parts.Part`."""

    @property
    def name(self) -> str:
        """What the model's arguments, or the data, call it."""

    @property
    def modality(self) -> Modality:
        """Its kind."""

    @property
    def start(self) -> int:
        """Where its numbers begin in the sample's row (T,)."""

    @property
    def stop(self) -> int:
        """Where they end."""

    @property
    def extent(self) -> tuple[int, ...]:
        """Lengths of the axes of a mask of it."""

    def of(self, rows: Any) -> Any:
        """The part (..., *shape) of rows (..., T)."""

    def units(self, values: Any) -> Any:
        """Its map or mask (..., E) of those of samples (..., U)."""


class Modality(Protocol):
    """One kind of input.

    `units.Units` has what most kinds share; a kind inherits from it and says the rest. An object
    is sent to worker processes, so it can be pickled and holds no data.

    Attributes
    ----------
    name : str
        One word, such as "image": ``Session(..., inputs=name)``.
    noun, nouns : str
        What one of them and several are called in sentences, such as "picture" and "pictures".
    axes : int
        How many axes the extent has.
    methods : tuple of str
        Maps that a person may ask for, the default first.
    layers : bool
        Whether a layer's output can be a map of it: a class-activation map.
    whole : bool
        Whether inputs are whole numbers, which a model looks up: they enter it through an
        embedding, and maps and gradients are by what that gives.
    lays_out : bool
        Whether `unpacked` makes something else of each sample's input, in which it is kept here:
        the model gets the inputs as they came.
    reach : tuple of float
        How far past a mark an exchange may go along each axis of the extent, because a hand is not
        exact: at most this share of the longest axis, 0 where neighbours have nothing to do with
        each other or a mark is exact.
    examples : tuple of str
        Instructions that name regions, such as "ignore borders".
    synonyms : mapping of str to str
        Words of an instruction that mean the same as another.
    fillers : frozenset of str
        Words of an instruction that mean nothing.
    members : sequence of Member
        The parts of a sample that has several inputs; () for all other kinds.
    donors : ndarray (n, ...) or None
        Where there are members: a few samples that parts are taken from, to measure their shares.
    by_exchange : bool
        Whether marks are taught by exchange alone, because no gradient reaches all inputs.
    """

    name: str
    noun: str
    nouns: str
    axes: int
    methods: tuple[str, ...]
    layers: bool
    whole: bool
    lays_out: bool
    reach: tuple[float, ...]
    examples: tuple[str, ...]
    synonyms: Mapping[str, str]
    fillers: frozenset[str]
    donors: Array | None
    by_exchange: bool

    @property
    def members(self) -> Sequence[Member]:
        """See above."""

    # --- what a sample is ----------------------------------------------------------------------

    def recognises(self, x: Any) -> bool:
        """Whether one sample's input is of this kind, as far as type and shape tell."""

    def check(self, x: Any, argument: str) -> None:
        """Look at one sample's input, an array in numpy, of the type it was given in.

        Raises
        ------
        ValueError
            If it cannot be of this kind; the message names `argument` and says what to do.
        """

    def unpacked(self, inputs: Any, argument: str) -> tuple[Modality, Any]:
        """All inputs as one array, where they come in what is none, such as a DataFrame.

        The kind that is given back knows what such a thing says of them.

        Raises
        ------
        ValueError
            If they cannot be of this kind; the message names `argument` and says what to do.
        """

    def as_given(self, inputs: Any) -> Any:
        """A batch (B, ...) as the model takes it: the way back of `unpacked` where `lays_out`."""

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Modality:
        """The kind with what some samples' inputs tell of the data; mostly itself.

        Parameters
        ----------
        inputs : ndarray (N, ...) or iterable of ndarray (...)
            Of all samples, or of some. Those of the training data come first.
        numbers : sequence of int, optional
            Which samples they are; all of them if left out.

        Raises
        ------
        ValueError
            If one of them cannot be used; the message names `argument` and the sample.
        """

    def filled(self, x: Any, length: int) -> Any:
        """Inputs (..., L), of numpy or a framework, filled up to `length` at the end of each.

        Longer ones are as they are; None where inputs of a kind have one shape.
        """

    def numbered(self, count: int) -> Modality:
        """The same kind, told that whole numbers go from 0 to `count` - 1.

        Raises
        ------
        ValueError
            If that does not fit what is known of them.
        """

    def assumed(self, x: Array) -> str:
        """What is taken for granted of one sample's input and could be wrong; mostly nothing."""

    def extent(self, x: Any) -> tuple[int, ...]:
        """Lengths of the axes of which a mask of `x` is an array."""

    def without_layers(self) -> Modality | None:
        """The same kind for a model of which no layer's output can be a map of the input.

        None where a person has to say what then, as with pictures.
        """

    def told_by_layers(self, masks: BoolArray) -> bool:
        """Whether a layer's map can tell what masks (n, E) hold from what they do not."""

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """One region, from what a person gives or from its JSON form.

        Parameters
        ----------
        argument : str
            What messages call it.
        extent : tuple of int, optional
            What it must fit.

        Raises
        ------
        ValueError
            If it is none; the message names argument, value and remedy.
        """

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """One region or a list of them; None and an empty list give ``()``.

        Raises
        ------
        ValueError
            As `region`, with the position in the list as part of the argument's name.
        """

    def read(self, words: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """Regions named in an instruction, with their words in one spelling.

        Parameters
        ----------
        words : str
            In small letters and single spaces, synonyms replaced and fillers left out.
        bare : bool
            Whether no verb stands before them.

        Returns
        -------
        (str, tuple of Region) or str
            A string alone says why they name none.
        """

    def describe(self, regions: Sequence[Region]) -> str:
        """Regions in words, such as "a box (7 % of the picture, lower right)"."""

    # --- masks ---------------------------------------------------------------------------------

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """The units (E) that belong to a region; at least one.

        None where that depends on a sample's values: see `mask_in`.
        """

    def mask_in(self, region: Region, x: Array) -> BoolArray:
        """The units (E) of one sample's input that belong to a region; maybe none."""

    def rest(self, masks: BoolArray) -> BoolArray:
        """All that is not marked in masks (n, E), where what is marked shall decide."""

    def overlap(self, one: Region, other: Region) -> bool:
        """Whether two regions share a unit."""

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """Places (E) of other samples at which what is marked in one may be; maybe none."""

    def pattern(self, region: Region, x: Array | None) -> Pattern | None:
        """What is marked, by its values and not by its place; None where the place is meant.

        Parameters
        ----------
        x : ndarray or None
            The sample that it was marked in, where there is one.
        """

    def occurrences(self, pattern: Pattern, x: Any) -> Any:
        """The units (B, E) of rows (B, ...), of numpy or a framework, at which a pattern is."""

    def laid_out(self, other: Any, x: Any) -> Any:
        """Rows `other` laid out as `x` (B, ...), where samples have lengths of their own."""

    def exchange(self, mask: Any, x: Any, other: Any) -> Any:
        """Rows with what is marked taken from others: of the exchange, deletion, pull, placebo.

        Parameters
        ----------
        mask : array (B, E) of bool
        x, other : array (B, ...), of numpy or a framework
            `other` may have length 1 where `x` is longer.

        Returns
        -------
        array, as `x`
        """

    def put(self, masks: BoolArray, inputs: Array, donors: Array) -> Array:
        """Inputs (B, ...) with what is marked, (B, E), in each one's donor (B, ...).

        Where samples have lengths of their own it may come to lie at another place.
        """

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """A mask (E) of the same shape at another place of `x`, drawn at random."""

    def marked_by(self, mask: BoolArray) -> tuple[Region, ...]:
        """Regions that together mark the units of a mask (E), at least one of which is set."""

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """At most `count` ways (n, ...) to move a mask, all different, none to where it is."""

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """Masks (B, E) of `inputs` (B, ...) after one of `moves`."""

    def baseline(self, x: Array) -> Array:
        """What stands for "nothing there" in `x`, an array that broadcasts with it."""

    def blank(self, shape: Sequence[int]) -> Array:
        """An input of that shape that a model can run on, whatever it shows."""

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """Inputs (B, ...) changed a little: by `share` of the range of their values."""

    # --- maps ----------------------------------------------------------------------------------

    def spread(self, x: Array, share: float) -> Any:
        """Standard deviation of SmoothGrad's noise on `x`: `share` of what its values vary by.

        A float, or float32 that broadcasts with `x`.
        """

    def parts(self, method: str) -> tuple[str, ...]:
        """Methods of an explainer whose maps are needed for `method`: two that are compared.

        The first is a class-activation map; a kind without one names a gradient method alone.
        """

    def to_units(self, values: Any, inputs: Any) -> Any:
        """Magnitudes (B, ...) at the inputs (B, ...), of numpy or a framework, as maps (B, E)."""

    def smooth(self, values: Map) -> Map:
        """A map (E) without its grain."""

    def focus(self, values: Map) -> Corners | None:
        """A box round the strongest connected region of a map (E); None for a flat one."""

    def heaviest(self, values: Map) -> Region | None:
        """The small region of a usual size that holds most of a map (E); None for a flat one."""

    def narrower(self, values: Map, region: Region) -> Region | None:
        """The smaller part of what `heaviest` gave that holds most; None where it has none."""

    def beside(self, region: Region, extent: tuple[int, ...], share: float) -> list[Region]:
        """What `heaviest` gave, moved by `share` of its sides each way, as far as there is room."""

    # --- the same in other samples ---------------------------------------------------------------

    def template(self, x: Array, region: Region, others: Array) -> Any:
        """What `region` marks in `x`, to be looked for by `find`; it can be pickled.

        Parameters
        ----------
        others : ndarray (n, ...)
            Some other samples; they tell how different places usually are.

        Raises
        ------
        ValueError
            If it cannot be looked for; the message says why.
        """

    def find(self, inputs: Array, template: Any) -> tuple[Map, Map, BoolArray]:
        """The best place for a template in each of `inputs` (n, ...); called in a worker.

        Returns
        -------
        score (n,), corners of a box (n, 2 x axes), and whether it looks the same (n,)
            `region` reads ``{"box": corners}`` where boxes are found.
        """

    def wanders(self, readings: Sequence[Array]) -> str:
        """Why a place means little in a sample that was read several times: it lies elsewhere.

        Words that follow "... each time it is read from train_data,", "" where it stays.
        """

    # --- the screen ----------------------------------------------------------------------------

    def fit_display(
        self, display: DisplayConfig, x: Array, probes: Sequence[Array]
    ) -> tuple[DisplayConfig, str]:
        """Settings of the screen, checked and with what was found out; and what to say of that.

        Parameters
        ----------
        x : ndarray
            The first sample's input.
        probes : sequence of ndarray

        Raises
        ------
        ValueError
            If a setting does not fit the inputs.
        """

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """What a screen shows of one sample."""

    def on_picture(self, values: Array) -> Array:
        """What of a map or mask (E) lies on the picture of `render`; mostly all of it."""

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """What the browser draws in place of a picture, as JSON; None where the picture is all."""


def over(mask: Any, x: Any) -> Any:
    """A mask (B, E), or (B,), with axes of length 1 where `x` (B, ..., E) has its others."""
    axes = mask.ndim - 1
    return mask.reshape(mask.shape[0], *[1] * (x.ndim - 1 - axes), *mask.shape[1:])


def is_flat(values: NDArray[np.floating]) -> bool:
    """Whether a map says the same everywhere."""
    return bool(np.ptp(values) <= _FLAT * np.abs(values).max(initial=0.0))
