"""Requests, budget and callbacks, with real workers and a real torch model."""

import os
import signal
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch
from attribution_models import PlainCNN, copier, snapshots_of
from torch import nn

from coflect_widget.attribution.errors import (
    ExplanationError,
    ExplanationSkippedError,
    SessionClosedError,
)
from coflect_widget.attribution.requests import MOST_WAITING, Request, RequestQueue
from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.backends.base import Sample
from coflect_widget.backends.torch.methods import structure
from coflect_widget.config import AttributionConfig
from coflect_widget.modalities import IMAGE
from coflect_widget.tasks import Classification
from coflect_widget.training.controls import Controls
from coflect_widget.training.thread_time import ThreadTime

EXPLAINER = "coflect_widget.backends.torch.methods:load"


class Kernel:
    """What a session gives the scheduler, and what it hears."""

    def __init__(self, model=None, **more):
        torch.manual_seed(0)
        self.model = model or PlainCNN()
        self.inputs = np.random.default_rng(0).random((40, 3, 32, 32), dtype=np.float32)
        self.inputs[13] = np.nan
        self.step = 5
        self.asked = 0
        self.explained, self.failed = [], []
        self.snapshots = snapshots_of(self.model)
        config = AttributionConfig(**more.pop("config", {}))
        self.scheduler = ExplanationScheduler(
            more.pop("structure", None) or structure(self.model),
            self.snapshots,
            config,
            explainer=EXPLAINER,
            task=Classification(4),
            modality=IMAGE,
            read_sample=lambda i: Sample(self.inputs[i], i % 4),
            request_snapshot=self.take,
            on_explained=lambda e, purpose: self.explained.append((e.index, purpose)),
            on_failed=lambda *args: self.failed.append(args),
            current_step=lambda: self.step,
            **more,
        )

    def take(self):
        self.asked += 1
        self.snapshots.write(self.step, copier(self.model))

    def close(self):
        self.scheduler.close()
        self.snapshots.close()


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    yield kernel
    kernel.close()


def test_an_explanation_is_complete(kernel):
    e = kernel.scheduler.request(3, "person").result(60)
    for values in (e.map, e.livecam, e.smoothgrad):
        assert values.shape == (32, 32)
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() == pytest.approx(1)
    with torch.no_grad():
        logits = kernel.model.eval()(torch.from_numpy(kernel.inputs[3:4]))
    expected = logits.softmax(1)[0].sort(descending=True)
    assert e.top_classes == tuple(expected.indices[:3].tolist())
    assert e.top_probs == pytest.approx(tuple(expected.values[:3].tolist()), abs=1e-5)
    assert (e.index, e.target, e.predicted) == (3, 3, e.top_classes[0])
    assert (e.model_step, e.method, e.modality_focus) == (5, "consensus", {"image": 1.0})
    assert 0 <= e.agreement <= 1
    assert e.seconds > 0
    assert (3, "person") in kernel.explained
    assert "index=3" in repr(e)


def test_a_person_gets_the_newest_weights_and_the_background_an_older_snapshot(kernel):
    kernel.scheduler.request(0, "person").result(60)
    kernel.step += 10
    assert kernel.scheduler.request(1, "periodic").result(60).model_step == kernel.step - 10
    assert kernel.scheduler.request(1, "person").result(60).model_step == kernel.step
    kernel.step += 100
    assert kernel.scheduler.request(2, "periodic").result(60).model_step == kernel.step


def test_equal_requests_give_equal_maps(kernel):
    a = kernel.scheduler.request(4, "person").result(60)
    b = kernel.scheduler.request(4, "periodic").result(60)
    assert np.array_equal(a.map, b.map)


def test_another_class_can_be_explained(kernel):
    a = kernel.scheduler.request(4, "person", target=0).result(60)
    b = kernel.scheduler.request(4, "person", target=1).result(60)
    assert not np.array_equal(a.map, b.map)
    with pytest.raises(ExplanationError, match="target=7"):
        kernel.scheduler.request(4, "person", target=7).result(60)


