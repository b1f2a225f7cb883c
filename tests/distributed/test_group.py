"""Trainings of one group hold and end at the same step, and one alone pays nothing."""

from queue import SimpleQueue

import numpy as np
import pytest

from coflect_widget import events
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic
from coflect_widget.distributed.alone import Alone
from coflect_widget.distributed.frames import pack, unpack
from coflect_widget.distributed.group import RankFailedError
from coflect_widget.distributed.orders import Order, act_of
from coflect_widget.telemetry.seen import read_seen, seen_of
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop
from tests.conftest import eventually as wait_for
from tests.conftest import tiny_cnn


def eventually(condition, what="it"):
    return wait_for(condition, 120, what)


class Thread(Alone):
    """One of two threads that agree one step late, as processes do."""

    size = 2

    def __init__(self, rank, wishes, messages, faults):
        self.rank, self._wishes, self._messages, self._faults = rank, wishes, messages, faults
        self._asked = False

    def agree(self, wish):
        answer = False
        if self._asked:
            given = self._wishes[1 - self.rank].get(timeout=120)
            if given is None:
                raise RuntimeError("Connection closed")
            answer = given or self._mine
        self._asked, self._mine = True, wish
        self._wishes[self.rank].put(wish)
        return answer

    def tell(self, message):
        self._messages.put(message)

    def hear(self):
        return self._messages.get(timeout=120)

    def fail(self, fault, patience):
        self._faults.append(fault)
        self._wishes[self.rank].put(None)

    def fault(self):
        return next((fault for fault in self._faults if fault.rank != self.rank), None)


class Nobody:
    """An observer that does nothing."""

    due = float("inf")

    def __getattr__(self, name):
        return lambda *_: None


def made(n=110):
    return TorchBackend(
        tiny_cnn(), synthetic(n=n), synthetic(n=8), num_classes=4, loss=None, optimizer=None,
        scheduler=None, batch_size=4, config=Config(),
    )  # fmt: skip


@pytest.fixture
def pair():
    wishes, messages, faults, loops = [SimpleQueue(), SimpleQueue()], SimpleQueue(), [], []
    for rank in range(2):
        backend = made()
        loop = TrainingLoop(backend, Controls(), Snapshots(backend.weight_specs()), Nobody())
        loop.heard = []
        loop.join(Thread(rank, wishes, messages, faults), lambda act, loop=loop: loop.heard.append(
            (loop.step, act.record)
        ))  # fmt: skip
        loops.append(loop)
    yield loops
    loops[0].controls.stop()
    for loop in loops:
        assert loop.wait(120)
        loop.snapshots.close()


def begin(loops):
    for loop in loops:
        loop.start(10**6)


def test_what_is_asked_of_the_first_is_done_by_all_at_the_same_step(pair):
    leader, other = pair
    undone = events.Undone(id="i1", understood="it")
    leader.together.done(act_of(undone))  # before anything trains
    begin(pair)
    eventually(lambda: leader.step > 20)
    assert other.heard == [(0, undone)]
    leader.controls.pause()
    eventually(lambda: other.state == "paused")
    held = leader.step
    assert (leader.state, other.step) == ("paused", held)
    leader.controls.submit(lambda: leader.together.done(act_of(undone))).result(30)
    eventually(lambda: len(other.heard) == 2)
    assert other.heard[1] == (held, undone)
    leader.controls.resume(lambda: leader.step >= held + 3)
    eventually(lambda: other.step == held + 3 and other.state == "paused")
    assert (leader.step, leader.state) == (held + 3, "paused")
    leader.controls.resume()
    eventually(lambda: min(loop.epoch for loop in pair) > 2, what="a validation of one for both")
    leader.controls.stop()
    assert all(loop.wait(120) for loop in pair)
    assert [loop.state for loop in pair] == ["stopped", "stopped"]
    assert leader.step == other.step


def test_processes_at_different_steps_are_refused(pair):
    leader, other = pair
    other.step = 1
    begin(pair)
    assert other.wait(120)
    assert isinstance(other.error, RankFailedError)
    assert "different steps: that of rank 0 has done 0, this one 1" in str(other.error)
    assert leader.wait(120)
    assert isinstance(leader.error, RankFailedError)
    assert "the process of rank 1 of this training has failed: RankFailedError" in str(leader.error)


def test_one_alone_is_asked_nothing():
    alone = Alone()
    assert [alone.agree(True), alone.agree(False)] == [True, False]
    assert (alone.received(), alone.fault(), alone.rank, alone.size) == ([], None, 0, 1)
    backend = made(40)
    snapshots = Snapshots(backend.weight_specs())
    loop = TrainingLoop(backend, Controls(), snapshots, Nobody())
    loop.start(100)
    assert loop.wait(120)
    snapshots.close()
    assert (loop.step, loop.together) == (100, None)


def test_shares_of_an_epoch_are_equally_long_and_together_all_of_it():
    backend = made(n=11)
    shares = []
    for backend._rank in range(3):
        backend._ranks = 3
        shares.append(backend.order(5))
        assert backend.steps_per_epoch == 1
    assert {len(share) for share in shares} == {4}
    assert set(np.concatenate(shares).tolist()) == set(range(11))


def test_an_order_and_what_was_seen_travel_as_they_are():
    record = events.Judged(index=3, verdict="wrong", label=1, before=0)
    order = Order(
        number=1, step=4, then="go", acts=(act_of(record),), validation={"loss": float("nan")}
    )
    back = Order.from_bytes(order.to_bytes())
    assert back.acts[0].record == record
    assert np.isnan(back.validation["loss"])
    backend = made(n=12)
    outputs = [backend.train_step(batch) for batch in backend.train_batches(0)]
    task = backend_task(backend)
    seen = seen_of(outputs, 3, 0, task, backend.telemetry_arrays, backend.scalars)
    again = read_seen(seen.to_bytes())
    assert again.steps.tolist() == [1, 2, 3]
    assert [part.tolist() for part in again.by_step] == [o.indices.tolist() for o in outputs]
    assert np.array_equal(again.found.margin, seen.found.margin)
    assert np.isnan(again.guidance).all()
    assert again.found.quality is None
    share = np.linspace(0, 1, len(seen.indices), dtype=np.float32)
    partly = seen._replace(found=seen.found._replace(quality=share))
    assert np.array_equal(read_seen(partly.to_bytes()).found.quality, share)
    short = partly._replace(found=partly.found._replace(quality=share[1:]))
    with pytest.raises(ValueError, match="different lengths"):
        read_seen(short.to_bytes())
    halves = iter([seen.found._replace(quality=share).part(slice(0, 4)) for _ in outputs])
    task.summarise = lambda *_: next(halves)
    joined = seen_of(outputs, 3, 0, task, backend.telemetry_arrays, backend.scalars)
    assert np.array_equal(joined.found.quality, np.tile(share[:4], 3))


def backend_task(backend):
    from coflect_widget.tasks import task_of

    return task_of(backend, error_quantile=0.8)


@pytest.mark.parametrize(
    "spoil",
    [lambda m: m[:-1], lambda m: m + b"x", lambda m: b"", lambda m: m.replace(b"int64", b"objec"),
     lambda m: m.replace(b'"indices"', b'"indicez"')],
)  # fmt: skip
def test_a_spoilt_message_is_refused(spoil):
    message = pack({"kind": "seen", "epoch": 0}, {"indices": np.arange(3)})
    assert unpack(message)[1]["indices"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="another process"):
        read_seen(spoil(message))
