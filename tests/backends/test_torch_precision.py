"""In how many bits a training computes, and what float16 needs."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.backends.torch import backend as torch_backend
from coflect_widget.backends.torch import precision
from coflect_widget.backends.torch.precision import half_type
from tests.backends.torch_parts import backend, cnn, losses_of, pictures

GPU = torch.device("cuda", 0)


@pytest.fixture
def emulated(monkeypatch):
    """A GPU that has bfloat16 by emulation alone, as all before Ampere."""
    asked = []

    def is_bf16_supported(including_emulation=True):
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(torch.cuda, "device", lambda which: asked.append(which) or nullcontext())
    return asked


def test_a_gpu_that_only_emulates_bfloat16_computes_in_float16(emulated, monkeypatch):
    assert half_type(None, GPU, values=False) == torch.float16
    assert emulated == [GPU]  # not the device that is current
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert half_type(None, GPU, values=False) == torch.bfloat16


def test_values_are_rounded_only_where_a_person_says_so(emulated):
    assert half_type(None, GPU, values=True) is None
    assert half_type(True, GPU, values=True) == torch.float16
    assert half_type(False, GPU, values=False) is None
    assert half_type(None, torch.device("cpu"), values=False) is None
    assert half_type(True, torch.device("cpu"), values=False) == torch.bfloat16


@pytest.mark.parametrize(
    ("data", "loss", "values"),
    [
        (pictures(), None, False),
        ((pictures()[0], pictures()[0].mean((1, 2, 3))), nn.MSELoss(), True),
        ((pictures()[0], np.eye(2, dtype=np.float32)[pictures(2)[1]]), nn.BCEWithLogitsLoss(), 0),
    ],
    ids=["classes", "values", "labels"],
)
def test_a_backend_knows_whether_its_outputs_are_values(data, loss, values, monkeypatch):
    asked = []
    real = torch_backend.half_type

    def watched(*given, **more):
        asked.append(more["values"])
        return real(*given, **more)

    monkeypatch.setattr(torch_backend, "half_type", watched)
    outputs = 4 if loss is None else 1 if values else 2
    task = "multi_label" if outputs == 2 else None
    backend(data, loss=loss, model=cnn(outputs), task=task)
    assert asked == [bool(values)]


def test_float16_is_trained_with_a_scaler_that_a_checkpoint_keeps(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(super().forward(x).dtype)
            return super().forward(x)

    def made(**config):
        model = cnn()
        model[-1] = Watched(8, 4)
        torch.manual_seed(1)
        model[-1].reset_parameters()
        return backend(pictures(), model=model, config=config)

    plain, _ = losses_of(made(), epochs=2)
    engine = made(mixed_precision=True)
    seen.clear()
    half, weights = losses_of(engine, epochs=2)
    assert set(seen) == {torch.float16}
    assert half == pytest.approx(plain, abs=0.02)
    assert half != plain
    assert all(weight.isfinite().all() for weight in weights)
    # A step whose scaled gradients do not fit is left out, and the scale shrinks.
    engine._scaler.update(1e30)
    before = [p.detach().clone() for p in engine.model.parameters()]
    engine.train_step(next(iter(engine.train_batches(2))))
    after = list(engine.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    kept = engine.state({})
    assert kept.rest["scaler"]["scale"] < 1e30
    other = made(mixed_precision=True)
    other.restore(kept.weights, kept.rest, None)
    assert other._scaler.get_scale() == engine._scaler.get_scale()
