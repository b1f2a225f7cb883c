"""LiveCAM and SmoothGrad for PyTorch models, on Captum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.attribution.torch_layers import Layer, find_layer, output_tensor
from coflect_widget.attribution.torch_structure import rebuild, structure

__all__ = ["TorchExplainer", "check_layer", "layercam", "load", "smoothgrad", "structure"]

#: Noisy copies of an input that are computed at once.
_NOISE_BATCH = 16


def load(data: bytes) -> TorchExplainer:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    return TorchExplainer(*rebuild(data))


def check_layer(data: bytes, input_shape: Sequence[int], layer: str | None = None) -> str:
    """Name of the module that LiveCAM will read; a check before anything is started.

    Parameters
    ----------
    data : bytes
        From `structure`; the user's own model is not touched.
    input_shape : (C, H, W)
    layer : str, optional
        The module that the user named.

    Raises
    ------
    NoSuitableLayerError
        With the list of candidates.
    """
    model, weights, _ = rebuild(data)
    _fill(weights)
    return find_layer(model, input_shape, layer).name


def _fill(weights: Mapping[str, Tensor]) -> None:
    """Give weights some values with which a model can run."""
    generator = torch.Generator().manual_seed(0)
    for weight in weights.values():
        if weight.is_floating_point():
            # Positive, so that variances are valid and ReLUs let gradients through.
            weight.copy_(torch.rand(weight.shape, generator=generator) * 0.1)
        else:
            weight.zero_()


class TorchExplainer:
    """A worker's own copy of the model.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, on the CPU.
    weights : dict of str to Tensor
        The tensors that `load_weights` fills.
    known : set of str
        All names that may come with the weights.
    """

    def __init__(self, model: nn.Module, weights: dict[str, Tensor], known: set[str]) -> None:
        self.model = model
        self._weights = weights
        self._known = known
        self._layers: dict[tuple[str | None, tuple[int, ...]], Layer] = {}

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights, by name of the state dict, into the model.

        Raises
        ------
        KeyError
            If a weight is missing or unknown: the model was changed since it was sent.
        """
        missing = self._weights.keys() - views.keys()
        unknown = views.keys() - self._known
        if missing or unknown:
            names = ", ".join(sorted(missing | unknown))
            raise KeyError(f"the model's weights changed since it was sent to the worker: {names}")
        for name, weight in self._weights.items():
            if weight.dtype == torch.bfloat16:  # numpy has none, so it came as float32
                weight.copy_(torch.from_numpy(np.array(views[name])))
            else:
                np.copyto(weight.numpy(), views[name])

    def rehearse(self, input_shape: Sequence[int]) -> None:
        """Run once on a blank input (C, H, W): the first run imports and allocates."""
        _fill(self._weights)
        blank = np.zeros((1, *input_shape), np.float32)
        self.explain(blank, 0, ("livecam", "smoothgrad"), _NOISE_BATCH, 0.1, None, 0)
        self._layers.clear()

    def explain(
        self,
        x: NDArray[np.float32],
        target: int | None,
        methods: Sequence[str],
        samples: int,
        sigma: float,
        layer: str | None,
        seed: int,
    ) -> dict[str, Any]:
        """Maps of one input.

        Parameters
        ----------
        x : ndarray (1, C, H, W) float32
        target : int or None
            The class to explain; the predicted one if None.
        methods : sequence of {"livecam", "smoothgrad"}
        samples : int
            Noisy copies for SmoothGrad.
        sigma : float
            Standard deviation of the noise as a share of the input's range.
        layer : str or None
            Module that LiveCAM reads; found if None.
        seed : int
            Of the noise: equal seeds give equal maps.

        Returns
        -------
        dict
            ``probabilities`` (classes,) float32, ``explained`` int, and for each method its map
            (H, W) float32, non-negative, not normalised; with LiveCAM ``layer``, its name.

        Raises
        ------
        FloatingPointError
            If the model's output is NaN or infinite.
        NoSuitableLayerError
            If LiveCAM has nothing to read.
        """
        inputs = torch.from_numpy(np.array(x, dtype=np.float32))
        self.model.eval()
        # A generator of our own is not enough: Captum and the model draw from the global one.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            with torch.no_grad():
                logits = self._logits(inputs)
            if not torch.isfinite(logits).all():
                raise FloatingPointError(
                    "the model's output has NaN or infinite values on this sample"
                )
            classes = logits.shape[1]
            explained = int(logits.argmax()) if target is None else target
            if not 0 <= explained < classes:
                raise IndexError(f"target={target} is not one of the model's {classes} classes")
            result: dict[str, Any] = {
                "probabilities": _probabilities(logits)[0].numpy(),
                "explained": explained,
            }
            if "livecam" in methods:
                found = self._layer(tuple(inputs.shape[1:]), layer)
                cam = layercam(self.model, inputs, explained, found)
                size = (inputs.shape[2], inputs.shape[3])
                cam = F.interpolate(cam, size, mode="bilinear", align_corners=False)
                result["livecam"] = cam[0, 0].numpy()
                result["layer"] = found.name
            if "smoothgrad" in methods:
                gradients = smoothgrad(self._logits, inputs, explained, samples, sigma)
                result["smoothgrad"] = gradients[0].mean(0).numpy()
        return result

    def _layer(self, input_shape: tuple[int, ...], name: str | None) -> Layer:
        key = (name, input_shape)
        if key not in self._layers:
            self._layers[key] = find_layer(self.model, input_shape, name)
        return self._layers[key]

    def _logits(self, x: Tensor) -> Tensor:
        # The copy keeps an in-place first layer from changing the input, or failing on it.
        return _logits(self.model, x.clone())


