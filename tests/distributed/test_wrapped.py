"""A model in a wrapper of torch.distributed, and a process that another one leads, each alone."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import coflect_widget as coflect
from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.backends.torch.tap import add_gradient
from tests.conftest import tiny_cnn


@pytest.fixture
def met():
    """This process has met all others, of which there are none."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


#: Meets this process, and stays until it ends.
OTHER = """
import sys
import torch.distributed as dist
dist.init_process_group("gloo", store=dist.FileStore(sys.argv[1], 2), rank=1, world_size=2)
sys.stdin.read()
dist.destroy_process_group()
"""


@pytest.fixture
def met_another(tmp_path):
    """This process has met one other, which it leads."""
    store = str(tmp_path / "store")
    other = subprocess.Popen([sys.executable, "-c", OTHER, store], stdin=subprocess.PIPE)
    try:
        dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=0, world_size=2)
        yield
        dist.destroy_process_group()
    finally:
        other.communicate()


def test_what_the_others_could_not_do_too_is_refused_before_they_train(make_session, met_another):
    session = make_session(val=coflect.data.synthetic(n=64))
    with pytest.raises(ValueError, match="samples cannot be added while several processes train"):
        session.add(np.zeros((3, 32, 32), np.float32), 1)
    with pytest.raises(ValueError, match="layers cannot be frozen or freed while several"):
        session.set(freeze="0")
    with pytest.raises(RuntimeError, match=r"refit\(\) is of one process"):
        session.refit()
    assert not (session.run.path / "added").exists()
    assert not session.ledger.interventions
    assert session._backend.num_train == 256
    assert session.set(lr=0.1).understood == "lr 0.001 -> 0.1"


def test_a_wrapped_model_is_trained_through_its_wrapper_and_kept_without(make_session, met):
    wrapped = DistributedDataParallel(tiny_cnn())
    passes = []
    wrapped.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    quiet = {"xai_every": 10**6, "guidance": {"effect_after": 0}, "forecast": {"probes": 0}}
    session = make_session(
        model=wrapped, val=coflect.data.synthetic(n=32), batch_size=128, config=quiet
    )
    session.feedback(sample=3, ignore=(0, 0, 0.3, 0.3))
    session.train(epochs=2)
    session.wait(300)
    assert passes == [True] * 4  # the steps alone; no validation, no second pass of a stroke
    assert session.metrics["guidance_loss"] >= 0
    weights = session.run.checkpoints.last.facts["weights"]
    assert set(weights) == set(tiny_cnn().state_dict())


class Checkpointed(torch.nn.Module):
    """While it trains, its layers are computed again in the backward pass."""

    def __init__(self, *, reentrant):
        super().__init__()
        self.stem, self.rest = torch.nn.Conv2d(3, 3, 1), tiny_cnn()
        self.reentrant = reentrant

    def forward(self, x):
        x = self.stem(x)
        if not self.training:
            return self.rest(x)
        return checkpoint(self.rest, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_term_that_would_set_off_the_wrapper_too_early_lapses(make_session, met, reentrant):
    wrapped = DistributedDataParallel(Checkpointed(reentrant=reentrant))
    quiet = {"xai_every": 10**6, "guidance": {"effect_after": 0}, "forecast": {"probes": 0}}
    session = make_session(model=wrapped, batch_size=128, config=quiet)
    backend, backward = session._parts.backend, []
    wrapped.module.rest[0].weight.register_post_accumulate_grad_hook(backward.append)
    session.feedback(sample=3, look=(0.2, 0.2, 0.6, 0.6))
    for batch in backend.train_batches(0):
        backend.train_step(batch)
    assert len(backward) == 2  # one in each step
    why = [lapse.why for lapse in backend.lapses]
    assert len(why) == reentrant
    assert all("where several processes train, only" in each for each in why)


def test_a_gradient_that_is_not_finite_changes_no_weight(make_session, met):
    session = make_session(model=DistributedDataParallel(tiny_cnn()), batch_size=128)
    backend = session._parts.backend
    batch = next(iter(backend.train_batches(0)))
    before = [weight.detach().clone() for weight in backend.model.parameters()]
    spoilt = batch._replace(inputs=batch.inputs * float("nan"))
    with pytest.raises(NonFiniteLossError, match="the loss is nan") as raised:
        backend.train_step(spoilt)
    assert raised.value.batch is spoilt
    with pytest.raises(NonFiniteLossError, match="by the batch of another process") as raised:
        backend._check_all(1.0, batch, torch.zeros(1))  # the gradients of before
    assert raised.value.elsewhere
    assert all(torch.equal(a, b) for a, b in zip(before, backend.model.parameters(), strict=True))


def test_a_batch_of_which_all_is_left_out_takes_part_in_the_step(make_session, met):
    wrapped = DistributedDataParallel(tiny_cnn())
    session = make_session(model=wrapped, batch_size=128)
    backend = session._parts.backend
    batch = next(iter(backend.train_batches(0)))
    backend.set_labels(dict.fromkeys(batch.indices.tolist()))
    passes = []
    wrapped.register_forward_hook(lambda *_: passes.append(1))
    odd = batch._replace(inputs=batch.inputs * float("nan"))  # they may be left out for that
    for given in (batch, odd):
        output = backend.train_step(given)
        assert [len(output.indices), len(output.targets), *output.logits.shape] == [0, 0, 0, 4]
        gradients = [weight.grad for weight in backend.model.parameters()]
        assert all(gradient is not None and not gradient.any() for gradient in gradients)
    assert passes == [1, 1]
    assert backend.model[1].running_mean.isfinite().all()
    # The batch of another process makes the gradient NaN in all: none takes the step.
    before = [weight.detach().clone() for weight in backend.model.parameters()]
    backend.model[0].weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteLossError, match="by the batch of another process") as raised:
        backend.train_step(batch)
    assert raised.value.elsewhere
    assert all(torch.equal(a, b) for a, b in zip(before, backend.model.parameters(), strict=True))


