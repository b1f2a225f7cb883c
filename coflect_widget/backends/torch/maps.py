"""LayerCAM, Grad-CAM and SmoothGrad for PyTorch, each as a function of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coflect_widget.attribution.consensus import NOISE_BATCH, TOLERANCE, relative_error
from coflect_widget.backends.torch.layers import Layer, output_tensor

#: Inputs (B, C, H, W) to logits (B, classes).
Forward = Callable[[Tensor], Tensor]


def layercam(model: nn.Module, forward: Forward, x: Tensor, target: int, layer: Layer) -> Tensor:
    """Class-activation map (1, 1, h, w) of `layer`, non-negative, at the layer's own size.

    The sum over channels of ReLU(gradient) * ReLU(activation), each pixel weighted by its own
    gradient; so it works at layers far from the output, where Grad-CAM's averaged gradients do
    not. P.-T. Jiang et al., "LayerCAM", IEEE TIP 2021.

    Parameters
    ----------
    model : torch.nn.Module
        Has `layer`; in eval mode.
    forward : callable
        Runs `model`.
    x : Tensor (1, C, H, W)
    target : int
        The class whose evidence is shown.
    layer : Layer
        From `find_layer`.
    """
    activation, gradient = _at_layer(model, forward, x, target, layer)
    return (F.relu(gradient) * F.relu(activation)).sum(1, keepdim=True)


def gradcam(model: nn.Module, forward: Forward, x: Tensor, target: int, layer: Layer) -> Tensor:
    """Grad-CAM in its classic form, (1, 1, h, w), non-negative; parameters as of `layercam`.

    ReLU of the sum over channels of activation times mean gradient. R. R. Selvaraju et al.,
    "Grad-CAM", ICCV 2017.
    """
    activation, gradient = _at_layer(model, forward, x, target, layer)
    weights = gradient.mean((2, 3), keepdim=True)
    return F.relu((weights * activation).sum(1, keepdim=True))


def _at_layer(
    model: nn.Module, forward: Forward, x: Tensor, target: int, layer: Layer
) -> tuple[Tensor, Tensor]:
    """Output of `layer` and the gradient of the class's logit by it, both (1, C, h, w)."""
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
            score = forward(x.detach().clone().requires_grad_())[0, target]
            (gradient,) = torch.autograd.grad(score, captured[-1])
    finally:
        handle.remove()
    return layer.maps(captured[-1].detach()), layer.maps(gradient)


def smoothgrad(
    forward: Forward,
    x: Tensor,
    target: int,
    samples: int,
    sigma: float,
    tolerance: float = TOLERANCE,
) -> tuple[Tensor, int]:
    """Mean magnitude of the gradient over noisy copies of the input.

    Captum's Saliency on the noise of its NoiseTunnel, which has no way to stop early.
    D. Smilkov et al., "SmoothGrad", 2017.

    Parameters
    ----------
    forward : callable
    x : Tensor (1, C, H, W)
    target : int
    samples : int
        At most so many noisy copies.
    sigma : float
        Standard deviation of the noise as a share of the range of `x`. The noise comes from
        torch's global generator.
    tolerance : float
        Stop once the standard error of the map (the mean over channels) is below this share of
        the map's contrast, both as root mean squares over the pixels; 0 never stops early.

    Returns
    -------
    gradients : Tensor (1, C, H, W)
    used : int
        Noisy copies that it took.
    """
    # Slow to import, and the kernel, which imports this module for `structure`, needs it not.
    from captum.attr import Saliency

    saliency = Saliency(forward)
    noise = sigma * float(x.max() - x.min())
    total = torch.zeros_like(x)
    maps: list[Tensor] = []  # (B, H, W) each
    used = 0
    while used < samples:
        count = min(NOISE_BATCH, samples - used)
        copies = x.detach() + torch.normal(0.0, noise, (count, *x.shape[1:]))
        with torch.enable_grad():
            gradients = saliency.attribute(copies.requires_grad_(), target=target, abs=True)
        gradients = gradients.detach()
        total += gradients.sum(0, keepdim=True)
        used += count
        maps.append(gradients.mean(1))
        if tolerance > 0 and used < samples and relative_error(torch.cat(maps).numpy()) < tolerance:
            break
    return total / used, used
