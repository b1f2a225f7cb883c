"""Which module's output LiveCAM reads, and what a module gives as maps (B, C, h, w)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from coflect_widget.backends.layers import Layer, Output, choose, deepest_last, maps_among
from coflect_widget.backends.torch.outputs import logits_of

#: Modules whose outputs (B, C, n) have their channels before their places.
_CHANNELS_FIRST = (
    nn.Flatten, nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d,
)  # fmt: skip
#: Modules each of whose outputs' places depends on all places of their input.
_MIXING = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer)


def as_maps(layer: Layer, output: Tensor) -> Tensor:
    """A module's output as (B, C, h, w); of a layer along a series h is 1."""
    if layer.along:
        return output[:, :, None]
    if layer.layout == "channels first":
        return output
    if layer.layout == "channels last":
        return output.permute(0, 3, 1, 2)
    patches = output[:, layer.extra :]  # (B, h * w, C)
    return patches.transpose(1, 2).reshape(len(output), -1, *layer.grid)


def output_tensor(output: Any) -> Tensor | None:
    """The first tensor of a module's output, which may be a tuple or a mapping."""
    if isinstance(output, Tensor):
        return output
    values = list(output.values()) if isinstance(output, dict) else output
    if isinstance(values, list | tuple):
        return next((value for value in values if isinstance(value, Tensor)), None)
    return None


@contextlib.contextmanager
def tapped(model: nn.Module, layer: str, *, apart: bool = False) -> Iterator[list[Tensor]]:
    """Collect the outputs of the module named `layer` within the block.

    They are the tensors that the model goes on with, so that a derivative by them exists. With
    `apart` it goes on with copies, because an in-place ReLU or sum would change them.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> Tensor | None:
        value = output_tensor(output)
        if value is not None:
            outputs.append(value)
        return output.clone() if apart and isinstance(output, Tensor) else None

    handle = model.get_submodule(layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def find_layer(
    model: nn.Module,
    input_shape: Sequence[int],
    name: str | None = None,
    call: Callable[[Tensor], Any] | None = None,
) -> Layer:
    """See `backends.layers.choose`.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, on the CPU.
    input_shape : (C, H, W) or (C, L)
    name : str, optional
        Take this module instead.
    call : callable, optional
        Runs the model on a batch of pictures, where ``model(x)`` does not: it has more inputs.
    """
    layers = _spatial_layers(model, tuple(input_shape), call or model)
    return choose(layers, name, "module", lambda: dict(model.named_modules()))


def _spatial_layers(
    model: nn.Module, input_shape: tuple[int, ...], call: Callable[[Tensor], Any]
) -> list[tuple[Layer, bool]]:
    """Spatial outputs in the order of computing, and whether the output depends on them."""
    generator = torch.Generator().manual_seed(0)
    # A batch of two tells the batch's dimension from others of size 1.
    # float32 as pictures are, whatever type this process makes tensors of by itself
    x = torch.randn((2, *input_shape), generator=generator, dtype=torch.float32).requires_grad_()
    outputs: dict[str, Output] = {}
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
                outputs[name] = _told(name, module, value)

        handles.append(module.register_forward_hook(record))
    try:
        with torch.enable_grad():
            logits = _logits(call(x.clone()), model)
    finally:
        for handle in handles:
            handle.remove()
    found = maps_among(list(outputs.values()), input_shape, {input_shape}, flattens=True)
    if logits is None or not logits.requires_grad or not found:
        return [(layer, False) for layer, _ in found]
    if logits.ndim == 4:
        found = deepest_last(found)
    # A random mixture, because the sum over probabilities has no gradient.
    score = (logits * torch.randn(logits.shape, generator=generator, dtype=logits.dtype)).sum()
    gradients = torch.autograd.grad(score, [output.value for _, output in found], allow_unused=True)
    return [
        (layer, gradient is not None and bool(as_maps(layer, gradient).abs().sum() > 0))
        for (layer, _), gradient in zip(found, gradients, strict=True)
    ]


def _told(name: str, module: nn.Module, value: Tensor) -> Output:
    return Output(
        name,
        value,
        last=isinstance(module, nn.LayerNorm | nn.Linear),
        projection=isinstance(module, nn.Linear),
        row=isinstance(module, _CHANNELS_FIRST) and value.ndim == 3,
        mixes=isinstance(module, _MIXING),
    )


def _logits(output: Any, model: nn.Module) -> Tensor | None:
    try:
        return logits_of(output, model)
    except (TypeError, ValueError):
        return output_tensor(output)