def test_what_weights_spread_over_processes_cannot_do_is_refused(make_session, met):
    model = tiny_cnn()
    fully_shard(model, mesh=dist.init_device_mesh("cpu", (1,)))
    session = make_session(model=model)
    (notice,) = [one for one in session.events("notice") if "overlays do not" in one.data.text]
    assert "no maps and strokes" in notice.data.text
    for refused, words in (
        (lambda: session.train(epochs=1), "write the loop yourself"),
        (lambda: session.feedback(sample=1, ignore=(0, 0, 0.3, 0.3)), "no maps and strokes"),
        (session.checkpoint, r"torch\.distributed\.checkpoint"),
    ):
        with pytest.raises(ValueError, match=words):
            refused()
    assert not session.ledger.interventions
    for more, words in (
        ({"val": coflect.data.synthetic(n=8)}, "no val_data=.*in all processes"),
        ({"loss": torch.nn.CrossEntropyLoss()}, "no loss="),
        ({"task": "segmentation"}, r"only classes and task='own_loss' are followed"),
        ({"task": "own_loss", "score": lambda model, x: model(x)[:, 0]}, "no score=; leave it out"),
    ):
        with pytest.raises(ValueError, match=words):
            make_session(model=model, **more)


def test_a_session_made_before_the_weights_were_spread_is_refused(make_session, met):
    model, data = tiny_cnn(), coflect.data.synthetic(n=8)
    session = make_session(model=model, data=data)
    fully_shard(model, mesh=dist.init_device_mesh("cpu", (1,)))
    with pytest.raises(ValueError, match="make the Session after that"):
        next(iter(session.loop([1, 2])))


def test_a_gradient_added_is_that_of_a_backward_pass():
    model, other = tiny_cnn(), tiny_cnn()
    x = torch.rand(4, 3, 32, 32)
    for each in (model, other):
        each(x).square().mean().backward()
    add_gradient(model(x).abs().mean(), model)
    other(x).abs().mean().backward()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad)


def test_a_process_that_follows_is_steered_elsewhere_and_leaves_no_run(
    make_session, monkeypatch, tmp_path
):
    monkeypatch.setenv("RANK", "1")
    session = make_session()
    place = session.run.path
    assert session.rank == 1
    assert place.exists()
    for steer in (
        lambda: session.feedback(sample=1, ignore=(0, 0, 0.3, 0.3)), lambda: session.set(lr=0.1),
        lambda: session.judge(1, "right"), lambda: session.explain(0), session.checkpoint,
        session.serve, session.step, lambda: setattr(session, "onset", True),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"if session\.rank == 0"):
            steer()
    with pytest.raises(RuntimeError, match=r"call torch\.distributed\.init_process_group"):
        session.train(epochs=1)
    assert session._parts.scheduler.pool.slot("background").pid is None
    session.close()
    assert not place.parent.exists()
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="resume= goes on in one process alone"):
        make_session(resume=_run(make_session, monkeypatch))


def _run(make_session, monkeypatch):
    monkeypatch.delenv("RANK")
    session = make_session(batch_size=128)
    session.train(steps=1)
    session.wait(300)
    session.close()
    monkeypatch.setenv("RANK", "1")
    return session.run


def test_each_process_draws_numbers_of_its_own(make_session):
    backend = make_session()._parts.backend
    drawn = []
    for backend._rank in (0, 1, 0):
        backend.begin()
        drawn.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002 - as users draw
    assert drawn[0] == drawn[2]
    assert not set(drawn[0]) & set(drawn[1])