def test_a_sample_that_fails_is_named_and_the_next_works(kernel):
    before = kernel.scheduler.counts.failed
    with pytest.raises(ExplanationError, match="NaN"):
        kernel.scheduler.request(13, "candidate").result(60)
    index, purpose, reason = kernel.failed[-1]
    assert (index, purpose) == (13, "candidate")
    assert "NaN" in reason
    with pytest.raises(ExplanationError, match="IndexError"):
        kernel.scheduler.request(99, "person").result(60)
    assert kernel.scheduler.counts.failed == before + 2
    assert kernel.scheduler.counts.non_finite == 1
    kernel.scheduler.request(5, "person").result(60)


def test_a_callback_that_raises_ends_nothing(kernel, caplog):
    before = kernel.scheduler._on_explained
    kernel.scheduler._on_explained = lambda *_: 1 / 0
    try:
        kernel.scheduler.request(6, "person").result(60)
    finally:
        kernel.scheduler._on_explained = before
    assert "on_explained failed" in caplog.text
    kernel.scheduler.request(7, "person").result(60)


def test_explaining_changes_nothing_in_the_kernel(kernel):
    kernel.model.train()
    before = {k: v.clone() for k, v in kernel.model.state_dict().items()}
    state = torch.get_rng_state()
    kernel.scheduler.request(8, "person").result(60)
    assert kernel.model.training
    assert torch.equal(state, torch.get_rng_state())
    for name, value in kernel.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in kernel.model.parameters())
    assert not any(m._forward_hooks for m in kernel.model.modules())


def test_a_session_is_built_and_closed_without_waiting():
    began = time.monotonic()
    kernel = Kernel()
    kernel.scheduler.start()
    assert time.monotonic() - began < 1
    future = kernel.scheduler.request(0, "person")
    began = time.monotonic()
    kernel.close()
    assert time.monotonic() - began < 5
    with pytest.raises((SessionClosedError, CancelledError)):
        future.result(1)
    with pytest.raises(SessionClosedError):
        kernel.scheduler.request(0, "person").result(1)


def test_a_model_that_cannot_be_sent_fails_each_request_with_the_reason():
    kernel = Kernel(structure=TypeError("it holds a lock"))
    kernel.scheduler.start()
    with pytest.raises(ExplanationError, match="holds a lock"):
        kernel.scheduler.request(0, "person").result(10)
    assert kernel.scheduler.pool.interactive.pid is None
    kernel.close()


def test_background_requests_beyond_the_budget_are_skipped_and_counted():
    kernel = Kernel(config={"budget": 1e-6})
    kernel.scheduler.request(0, "periodic").result(60)
    for index in (1, 2):
        with pytest.raises(ExplanationSkippedError, match="budget"):
            kernel.scheduler.request(index, "periodic").result(10)
    counts = kernel.scheduler.counts
    assert (counts.made, counts.skipped, counts.failed) == (1, 2, 0)
    assert counts.seconds > 0
    kernel.close()


def test_without_a_spatial_layer_smoothgrad_still_works():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.ReLU())
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.body(x))

    kernel = Kernel(Flat(), config={"method": "smoothgrad"})
    e = kernel.scheduler.request(0, "person").result(60)
    assert e.map.max() == pytest.approx(1)
    assert e.livecam.max() == 0
    assert e.agreement is None
    kernel.scheduler._config.method = "consensus"
    with pytest.raises(ExplanationError, match="smoothgrad"):
        kernel.scheduler.request(0, "person").result(60)
    kernel.close()


