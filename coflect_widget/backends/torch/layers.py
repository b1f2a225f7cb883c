"""Which module's output LiveCAM reads, and how that output becomes maps (B, C, h, w)."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from coflect_widget.attribution.errors import NoSuitableLayerError
from coflect_widget.attribution.map_shapes import MOST_EXTRA_TOKENS, choose, fits, token_grid
from coflect_widget.backends.torch.outputs import logits_of


@dataclass(frozen=True, slots=True)
class Layer:
    """A module whose output is spatial.

    Attributes
    ----------
    name : str
        As in ``model.named_modules()``.
    layout : {"channels first", "channels last", "tokens"}
        (B, C, h, w), (B, h, w, C) or (B, extra + h * w, C).
    grid : (h, w)
    extra : int
        Tokens before the patches: class, distillation, registers.
    """

    name: str
    layout: Literal["channels first", "channels last", "tokens"]
    grid: tuple[int, int]
    extra: int = 0

    def maps(self, output: Tensor) -> Tensor:
        """The module's output as (B, C, h, w)."""
        if self.layout == "channels first":
            return output
        if self.layout == "channels last":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.extra :]  # (B, h * w, C)
        return patches.transpose(1, 2).reshape(len(output), -1, *self.grid)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.grid[0]} x {self.grid[1]})"


@dataclass(slots=True)
class _Output:
    name: str
    module: nn.Module
    value: Tensor


def output_tensor(output: Any) -> Tensor | None:
    """The first tensor of a module's output, which may be a tuple or a mapping."""
    if isinstance(output, Tensor):
        return output
    values = list(output.values()) if isinstance(output, dict) else output
    if isinstance(values, list | tuple):
        return next((value for value in values if isinstance(value, Tensor)), None)
    return None


def find_layer(
    model: nn.Module,
    input_shape: Sequence[int],
    name: str | None = None,
    call: Callable[[Tensor], Any] | None = None,
) -> Layer:
    """The last module before pooling whose map is at least 7 x 7 and matters for the output.

    A layer without any gradient at its spatial positions is passed over: after the last
    attention block of a model that reads the class token only, the patches lead nowhere. If no
    map is as large as 7 x 7, the largest is taken.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, on the CPU.
    input_shape : (C, H, W)
    name : str, optional
        Take this module instead.
    call : callable, optional
        Runs the model on a batch of pictures, where ``model(x)`` does not: it has more inputs.

    Raises
    ------
    NoSuitableLayerError
        If no output is spatial, or if the named one is not there or not spatial.
    """
    layers = _spatial_layers(model, tuple(input_shape), call or model)
    if name is not None:
        return _named(model, layers, name)
    return choose(layers, "module")


def _named(model: nn.Module, layers: list[tuple[Layer, bool]], name: str) -> Layer:
    for layer, _ in layers:
        if layer.name == name:
            return layer
    candidates = ", ".join(str(layer) for layer, _ in layers) or "none"
    if name in dict(model.named_modules()):
        problem = "its output is not a map of the input"
    else:
        close = difflib.get_close_matches(name, [layer.name for layer, _ in layers], n=1)
        problem = "the model has no such module" + (
            f"; did you mean {close[0]!r}?" if close else ""
        )
    raise NoSuitableLayerError(f"layer={name!r}: {problem}. Candidates are: {candidates}")


