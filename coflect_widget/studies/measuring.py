"""What a model does with a region, before and after an intervention, whatever its framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.methods import load
from coflect_widget.attribution.worker import Explainer
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.studies.overlap import overlap_readings
from coflect_widget.studies.readings import PULLED, Floats, Readings, Request

_BATCH = 64
#: Copies of each annotated sample, all but the first a little noisy: they give an interval.
_COPIES = 4
_NOISE = 0.03  # of the range of the values


def measure(
    explainer: str, structure: bytes, weights: Mapping[str, NDArray[Any]], request: Request
) -> Readings:
    """Run one snapshot on the request, in a worker. Deterministic.

    `explainer` is what rebuilds the model, of one input, from its structure.
    """
    snapshot = load(explainer, structure)
    snapshot.load_weights(weights)
    return take_readings(snapshot, request)


def take_readings(snapshot: Explainer, request: Request) -> Readings:
    """What a model with the weights of one step answers to the request. Deterministic."""
    modality = request.modality
    if request.places is not None:
        return overlap_readings(snapshot, request, _energy(snapshot, *_copies(request), request))
    plain = _log_probabilities(snapshot, request.receivers)
    has = request.donor >= 0
    donor = request.donor[has]
    donor_labels = request.donor_labels[donor]

    def drawn(answers: Floats) -> Floats:
        return _spread((answers.argmax(1) == donor_labels).astype(np.float32), has)

    def exchanged(masks: NDArray[np.bool_]) -> Floats:
        """Answers to the receivers with what their donors have there."""
        receivers = request.receivers[has]
        given = modality.put(masks[donor], receivers, request.donors[donor])
        return _log_probabilities(snapshot, given.astype(receivers.dtype))

    after = exchanged(request.masks)
    copies, labels, masks = _copies(request)
    own = _log_probabilities(snapshot, copies)
    inside, elsewhere, used = _energy(snapshot, copies, labels, masks, request)
    return Readings(
        loss=-plain[np.arange(len(plain)), request.labels],
        right=(plain.argmax(1) == request.labels).astype(np.float32),
        p_true_swapped=_spread(np.exp(after[np.arange(len(after)), request.labels[has]]), has),
        drawn_plain=drawn(plain[has]),
        drawn_swapped=drawn(after),
        drawn_elsewhere=np.stack(
            [
                drawn(exchanged(modality.moved(request.masks, request.donors, by)))
                for by in request.elsewhere[:PULLED]
            ]
        ),
        p_true=np.exp(own[np.arange(len(own)), labels]),
        inside=inside,
        inside_elsewhere=elsewhere,
        explainer=used,
    )


def _spread(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """The values at their places in a row of NaN."""
    row = np.full(len(where), np.nan, np.float32)
    row[where] = values
    return row


def _log_probabilities(snapshot: Explainer, inputs: Floats) -> Floats:
    """(n, classes) of inputs (n, ...)."""
    parts = [
        snapshot.logits(inputs[start : start + _BATCH]) for start in range(0, len(inputs), _BATCH)
    ]
    logits = np.concatenate(parts)
    logits = logits - logits.max(axis=1, keepdims=True)
    found: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found


def _copies(request: Request) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Each donor `_COPIES` times, with its label and mask."""
    rng = np.random.default_rng(0)
    copies = request.modality.jitter(np.repeat(request.donors, _COPIES, 0), _NOISE, rng)
    copies[::_COPIES] = request.donors
    return (
        copies,
        np.repeat(request.donor_labels, _COPIES),
        np.repeat(request.masks, _COPIES, 0),
    )


def _energy(
    snapshot: Explainer,
    inputs: Floats,
    labels: NDArray[np.int64],
    masks: NDArray[np.bool_],
    request: Request,
) -> tuple[Floats, Floats, str]:
    """Share of each map's energy in its region and at the other places, and the method used."""
    method, modality, places = request.explainer, request.modality, request.places

    def explain(method: str, x: Floats, label: int, seed: int) -> dict[str, Any]:
        more = {}
        if places is not None:  # of the class that the sample shows, where it shows it
            truth = places.donor_truths[seed // _COPIES]
            more["region"], label = places.task.region(None, None, None, truth)
        return snapshot.explain(
            x[None], int(label), [method], 8, 0.15, None, seed, modality, **more
        )

    shares = []
    elsewhere = []
    for number, (x, label, mask) in enumerate(zip(inputs, labels, masks, strict=True)):
        try:
            found = explain(method, x, label, number)
        except NoSuitableLayerError:
            method = "smoothgrad"
            found = explain(method, x, label, number)
        total = float(found[method].sum())
        energy = found[method] / (total if total > 0 else float("nan"))
        shares.append(float(energy[mask].sum()))
        elsewhere.append(
            [
                float(energy[modality.moved(mask[None], x[None], by)[0]].sum())
                for by in request.elsewhere
            ]
        )
    return np.array(shares, np.float32), np.array(elsewhere, np.float32).T, method
