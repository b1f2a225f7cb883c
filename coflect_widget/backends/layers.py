"""Which layer's output can be read as a map of the input, whatever the framework."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coflect_widget.backends.errors import NoSuitableLayerError

#: A map must have at least so many rows and columns to be chosen.
SMALLEST_MAP = 7
#: Class and register tokens that may stand before the patches.
MOST_EXTRA_TOKENS = 5

Layout = Literal["channels first", "channels last", "tokens"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose output is spatial.

    Attributes
    ----------
    name : str
        As the framework has it, from the model down.
    layout : {"channels first", "channels last", "tokens"}
        (B, C, h, w), (B, h, w, C) or (B, extra + h * w, C).
    grid : (h, w)
        (1, w) of a layer along a series, whose output has no axis of rows: (B, C, w) or (B, w, C).
    extra : int
        Tokens before the patches: class, distillation, registers.
    """

    name: str
    layout: Layout
    grid: tuple[int, int]
    extra: int = 0

    @property
    def along(self) -> bool:
        """Whether its output has one axis of places."""
        return self.grid[0] == 1

    def __str__(self) -> str:
        size = f"{self.grid[1]} steps" if self.along else f"{self.grid[0]} x {self.grid[1]}"
        return f"{self.name!r} ({size})"


@dataclass(frozen=True, slots=True)
class Output:
    """What a layer gave for a batch of two.

    Attributes
    ----------
    name : str
    value : tensor (2, ...)
    last : bool
        Whether its channels stand last where its shape leaves that open.
    projection : bool
        Whether it is a linear projection inside a block, such as of queries and keys.
    row : bool
        Whether it is (2, C, places), or with `last` (2, places, C), by its kind: no tokens.
    mixes : bool
        Whether each of its places depends on all of the input, as behind attention.
    """

    name: str
    value: Any
    last: bool = False
    projection: bool = False
    row: bool = False
    mixes: bool = False


def spatial(
    outputs: Sequence[Output],
    size: tuple[int, int],
    own: Collection[tuple[int, ...]],
    *,
    flattens: bool = False,
) -> list[tuple[Layer, Output]]:
    """Those of the outputs, in the order of computing, that are maps of an input.

    Parameters
    ----------
    outputs : sequence of Output
    size : (H, W)
        Of the input.
    own : collection of tuple
        The shapes that are the input itself, scaled.
    flattens : bool
        Whether (2, C, n) may be an earlier map (2, C, h, w) with its places in a row.
    """
    token_counts = {o.value.shape[1] for o in outputs if len(o.value.shape) == 3}
    grids: list[tuple[int, int]] = []
    found: list[tuple[Layer, Output]] = []
    rows: list[Any] = []  # which a container may pass on
    for output in outputs:
        if output.row:
            rows.append(output.value)
        if any(output.value is row for row in rows):
            continue
        shape = tuple(output.value.shape)
        if shape[0] != 2 or shape[1:] in own or (flattens and _flattened(shape, grids)):
            continue
        layer = _as_layer(output, shape, size, token_counts, grids)
        if layer is None:
            continue
        if layer.layout != "tokens":
            grids.append(layer.grid)
        # A container passes its last child's output on: name the container, once.
        found = [(f, o) for f, o in found if o.value is not output.value]
        found.append((layer, output))
    # Projections inside a block are maps only for want of better.
    return [pair for pair in found if not pair[1].projection] or found


def along(outputs: Sequence[Output], length: int) -> list[tuple[Layer, Output]]:
    """Those of the outputs, in the order of computing, that are maps of a series of that length.

    They come from convolutions along it and what keeps their shape. A layer of a recurrent net or a
    transformer is none: its steps know of one another, and a map of them points nowhere.
    """
    found: list[tuple[Layer, Output]] = []
    newest: Output | None = None  # that told where its places are
    for output in outputs:
        if output.mixes:
            break
        shape = tuple(output.value.shape)
        if output.row and len(shape) == 3:
            newest = output
        elif newest is None or shape != tuple(newest.value.shape):
            continue
        places = shape[1] if newest.last else shape[2]
        if not 2 <= places <= length:
            continue
        layout: Layout = "channels last" if newest.last else "channels first"
        # A container passes its last child's output on: name the container, once.
        found = [(f, o) for f, o in found if o.value is not output.value]
        found.append((Layer(output.name, layout, (1, places)), output))
    return found


def maps_among(
    outputs: Sequence[Output],
    input_shape: tuple[int, ...],
    own: Collection[tuple[int, ...]],
    *,
    flattens: bool = False,
) -> list[tuple[Layer, Output]]:
    """Those that are maps of inputs (C, H, W), by `spatial`, or of (C, L), by `along`."""
    _, *places = input_shape
    if len(places) == 1:
        return along(outputs, places[0])
    return spatial(outputs, (places[0], places[1]), own, flattens=flattens)


