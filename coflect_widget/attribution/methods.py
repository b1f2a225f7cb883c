"""LayerCAM, Grad-CAM and SmoothGrad, for models of any framework."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution import entered
from coflect_widget.attribution.consensus import NOISE_BATCH, TOLERANCE, relative_error
from coflect_widget.attribution.occlusion import occlusion
from coflect_widget.attribution.shapley import shapley
from coflect_widget.backends.differentiable import (
    Differentiable,
    Held,
    LooksUp,
    Noise,
    Ops,
    WorkerModel,
)
from coflect_widget.backends.layers import Layer
from coflect_widget.modalities import IMAGE, Modality
from coflect_widget.modalities.base import Map


def layercam(ops: Ops, activation: Any, gradient: Any) -> Any:
    """Class-activation maps (B, h, w), non-negative, at the layer's own size.

    The sum over channels of ReLU(gradient) * ReLU(activation), each pixel weighted by its own
    gradient; so it works at layers far from the output, where Grad-CAM's averaged gradients do
    not. P.-T. Jiang et al., "LayerCAM", IEEE TIP 2021.

    Parameters
    ----------
    ops : Ops
    activation, gradient : tensors
        The layer's output and the gradient of a class's logit by it, as maps.
    """
    return ops.sum(ops.relu(gradient) * ops.relu(activation), axis=ops.channels)


def evidence(ops: Ops, activation: Any, gradient: Any) -> Any:
    """Sum over channels of activation times mean gradient, (B, h, w), of either sign.

    For a linear head over pooled channels that is the class-activation map itself.
    """
    weights = ops.mean(gradient, axis=ops.places, keepdims=True)
    return ops.sum(weights * activation, axis=ops.channels)


def gradcam(ops: Ops, activation: Any, gradient: Any) -> Any:
    """Grad-CAM in its classic form, (B, h, w), non-negative; parameters as of `layercam`.

    R. R. Selvaraju et al., "Grad-CAM", ICCV 2017.
    """
    return ops.relu(evidence(ops, activation, gradient))


CAMS = {"livecam": layercam, "gradcam": gradcam}


def smoothgrad(
    model: Differentiable,
    inputs: Any,
    target: int,
    samples: int,
    noise: Noise,
    spread: float,
    tolerance: float = TOLERANCE,
    modality: Modality = IMAGE,
) -> tuple[Map, int]:
    """Mean magnitude of the gradient over noisy copies of the input, unit by unit.

    D. Smilkov et al., "SmoothGrad", 2017.

    Parameters
    ----------
    inputs : tensor (1, ...)
        As the model takes it.
    target : int
        Class whose logit the gradient is of.
    samples : int
        At most so many noisy copies.
    noise : callable
    spread : float
        Standard deviation of the noise.
    tolerance : float
        Stop once the standard error of the map is below this share of the map's contrast, both as
        root mean squares over the units; 0 never stops early.
    modality : Modality
        What an input is.

    Returns
    -------
    map : ndarray (E)
    used : int
        Noisy copies that it took.
    """
    ops, plain = model.ops, model.chw(inputs)
    total: Any = 0.0
    maps: list[NDArray[np.float32]] = []  # (copies, E) each

    def flat(gradients: Any) -> NDArray[np.float32]:
        return np.asarray(modality.to_units(model.chw(gradients), plain), np.float32)

    used = 0
    while used < samples:
        count = min(NOISE_BATCH, samples - used)
        copies = inputs + noise((count, *inputs.shape[1:]), spread)
        _, gradients = model.input_gradient(copies, lambda logits: ops.sum(logits[:, target]))
        gradients = ops.abs(gradients)
        total = total + ops.sum(gradients, axis=0, keepdims=True)
        used += count
        maps.append(flat(gradients))
        done = tolerance > 0 and used < samples
        if done and relative_error(np.concatenate(maps)) < tolerance:
            break
    return flat(total / used)[0], used


def _wide(noise: Noise, by: Any) -> Noise:
    """Noise that is so many times as wide."""
    return lambda shape, spread: noise(shape, spread) * by


class ModelExplainer:
    """Maps by a worker's own copy of a model; see `attribution.worker.Explainer`."""

    def __init__(self, model: WorkerModel) -> None:
        self.model = model
        self._layers: dict[tuple[str | None, tuple[int, ...], str], Layer] = {}

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """See `WorkerModel.load_weights`."""
        self.model.load_weights(views)

    def randomise(self, seed: int) -> None:
        """See `WorkerModel.randomise`."""
        self.model.randomise(seed)

    def rehearse(self, run: Callable[[], object]) -> None:
        """Call `run` with some weights in place, and forget what was found by them."""
        self.model.fill()
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
        modality: Modality = IMAGE,
        held: Held | None = None,
        region: NDArray[np.bool_] | None = None,
    ) -> dict[str, Any]:
        """Maps of one input.

        Parameters
        ----------
        x : ndarray (1, ...) float32
            Where the modality's inputs are whole numbers, int64.
        target : int or None
            The class to explain; the predicted one if None.
        methods : sequence of str
            "livecam", "gradcam", "integrated", "occlusion", "shapley" or "smoothgrad".
            "integrated" is of whole numbers, which a model looks up.
        samples : int
            Noisy copies for SmoothGrad, which takes fewer where its map converges early; orders
            for Shapley values.
        sigma : float
            Standard deviation of the noise as a share of the input's range.
        layer : str or None
            Layer that LiveCAM reads; found if None.
        seed : int
            Of the noise: equal seeds give equal maps.
        modality : Modality
            What an input is; class-activation maps are of pictures.
        held : Held, optional
            Of which part of a sample with several inputs `x` are values; the others are held.
        region : ndarray (E) of bool, optional
            Of a model with outputs for each place, those whose mean logits are explained.

        Returns
        -------
        dict
            ``probabilities`` (classes,) float32, ``explained`` int, and for each method its map
            (E) float32, non-negative, not normalised; with a class-activation map ``layer``,
            the layer's name, with SmoothGrad ``samples_used``.

        Raises
        ------
        FloatingPointError
            If the model's output is NaN or infinite.
        NoSuitableLayerError
            If LiveCAM has nothing to read.
        """
        x = np.array(x, dtype=np.int64 if modality.whole else np.float32)
        self.model.region = region
        model = self.model.bound(held)
        inputs = model.own(x)
        with self.model.seeded(seed) as noise:
            logits = model.logits(inputs)
            values = model.ops.numpy(logits)
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    "the model's output has NaN or infinite values on this sample"
                )
            classes = values.shape[1]
            explained = int(values.argmax()) if target is None else target
            if not 0 <= explained < classes:
                raise IndexError(f"target={target} is not one of the model's {classes} classes")
            result: dict[str, Any] = {
                "probabilities": self.model.probabilities(logits),
                "explained": explained,
                "outputs": values[0],
            }
            for method in (name for name in CAMS if name in methods):
                read = self._layer(model, x.shape[1:], layer, held)
                maps = model.layer_gradient(inputs, lambda logits: logits[0, explained], read)
                cam = CAMS[method](model.ops, *maps)
                result[method] = model.ops.resized(cam, modality.extent(x[0]))
                result["layer"] = read.name
            if "integrated" in methods:
                looks_up = cast("LooksUp", model)
                result["integrated"] = entered.integrated(looks_up, inputs, explained, modality)
            if "occlusion" in methods:
                seen = partial(self.model.outputs, held=held)
                result["occlusion"] = occlusion(seen, x, explained, modality)
            if "shapley" in methods:
                seen = partial(self.model.outputs, held=held)
                result["shapley"] = shapley(seen, x, explained, modality, samples, seed)
            if "smoothgrad" in methods and modality.whole:
                result["smoothgrad"], result["samples_used"] = entered.smoothgrad(
                    cast("LooksUp", model), inputs, explained, samples, noise, sigma, modality
                )
            elif "smoothgrad" in methods:
                spread = modality.spread(x[0], sigma)
                if not isinstance(spread, float):  # of each value its own
                    noise, spread = _wide(noise, model.own(spread[None])), 1.0
                found, used = smoothgrad(
                    model, inputs, explained, samples, noise, spread, modality=modality
                )
                result["smoothgrad"], result["samples_used"] = found, used
        return result

    def logits(
        self, x: NDArray[np.float32], region: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """See `WorkerModel.outputs`; `region` as for `explain`."""
        self.model.region = region
        return self.model.outputs(x)

    def places(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `WorkerModel.places`."""
        return self.model.places(x)

    def check_layer(self, input_shape: Sequence[int], layer: str | None) -> str:
        """Name of the layer that LiveCAM will read; the weights need no values yet.

        Raises
        ------
        NoSuitableLayerError
            With the list of candidates.
        """
        self.model.fill()
        return self.model.bound().find_layer(input_shape, layer).name

    def _layer(
        self,
        model: Differentiable,
        shape: tuple[int, ...],
        name: str | None,
        held: Held | None,
    ) -> Layer:
        key = (name, shape, "" if held is None else held.part.name)
        if key not in self._layers:
            self._layers[key] = model.find_layer(shape, name)
        return self._layers[key]


def load(explainer: str, structure: bytes) -> Any:
    """What an import path "module:function" makes of a model's structure, able to explain.

    A backend's path gives a `WorkerModel`, whose maps are made here, or an
    `attribution.worker.Explainer` that makes them itself.
    """
    module, _, name = explainer.partition(":")
    made = getattr(importlib.import_module(module), name)(structure)
    return ModelExplainer(made) if isinstance(made, WorkerModel) else made
