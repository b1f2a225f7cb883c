"""The linear layer at the end of a torch model: found by what it gives, and taken out of its way.

That a layer is the last one is seen and not guessed: its output is the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.backends.last_layer import Linear
from coflect_widget.backends.torch.modes import evaluating

_BATCH = 128


class TorchLastLayer:
    """`backends.last_layer.LastLayer` for PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
    forward : callable (inputs) -> Tensor (B, C)
        Runs the model on a batch that is on its device.
    as_batch : callable (ndarray (n, ...)) -> inputs
        Puts inputs there.
    probe : ndarray (n, ...)
        Some inputs, by which the layer is found.

    Raises
    ------
    ValueError
        If no linear layer gives the logits, or its weights are not its own.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[Any], Tensor],
        as_batch: Callable[[NDArray[Any]], Any],
        probe: NDArray[Any],
    ) -> None:
        self._model = model
        self._forward = forward
        self._as_batch = as_batch
        self.name, self._layer = self._found(probe)

    def features(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """See `backends.last_layer.LastLayer`."""
        given: list[Tensor] = []

        def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            given[:] = [arguments[0].detach()]

        parts = []
        handle = self._layer.register_forward_pre_hook(keep)
        try:
            with evaluating(self._model):
                for start in range(0, len(inputs), _BATCH):
                    self._forward(self._as_batch(inputs[start : start + _BATCH]))
                    parts.append(given[0].float().cpu().numpy())
        finally:
            handle.remove()
        return np.concatenate(parts)

    def weights(self) -> Linear:
        """See `backends.last_layer.LastLayer`."""
        bias = self._layer.bias
        weight = self._layer.weight.detach().float().cpu().numpy().copy()
        return Linear(weight, None if bias is None else bias.detach().float().cpu().numpy().copy())

    def put(self, weights: Linear) -> None:
        """See `backends.last_layer.LastLayer`."""
        with torch.no_grad():
            self._layer.weight.copy_(torch.from_numpy(weights.weight))
            if weights.bias is not None:
                self._layer.bias.copy_(torch.from_numpy(weights.bias))

    def _found(self, probe: NDArray[Any]) -> tuple[str, nn.Linear]:
        gave: dict[str, Tensor] = {}
        layers = {n: m for n, m in self._model.named_modules() if isinstance(m, nn.Linear)}
        handles = []

        def keeper(name: str) -> Callable[..., None]:
            return lambda _module, _arguments, output: gave.__setitem__(name, output.detach())

        try:
            handles = [m.register_forward_hook(keeper(name)) for name, m in layers.items()]
            with evaluating(self._model):
                logits = self._forward(self._as_batch(probe))
        finally:
            for handle in handles:
                handle.remove()
        for name, output in reversed(gave.items()):
            if output.ndim == 2 and output.shape == logits.shape and torch.equal(output, logits):
                self._check(name, layers[name])
                return name, layers[name]
        raise ValueError(
            "no linear layer of the model gives its logits, so there is no last layer to fit "
            "again; session.feedback(..., ignore=...) marks what is to be ignored instead"
        )

    def _check(self, name: str, layer: nn.Linear) -> None:
        """Refuse weights that something else makes, or uses too: they cannot be written here."""
        instead = (
            "so they cannot be fitted again; session.feedback(..., ignore=...) marks what is to be "
            "ignored instead"
        )
        if any(part not in layer._parameters for part in ("weight", "bias")):
            raise ValueError(
                f"the weights of the last layer, {name!r}, are computed from other parameters, as "
                f"by weight_norm, spectral_norm or pruning, {instead}"
            )
        own = {id(one) for one in layer._parameters.values() if one is not None}
        for other, module in self._model.named_modules():
            if module is not layer and any(id(one) in own for one in module._parameters.values()):
                raise ValueError(
                    f"the last layer, {name!r}, shares its weights with {other!r}, {instead}"
                )
