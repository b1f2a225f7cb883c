"""A PyTorch model in a worker: its weights come and go, and its maps are made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from coflect_widget.backends.torch import outputs as torch_outputs
from coflect_widget.backends.torch.layers import Layer, find_layer
from coflect_widget.backends.torch.maps import Forward, gradcam, layercam, smoothgrad
from coflect_widget.backends.torch.structure import rebuild, structure

__all__ = ["TorchExplainer", "check_layer", "load", "structure"]

Others = Sequence[NDArray[np.float32]]

_POWER_ITERATIONS = 15


def load(data: bytes) -> TorchExplainer:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    return TorchExplainer(*rebuild(data))


def check_layer(
    data: bytes,
    input_shape: Sequence[int],
    layer: str | None = None,
    others: Others = (),
    place: int = 0,
) -> str:
    """Name of the module that LiveCAM will read; a check before anything is started.

    Parameters
    ----------
    data : bytes
        From `structure`; the user's own model is not touched.
    input_shape : (C, H, W)
    layer : str, optional
        The module that the user named.
    others, place
        Further inputs of a model with several, as in `backends.base.Sample`.

    Raises
    ------
    NoSuitableLayerError
        With the list of candidates.
    """
    model, weights, _ = rebuild(data)
    _fill(model, weights)
    return find_layer(model, input_shape, layer, _call(model, others, place)).name


def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give weights some values with which a model can run."""
    generator = torch.Generator().manual_seed(0)
    for weight in weights.values():
        if weight.is_floating_point():
            # Positive, so that variances are valid and ReLUs let gradients through.
            weight.copy_(torch.rand(weight.shape, generator=generator) * 0.1)
        else:
            weight.zero_()
    _settle(model)


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
            try:
                np.copyto(weight.numpy(), views[name])
            except TypeError:  # of a type that numpy lacks, such as bfloat16: it came as float32
                weight.copy_(torch.from_numpy(np.array(views[name])))

    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training; buffers of its own stay."""
        rng = np.random.default_rng(seed)
        # Drawing millions of numbers would take longer than the map; a prime length keeps the
        # repetition out of step with the filters.
        table = torch.from_numpy(rng.standard_normal(65_521, dtype=np.float32))
        for name, weight in self._weights.items():
            last = name.rpartition(".")[2]
            if isinstance(weight, nn.Parameter) and weight.ndim >= 2:
                fan_in = weight[0].numel()
                start = int(rng.integers(len(table)))
                places = (torch.arange(weight.numel()) + start) % len(table)
                weight.copy_(table[places].reshape(weight.shape) * math.sqrt(2 / fan_in))
            elif last in ("bias", "running_mean"):
                weight.zero_()
            elif weight.ndim == 1 and last in ("weight", "running_var"):
                weight.fill_(1)
            elif weight.ndim == 1 and last.endswith(("_u", "_v")):  # of spectral normalisation
                weight.copy_(F.normalize(table[torch.arange(len(weight)) % len(table)], dim=0))
        _settle(self.model)

    def rehearse(self, run: Callable[[], object]) -> None:
        """Call `run` with some weights in place, and forget what was found by them."""
        _fill(self.model, self._weights)
        try:
            run()
        finally:
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
        others: Others = (),
        place: int = 0,
    ) -> dict[str, Any]:
        """Maps of one input.

        Parameters
        ----------
        x : ndarray (1, C, H, W) float32
        target : int or None
            The class to explain; the predicted one if None.
        methods : sequence of {"livecam", "gradcam", "smoothgrad"}
        samples : int
            Noisy copies for SmoothGrad, which takes fewer where its map converges early.
        sigma : float
            Standard deviation of the noise as a share of the input's range.
        layer : str or None
            Module that LiveCAM reads; found if None.
        seed : int
            Of the noise: equal seeds give equal maps.
        others : sequence of ndarray
            Further inputs of a model with several, each without the batch's dimension.
        place : int
            Where `x` stands among the model's arguments.

        Returns
        -------
        dict
            ``probabilities`` (classes,) float32, ``explained`` int, and for each method its map
            (H, W) float32, non-negative, not normalised; with a class-activation map ``layer``,
            the module's name, with SmoothGrad ``samples_used``, with `others`
            ``modality_focus`` and ``modality_reason``.

        Raises
        ------
        FloatingPointError
            If the model's output is NaN or infinite.
        NoSuitableLayerError
            If LiveCAM has nothing to read.
        """
        inputs = torch.from_numpy(np.array(x, dtype=np.float32))
        forward = self._forward(others, place)
        self.model.eval()
        # A generator of our own is not enough: Captum and the model draw from the global one.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            with torch.no_grad():
                logits = forward(inputs)
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
            for method, compute in (("livecam", layercam), ("gradcam", gradcam)):
                if method in methods:
                    found = self._layer(tuple(inputs.shape[1:]), layer, others, place)
                    cam = compute(self.model, forward, inputs, explained, found)
                    size = (inputs.shape[2], inputs.shape[3])
                    cam = F.interpolate(cam, size, mode="bilinear", align_corners=False)
                    result[method] = cam[0, 0].numpy()
                    result["layer"] = found.name
            if "smoothgrad" in methods:
                gradients, used = smoothgrad(forward, inputs, explained, samples, sigma)
                result["smoothgrad"] = gradients[0].mean(0).numpy()
                result["samples_used"] = used
            if others:
                focus, why = self._modality_focus(inputs, others, place, explained)
                result["modality_focus"], result["modality_reason"] = focus, why
        return result

    def logits(
        self, x: NDArray[np.float32], others: Others = (), place: int = 0
    ) -> NDArray[np.float32]:
        """Outputs (B, classes) for inputs (B, C, H, W), in eval mode; `others` serve all rows."""
        self.model.eval()
        forward = self._forward(others, place)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs: NDArray[np.float32] = forward(torch.from_numpy(x)).float().numpy()
        return outputs

    def _modality_focus(
        self, x: Tensor, others: Others, place: int, target: int
    ) -> tuple[dict[str, float] | None, str]:
        """Share of each input in the sum of |gradient * input|; the shares sum to 1.

        None, and the reason, where an input moves the output but no gradient tells how much, as
        of token ids that an embedding looks up.
        """
        inputs = [torch.from_numpy(np.array(other, dtype=np.float32))[None] for other in others]
        inputs.insert(place, x)
        leaves = [each.clone().requires_grad_() for each in inputs]
        with torch.enable_grad():
            output = self.model(*(leaf.clone() for leaf in leaves))
            score = logits_of(output, self.model)[0, target]
            gradients = torch.autograd.grad(score, leaves, allow_unused=True)
        names = input_names(self.model, len(leaves))
        mass = np.zeros(len(leaves))
        for k, (gradient, leaf) in enumerate(zip(gradients, leaves, strict=True)):
            if gradient is not None and gradient.any():
                mass[k] = float((gradient * leaf.detach()).abs().sum())
            elif self._moves(inputs, k):
                return None, (
                    f"the output has no gradient with respect to {names[k]!r}, though it depends "
                    "on it, as on token ids that an embedding looks up"
                )
        # Where nothing matters, no input matters more than another.
        shares = mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))
        return dict(zip(names, shares.tolist(), strict=True)), ""

    def _moves(self, inputs: list[Tensor], k: int) -> bool:
        """Whether other values of input `k` give another output."""
        x = inputs[k]
        # Values that occur, and zeros as padding, because others may be no ids.
        others = (x, torch.zeros_like(x), x.flatten().flip(0).reshape(x.shape), x.flatten()[:1])
        with torch.no_grad():
            outputs = [
                self.model(*inputs[:k], other.expand_as(x).clone(), *inputs[k + 1 :])
                for other in others
            ]
        before, *after = (logits_of(output, self.model) for output in outputs)
        return any(not torch.equal(before, each) for each in after)

    def _layer(
        self, input_shape: tuple[int, ...], name: str | None, others: Others, place: int
    ) -> Layer:
        key = (name, input_shape)
        if key not in self._layers:
            call = _call(self.model, others, place)
            self._layers[key] = find_layer(self.model, input_shape, name, call)
        return self._layers[key]

    def _forward(self, others: Others, place: int) -> Forward:
        call = _call(self.model, others, place)
        # The copy keeps an in-place first layer from changing the input, or failing on it.
        return lambda x: logits_of(call(x.clone()), self.model)


def _settle(model: nn.Module) -> None:
    """Make weights of any values such as torch's own parametrizations can compute with.

    Spectral normalisation finds the largest singular values of the weights that are there, because
    those of others would be off by any factor. The Householder vectors of an orthogonal weight have
    a diagonal of ones.
    """
    computed: list[Callable[[], object]] = []
    for module in model.modules():
        if isinstance(module, parametrize.ParametrizationList):
            computed.append(module)
            if any(type(inner).__name__ == "_Orthogonal" for inner in module):
                module.original.diagonal(dim1=-2, dim2=-1).fill_(1)
        computed += [
            partial(hook, module, ())
            for hook in module._forward_pre_hooks.values()
            if type(hook).__module__ == "torch.nn.utils.spectral_norm"
        ]
    if not computed:
        return
    model.train()
    with torch.no_grad():
        for _ in range(_POWER_ITERATIONS):
            for compute in computed:
                compute()
    model.eval()


def input_names(model: nn.Module, count: int) -> list[str]:
    """What the model's ``forward`` calls its inputs; "input 0", ... where it does not say."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(model.forward).parameters.values()
    named = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return named[:count] if len(named) >= count else [f"input {k}" for k in range(count)]


def _call(model: nn.Module, others: Others, place: int) -> Callable[[Tensor], Any]:
    """The model as a function of the picture (B, C, H, W); the other inputs are held."""
    if not others:
        return model
    fixed = [torch.from_numpy(np.array(other, dtype=np.float32))[None] for other in others]

    def call(x: Tensor) -> Any:
        rows = [other.expand(len(x), *other.shape[1:]).clone() for other in fixed]
        return model(*rows[:place], x, *rows[place:])

    return call


def logits_of(output: Any, model: nn.Module) -> Tensor:
    """The logits (B, classes) in what `model` gave.

    Raises
    ------
    TypeError, ValueError
        If there are none.
    """
    logits = torch_outputs.logits_of(output, model)
    if logits.ndim != 2:
        raise ValueError(
            f"the model gives {tuple(logits.shape)}; an explanation needs logits (B, classes)"
        )
    return logits


def _probabilities(outputs: Tensor) -> Tensor:
    """Softmax of (B, classes), unless the model has applied it already."""
    if bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() < 1e-4).all()):
        return outputs.float()
    return outputs.float().softmax(1)
