"""Probes: the newest weights' outputs of a few samples, when the worker has nothing else to do."""

import threading

import numpy as np
import pytest
import torch
from attribution_models import PlainCNN, copier, snapshots_of

from coflect_widget.attribution.requests import ProbeRequest, Request, RequestQueue
from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.backends.base import Sample
from coflect_widget.backends.torch.methods import structure
from coflect_widget.config import AttributionConfig
from coflect_widget.modalities import IMAGE
from coflect_widget.tasks import Classification


def test_a_probe_is_what_the_model_says_now() -> None:
    torch.manual_seed(0)
    model = PlainCNN()
    inputs = np.random.default_rng(0).random((100, 3, 32, 32), dtype=np.float32)
    came: list[tuple[np.ndarray, np.ndarray, int]] = []
    complete = threading.Event()

    def on_probed(indices: np.ndarray, logits: np.ndarray, step: int) -> None:
        came.append((indices, logits, step))
        if sum(len(i) for i, _, _ in came) == 80:
            complete.set()

    snapshots = snapshots_of(model)
    scheduler = ExplanationScheduler(
        structure(model), snapshots, AttributionConfig(budget=60),
        explainer="coflect_widget.backends.torch.methods:load", task=Classification(4),
        modality=IMAGE,
        read_sample=lambda i: Sample(inputs[i], 0),
        request_snapshot=lambda: snapshots.write(7, copier(model)),
        on_probed=on_probed,
        current_step=lambda: 50,  # what the snapshot made at first knows is too old
    )  # fmt: skip
    with scheduler:
        scheduler.probe(range(20, 100))
        assert complete.wait(60)
        counts = scheduler.counts
    snapshots.close()
    indices = np.concatenate([i for i, _, _ in came])
    assert indices.tolist() == list(range(20, 100))
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(inputs[20:])).numpy()
    assert np.concatenate([x for _, x, _ in came]) == pytest.approx(expected, abs=1e-4)
    assert {step for _, _, step in came} == {7}
    assert counts.probed == 80
    assert 0 < counts.probe_seconds <= counts.seconds
    assert (counts.made, counts.person_seconds) == (0, 0)


def test_overlays_come_first_and_keep_half_of_the_budget() -> None:
    queue = RequestQueue(budget=10)
    overlay = Request(1, "periodic", None)
    queue.probe(range(100))
    queue.put(overlay)
    assert queue.take("background") is overlay
    first = queue.take("background")
    assert isinstance(first, ProbeRequest)
    assert first.indices == list(range(64))
    queue.spend(overlay, 5.0)
    later = Request(2, "candidate", None)
    threading.Timer(0.1, queue.put, [later]).start()
    assert queue.take("background") is None  # the other 36 are dropped
    assert queue.wait("background")
    assert queue.take("background") is later
    queue.close()


def test_newer_probes_replace_older_ones() -> None:
    queue = RequestQueue(budget=10)
    queue.probe([1, 2])
    queue.probe([3])
    request = queue.take("background")
    assert isinstance(request, ProbeRequest)
    assert request.indices == [3]
    queue.close()
    queue.probe([4])
    assert queue.take("background") is None