def _spatial_layers(
    model: nn.Module, input_shape: tuple[int, ...], call: Callable[[Tensor], Any]
) -> list[tuple[Layer, bool]]:
    """Spatial outputs in the order of computing, and whether the output depends on them."""
    generator = torch.Generator().manual_seed(0)
    # A batch of two tells the batch's dimension from others of size 1.
    # float32 as pictures are, whatever type this process makes tensors of by itself
    x = torch.randn((2, *input_shape), generator=generator, dtype=torch.float32).requires_grad_()
    outputs: dict[str, _Output] = {}
    handles = []
    computed = [m for m in model.modules() if isinstance(m, parametrize.ParametrizationList)]
    of_weights = {inner for each in computed for inner in each.modules()}
    for name, module in model.named_modules():
        if not name or module in of_weights:  # a weight (2, 3, 3, 3) is no map
            continue

        def record(module: nn.Module, _: Any, output: Any, name: str = name) -> None:
            value = output_tensor(output)
            if value is not None and value.requires_grad:
                outputs.pop(name, None)  # of a module called twice the last call counts
                outputs[name] = _Output(name, module, value)

        handles.append(module.register_forward_hook(record))
    try:
        with torch.enable_grad():
            logits = _logits(call(x.clone()), model)
    finally:
        for handle in handles:
            handle.remove()
    found = _layers(list(outputs.values()), input_shape)
    if logits is None or not logits.requires_grad or not found:
        return [(layer, False) for layer, _ in found]
    # A random mixture, because the sum over probabilities has no gradient.
    score = (logits * torch.randn(logits.shape, generator=generator, dtype=logits.dtype)).sum()
    gradients = torch.autograd.grad(score, [output.value for _, output in found], allow_unused=True)
    return [
        (layer, gradient is not None and bool(layer.maps(gradient).abs().sum() > 0))
        for (layer, _), gradient in zip(found, gradients, strict=True)
    ]


def _logits(output: Any, model: nn.Module) -> Tensor | None:
    try:
        return logits_of(output, model)
    except (TypeError, ValueError):
        return output_tensor(output)


def _layers(outputs: list[_Output], input_shape: tuple[int, ...]) -> list[tuple[Layer, _Output]]:
    token_counts = {o.value.shape[1] for o in outputs if o.value.ndim == 3}
    grids: list[tuple[int, int]] = []
    found: list[tuple[Layer, _Output]] = []
    rows: list[Tensor] = []  # (B, C, places), which a container may pass on
    for output in outputs:
        if isinstance(output.module, _CHANNELS_FIRST) and output.value.ndim == 3:
            rows.append(output.value)
        if any(output.value is row for row in rows):
            continue
        layer = _as_layer(output, input_shape, token_counts, grids)
        if layer is None:
            continue
        if layer.layout != "tokens":
            grids.append(layer.grid)
        # A container passes its last child's output on: name the container, once.
        found = [(f, o) for f, o in found if o.value is not output.value]
        found.append((layer, output))
    # Projections inside a block (queries and keys, say) are maps only for want of better.
    blocks = [pair for pair in found if not isinstance(pair[1].module, nn.Linear)]
    return blocks or found


#: Modules whose outputs (B, C, n) have their channels before their places.
_CHANNELS_FIRST = (
    nn.Flatten, nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d,
)  # fmt: skip


def _flattened(shape: tuple[int, ...], grids: list[tuple[int, int]]) -> bool:
    """Whether (B, C, n) is an earlier map (B, C, h, w) with its places in a row."""
    places = [math.prod(grid) for grid in grids]
    tokens = any(0 <= shape[1] - n <= MOST_EXTRA_TOKENS for n in places)
    return shape[2] in places and not tokens


def _as_layer(
    output: _Output,
    input_shape: tuple[int, ...],
    token_counts: set[int],
    grids: list[tuple[int, int]],
) -> Layer | None:
    shape = tuple(output.value.shape)
    channels, height, width = input_shape
    if shape[0] != 2:
        return None
    if len(shape) == 3:
        if _flattened(shape, grids):
            return None  # (B, C, places): its channels are no tokens
        patches = token_grid(shape[1], (height, width), grids)
        return patches and Layer(output.name, "tokens", patches, shape[1] - math.prod(patches))
    if len(shape) != 4 or shape[1:] == (channels, height, width):
        return None  # what has the input's own shape is the input, scaled
    if shape[2] == shape[3] and shape[2] in token_counts:
        return None  # attention weights (B, heads, N, N)
    first = fits(shape[2:4], (height, width))
    last = fits(shape[1:3], (height, width))
    if last and (not first or isinstance(output.module, nn.LayerNorm | nn.Linear)):
        return Layer(output.name, "channels last", (shape[1], shape[2]))
    return Layer(output.name, "channels first", (shape[2], shape[3])) if first else None
