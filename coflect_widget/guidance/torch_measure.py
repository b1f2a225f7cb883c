"""What a PyTorch model does with a region, before and after an intervention; runs in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.attribution.errors import NoSuitableLayerError
from coflect_widget.attribution.torch_methods import TorchExplainer, load
from coflect_widget.guidance.readings import Floats, Readings, Request

_BATCH = 64
#: Copies of each annotated picture, all but the first a little noisy: they give an interval.
_COPIES = 4
_NOISE = 0.03  # of the pixels' range


def measure(structure: bytes, weights: Mapping[str, NDArray[Any]], request: Request) -> Readings:
    """Run one snapshot on the request. Deterministic."""
    torch.set_num_threads(1)
    explainer = load(structure)
    explainer.load_weights(weights)
    donor_labels = request.donor_labels[request.donor]
    mask = request.masks[request.donor][:, None]
    swapped = np.where(mask, request.donors[request.donor], request.receivers)
    plain = _log_probabilities(explainer.model, request.receivers)
    after = _log_probabilities(explainer.model, swapped.astype(np.float32))
    copies, labels, masks = _copies(request)
    own = _log_probabilities(explainer.model, copies)
    rows = np.arange(len(plain))
    inside, used = _energy(explainer, copies, labels, masks, request.explainer)
    return Readings(
        loss=-plain[rows, request.labels],
        right=(plain.argmax(1) == request.labels).astype(np.float32),
        p_true_swapped=np.exp(after[rows, request.labels]),
        drawn_plain=(plain.argmax(1) == donor_labels).astype(np.float32),
        drawn_swapped=(after.argmax(1) == donor_labels).astype(np.float32),
        p_true=np.exp(own[np.arange(len(own)), labels]),
        inside=inside,
        explainer=used,
    )


def _log_probabilities(model: torch.nn.Module, images: Floats) -> Floats:
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(images[start : start + _BATCH])).float().log_softmax(1)
            for start in range(0, len(images), _BATCH)
        ]
    found: Floats = torch.cat(parts).numpy()
    return found


def _copies(request: Request) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Each donor `_COPIES` times, with its label and mask."""
    rng = np.random.default_rng(0)
    donors = np.repeat(request.donors, _COPIES, 0)
    noise = rng.standard_normal(donors.shape, dtype=np.float32)
    noise[::_COPIES] = 0
    spread = float(np.ptp(request.donors)) * _NOISE
    return (
        donors + spread * noise,
        np.repeat(request.donor_labels, _COPIES),
        np.repeat(request.masks, _COPIES, 0),
    )


def _energy(
    explainer: TorchExplainer,
    images: Floats,
    labels: NDArray[np.int64],
    masks: NDArray[np.bool_],
    method: str,
) -> tuple[Floats, str]:
    """Share of each map's energy inside its mask, NaN for a blank map, and the method used."""
    shares = []
    for number, (image, label, mask) in enumerate(zip(images, labels, masks, strict=True)):
        try:
            found = explainer.explain(image[None], int(label), [method], 8, 0.15, None, number)
        except NoSuitableLayerError:
            method = "smoothgrad"
            found = explainer.explain(image[None], int(label), [method], 8, 0.15, None, number)
        energy = found[method]
        total = float(energy.sum())
        shares.append(float(energy[mask].sum()) / total if total > 0 else float("nan"))
    return np.array(shares, np.float32), method
