"""Weights that are copied, written and read again."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.data import synthetic
from coflect_widget.records.tensors import write_tensors
from tests.backends.test_torch_backend import make_backend, make_model


@pytest.fixture(scope="module")
def data():
    return synthetic(n=100)


def test_copied_weights_are_the_models(data):
    backend = make_backend(data)
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    state = backend.model.state_dict()
    for spec, copy in zip(specs, copies, strict=True):
        assert np.array_equal(copy, state[spec.name].numpy())


def test_copied_weights_are_the_models_also_after_others_took_their_place(data):
    backend = make_backend(data)
    copies = [np.empty(spec.shape, spec.dtype) for spec in backend.weight_specs()]
    backend.copy_weights(copies)
    with torch.no_grad():
        for number, weight in enumerate(backend.model.parameters()):
            if number % 2:
                weight.data = torch.full_like(weight, number)  # other memory
            else:
                weight.fill_(number)
    backend.copy_weights(copies)
    state = backend.model.state_dict().values()
    for copy, weight in zip(copies, state, strict=True):
        assert np.array_equal(copy, weight.numpy())


class WithExtraState(nn.Linear):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


def test_what_is_no_tensor_or_of_eight_bits_does_not_stop_a_copy(data, tmp_path):
    from safetensors.torch import load_file

    model = make_model()
    model[-1] = WithExtraState(8, 4)
    model.register_buffer("scale", torch.full((3,), 1.5).to(torch.float8_e4m3fn))
    backend = make_backend(data, model=model)
    next(backend.train_batches(0))
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    copied = {spec.name: copy for spec, copy in zip(specs, copies, strict=True)}
    assert (copied["scale"] == 1.5).all()
    assert np.array_equal(copied["5.weight"], model[-1].weight.detach().numpy())
    write_tensors(tmp_path / "a.safetensors", backend.state({}).weights)
    loaded = load_file(tmp_path / "a.safetensors")
    assert loaded.keys() == copied.keys()
    assert torch.equal(loaded["scale"].float(), model.scale.float())


def test_a_weight_of_another_shape_is_not_copied_into_the_place_of_the_old(data):
    backend = make_backend(data)
    copies = [np.empty(spec.shape, spec.dtype) for spec in backend.weight_specs()]
    backend.model[-1].bias = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match=r"5\.bias is now of shape \(1,\), not \(4,\)"):
        backend.copy_weights(copies)


def test_a_checkpoint_is_safetensors_and_loads_into_the_model(data, tmp_path):
    from safetensors.torch import load_model

    backend = make_backend(data)
    file = tmp_path / "weights.safetensors"
    state = backend.state({})
    write_tensors(file, state.weights, state.aliases)
    fresh = make_model(seed=5)
    load_model(fresh, file)
    pairs = zip(fresh.parameters(), backend.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_copied_weights_are_held_by_whoever_has_them_alone(data):
    backend = make_backend(data)
    copies = [np.empty(spec.shape, spec.dtype) for spec in backend.weight_specs()]
    backend.copy_weights(copies)
    held = [weakref.ref(copy) for copy in copies]
    del copies
    gc.collect()
    assert not any(copy() is not None for copy in held)


def test_weights_of_a_type_that_numpy_lacks_are_copied(data):
    backend = make_backend(data, model=make_model())
    backend.model.to(torch.bfloat16)
    copies = [np.empty(spec.shape, spec.dtype) for spec in backend.weight_specs()]
    backend.copy_weights(copies)
    for copy, weight in zip(copies, backend.model.state_dict().values(), strict=True):
        assert np.array_equal(copy, weight.to(torch.from_numpy(copy).dtype).numpy())