def layercam(model: nn.Module, x: Tensor, target: int, layer: Layer) -> Tensor:
    """Class-activation map (1, 1, h, w) of `layer`, non-negative, at the layer's own size.

    The sum over channels of ReLU(gradient) * ReLU(activation), each pixel weighted by its own
    gradient; so it works at layers far from the output, where Grad-CAM's averaged gradients do
    not. P.-T. Jiang et al., "LayerCAM", IEEE TIP 2021.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode.
    x : Tensor (1, C, H, W)
    target : int
        The class whose evidence is shown.
    layer : Layer
        From `find_layer`.
    """
    captured: list[Tensor] = []

    def capture(module: nn.Module, inputs: Any, output: Any) -> Any:
        value = output_tensor(output)
        if value is None:
            return None
        captured.append(value)
        # What follows gets a copy, because an in-place ReLU or sum would change the activation.
        return value.clone() if isinstance(output, Tensor) else None

    handle = model.get_submodule(layer.name).register_forward_hook(capture)
    try:
        with torch.enable_grad():
            score = _logits(model, x.detach().clone().requires_grad_().clone())[0, target]
            (gradient,) = torch.autograd.grad(score, captured[-1])
    finally:
        handle.remove()
    with torch.no_grad():
        weighted = layer.maps(F.relu(gradient)) * layer.maps(F.relu(captured[-1]))
        return weighted.sum(1, keepdim=True)


def smoothgrad(forward: Any, x: Tensor, target: int, samples: int, sigma: float) -> Tensor:
    """Mean magnitude of the gradient over noisy copies of the input, (1, C, H, W).

    Captum's NoiseTunnel over Saliency. D. Smilkov et al., "SmoothGrad", 2017.

    Parameters
    ----------
    forward : callable
        Inputs (B, C, H, W) to logits (B, classes).
    x : Tensor (1, C, H, W)
    target : int
    samples : int
    sigma : float
        Standard deviation of the noise as a share of the range of `x`. The noise comes from
        torch's global generator.
    """
    # Slow to import, and the kernel, which imports this module for `structure`, needs it not.
    from captum.attr import NoiseTunnel, Saliency

    noise = sigma * float(x.max() - x.min())
    tunnel = NoiseTunnel(Saliency(forward))
    with torch.enable_grad():
        result: Tensor = tunnel.attribute(
            x.detach().clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=samples,
            nt_samples_batch_size=min(samples, _NOISE_BATCH),
            stdevs=noise,
            target=target,
            abs=True,
        )
    return result.detach()


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    output = model(x)
    logits = getattr(output, "logits", None)  # Hugging Face's outputs
    if not isinstance(logits, Tensor):
        logits = output_tensor(output)
    if logits is None or logits.ndim != 2:
        got = type(output).__name__ if logits is None else tuple(logits.shape)
        raise ValueError(f"the model gives {got}; an explanation needs logits (B, classes)")
    return logits


def _probabilities(outputs: Tensor) -> Tensor:
    """Softmax of (B, classes), unless the model has applied it already."""
    if bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() < 1e-4).all()):
        return outputs.float()
    return outputs.float().softmax(1)