def test_a_sample_that_costs_two_workers_is_set_aside_until_a_person_insists():
    told = []
    kernel = Kernel(notify=told.append)
    scheduler, slot = kernel.scheduler, kernel.scheduler.pool.background
    scheduler.request(0, "periodic").result(60)
    killed, usual = [], slot.run

    def run(job, deadline):  # the real one, in whose two tries the worker is killed
        def kill():
            for _ in range(2):
                while slot.pid is None or slot.pid in killed:
                    time.sleep(0.001)
                killed.append(slot.pid)
                os.kill(slot.pid, signal.SIGSTOP)  # a job of milliseconds must not be faster
                time.sleep(0.1)
                os.kill(killed[-1], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        while not killed:
            time.sleep(0.001)
        try:
            return usual(job, deadline)
        finally:
            thread.join()

    slot.run = run
    with pytest.raises(ExplanationError, match="twice in a row"):
        scheduler.request(1, "candidate").result(60)
    slot.run = usual
    assert slot.replaced == 2
    assert scheduler.quarantined == [1]
    assert len(told) == 1
    assert "Sample 1 " in told[0]
    assert kernel.failed[-1][:2] == (1, "candidate")
    with pytest.raises(ExplanationSkippedError, match="set aside"):
        scheduler.request(1, "periodic").result(10)
    scheduler.request(2, "periodic").result(60)  # others are served
    scheduler.request(1, "person").result(60)
    assert scheduler.quarantined == []
    scheduler.request(1, "periodic").result(60)
    assert len(told) == 1
    kernel.close()


def test_training_rests_for_a_background_map_that_gets_no_processor_but_seldom():
    controls = Controls()
    spent = ThreadTime()
    kernel = Kernel(rest=controls.rest, trained=lambda: spent.seconds["training"])
    training = threading.Thread(target=_boundaries, args=(controls,))
    scheduler, slot = kernel.scheduler, kernel.scheduler.pool.background
    try:
        scheduler.request(0, "periodic").result(60)
        training.start()
        _until(lambda: controls.owner is not None)
        os.kill(slot.pid, signal.SIGSTOP)  # as good as no idle time at all
        late = scheduler.request(1, "candidate")
        _until(lambda: controls.resting)
        time.sleep(0.7)  # longer than for a click: a map half made is of no use
        assert controls.resting
        os.kill(slot.pid, signal.SIGCONT)
        late.result(60)
        _until(lambda: controls.rests == 1)
        rested = controls.rested
        assert 0.5 < rested < 10  # it ends with the map, not with the longest rest
        # At most a five-hundredth of the training's time, by a clock that stood at nothing.
        assert 450 * rested < scheduler.rests.next < 550 * rested
        early = scheduler.request(2, "candidate")
        time.sleep(1)  # three times as long as the first one had waited
        assert not early.done()
        assert (controls.rests, controls.rested) == (1, rested)
        controls.pause()  # now there is idle time
        early.result(60)
        assert (controls.rests, controls.rested) == (1, rested)
    finally:
        controls.stop()
        training.join(10)
        kernel.close()


def _boundaries(controls):
    controls.attach()
    while controls.boundary(lambda _: None):
        time.sleep(0.001)
    controls.detach()


def _until(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.001)


# --- the queue alone ------------------------------------------------------------------------


def test_newest_first_and_nothing_twice():
    queue = RequestQueue(6)
    first = queue.put(Request(1, "periodic", None))
    queue.put(Request(2, "periodic", None))
    assert queue.put(Request(1, "candidate", None)) is first
    queue.put(Request(1, "periodic", 3))  # another class is another question
    taken = [queue.take("background") for _ in range(3)]
    assert [(r.index, r.target) for r in taken] == [(1, 3), (1, None), (2, None)]


def test_a_background_request_that_a_person_wants_changes_lanes():
    queue = RequestQueue(6)
    waiting = queue.put(Request(1, "periodic", None))
    assert queue.put(Request(1, "person", None)) is waiting
    assert queue.take("interactive") is waiting
    assert queue.put(Request(1, "person", None)) is waiting  # in flight
    queue.done("interactive")
    assert queue.put(Request(1, "person", None)) is not waiting


def test_the_oldest_is_skipped_when_too_many_wait():
    queue = RequestQueue(6)
    requests = [queue.put(Request(i, "candidate", None)) for i in range(MOST_WAITING + 2)]
    assert queue.counts.skipped == 2
    with pytest.raises(ExplanationSkippedError):
        requests[0].future.result(0)
    assert not requests[2].future.done()
    for i in range(MOST_WAITING + 2):  # a person's are never dropped
        queue.put(Request(1000 + i, "person", None))
    assert queue.counts.skipped == 2


def test_a_cancelled_request_is_passed_over():
    queue = RequestQueue(6)
    queue.put(Request(1, "person", None))
    queue.put(Request(2, "person", None)).future.cancel()
    assert queue.take("interactive").index == 1


def test_closing_wakes_who_waits():
    queue = RequestQueue(6)
    found = []
    thread = threading.Thread(target=lambda: found.append(queue.wait("background")))
    thread.start()
    queue.close()
    thread.join(2)
    assert found == [False]
    assert queue.take("background") is None