def deepest_last(found: list[tuple[Layer, Output]]) -> list[tuple[Layer, Output]]:
    """Layers of a model with outputs for each place, for `choose` to take the deepest.

    Near such outputs a map shows the place that is explained and nothing else: what a place hangs
    on beside itself is seen where the grid is smallest and the channels are most, as Seg-Grad-CAM
    has it (K. Vinogradova et al., AAAI 2020).
    """

    def depth(pair: tuple[Layer, Output]) -> tuple[int, int]:
        places = math.prod(pair[0].grid)
        return -places, math.prod(pair[1].value.shape[1:]) // places

    return sorted(found, key=depth)


def _flattened(shape: tuple[int, ...], grids: list[tuple[int, int]]) -> bool:
    """Whether (B, C, n) is an earlier map (B, C, h, w) with its places in a row."""
    if len(shape) != 3:
        return False
    places = [math.prod(grid) for grid in grids]
    tokens = any(0 <= shape[1] - n <= MOST_EXTRA_TOKENS for n in places)
    return shape[2] in places and not tokens


def _as_layer(
    output: Output,
    shape: tuple[int, ...],
    size: tuple[int, int],
    token_counts: set[int],
    grids: list[tuple[int, int]],
) -> Layer | None:
    if len(shape) == 3:
        patches = token_grid(shape[1], size, grids)
        return patches and Layer(output.name, "tokens", patches, shape[1] - math.prod(patches))
    if len(shape) != 4:
        return None
    if shape[2] == shape[3] and shape[2] in token_counts:
        return None  # attention weights (B, heads, N, N)
    first, last = fits(shape[2:4], size), fits(shape[1:3], size)
    if last and (not first or output.last):
        return Layer(output.name, "channels last", (shape[1], shape[2]))
    return Layer(output.name, "channels first", (shape[2], shape[3])) if first else None


def choose(
    layers: Sequence[tuple[Layer, bool]],
    name: str | None,
    kind: str,
    known: Callable[[], Collection[str]],
) -> Layer:
    """The named layer, or the last one before pooling that is large enough and matters.

    A layer without any gradient at its spatial positions is passed over: after the last
    attention block of a model that reads the class token only, the patches lead nowhere. Where
    no map is as large as `SMALLEST_MAP`, the largest is taken.

    Parameters
    ----------
    layers : sequence of (Layer, matters)
        In the order of computing.
    name : str or None
        Take this one: its path of names, or its last name where that is unique.
    kind : {"module", "layer"}
        What the framework calls them.
    known : callable
        Names of all that the model has.

    Raises
    ------
    NoSuitableLayerError
        If there is none, or if the named one is not there or not spatial.
    """
    if name is not None:
        return _named([layer for layer, _ in layers], name, kind, known)
    useful = [layer for layer, matters in layers if matters] or [layer for layer, _ in layers]
    if not useful:
        raise NoSuitableLayerError(
            f"no {kind} of the model gives a map of at least 2 x 2, so LiveCAM has nothing to "
            'read; set config["attribution"]["method"] = "smoothgrad", which needs none'
        )
    large = [layer for layer in useful if min(layer.grid[layer.along :]) >= SMALLEST_MAP]
    if large:
        return large[-1]
    most = max(math.prod(layer.grid) for layer in useful)
    return [layer for layer in useful if math.prod(layer.grid) == most][-1]


def _named(
    layers: list[Layer], name: str, kind: str, known: Callable[[], Collection[str]]
) -> Layer:
    same = [layer for layer in layers if name in (layer.name, layer.name.rpartition("/")[2])]
    if len(same) == 1 or (same and same[0].name == name):
        return same[0]
    candidates = ", ".join(str(layer) for layer in layers) or "none"
    names = known()
    if len(same) > 1:
        problem = f"{len(same)} layers have this name; give the whole path"
    elif name in names or any(path.endswith("/" + name) for path in names):
        problem = "its output is not a map of the input"
    else:
        close = difflib.get_close_matches(name, [layer.name for layer in layers], n=1)
        problem = f"the model has no such {kind}" + (
            f"; did you mean {close[0]!r}?" if close else ""
        )
    raise NoSuitableLayerError(f"layer={name!r}: {problem}. Candidates are: {candidates}")


def fits(grid: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether (h, w) can be a reduced (H, W): smaller, with the same sides up to rounding."""
    (h, w), (height, width) = grid, size
    if not (2 <= h <= height and 2 <= w <= width):
        return False
    return abs(h / height - w / width) <= 1 / height + 1 / width


def token_grid(
    tokens: int, size: tuple[int, int], grids: list[tuple[int, int]]
) -> tuple[int, int] | None:
    """Rows and columns of a row of tokens, or None where they form no grid.

    `grids` are those that earlier layers of the model had.
    """
    for grid in reversed(grids):  # the patch embedding has told already
        if 0 <= tokens - math.prod(grid) <= MOST_EXTRA_TOKENS:
            return grid
    for extra in (0, 1, 2):
        patches = tokens - extra
        rows = round(math.sqrt(max(patches, 0) * size[0] / size[1]))
        if rows >= 2 and patches % rows == 0 and fits((rows, patches // rows), size):
            return (rows, patches // rows)
    return None
