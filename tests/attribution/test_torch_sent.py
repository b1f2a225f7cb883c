"""A torch model on its way to a worker: what travels, and what the worker makes of it."""

import io
import threading

import cloudpickle
import numpy as np
import pytest
import torch
from attribution_models import PlainCNN, views
from torch import nn

from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.errors import ModelNotSendableError
from coflect_widget.backends.torch.methods import load, structure
from tests.attribution.test_torch_methods import image, sent


def test_sending_changes_nothing_and_leaves_hooks_and_gradients_behind():
    model = PlainCNN().train()
    lock = threading.Lock()
    model.features[0].register_forward_hook(lambda *_: lock and None)
    model.features[0].register_full_backward_hook(lambda *_: None)
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    before = cloudpickle.dumps(model.state_dict())
    data = structure(model)
    assert cloudpickle.dumps(model.state_dict()) == before
    assert model.training
    assert len(model.features[0]._forward_hooks) == 1
    explainer = ModelExplainer(load(data))
    assert not explainer.model.model.features[0]._forward_hooks
    assert not explainer.model.model.features[0]._backward_hooks
    assert all(p.grad is None for p in explainer.model.model.parameters())


def test_weights_do_not_travel_with_the_structure():
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3072, 1000), nn.Linear(1000, 4))
    assert len(structure(wide)) < 10_000


def test_tied_weights_stay_tied_and_what_hooks_compute_is_computed():
    model = PlainCNN()
    model.features[3] = nn.utils.spectral_norm(model.features[3])
    model.twin = model.head
    explainer = sent(model.eval())
    assert explainer.model.model.twin.weight is explainer.model.model.head.weight
    x = torch.from_numpy(image())
    with torch.no_grad():
        assert torch.allclose(model(x), explainer.model.model(x))


def test_buffers_outside_the_state_dict_travel():
    model = PlainCNN()
    model.register_buffer("scale", torch.tensor([3.0]), persistent=False)
    assert load(structure(model)).model.scale.item() == 3


def test_wrapped_models_are_unwrapped_and_names_fit():
    model = nn.DataParallel(PlainCNN())
    explainer = sent(model)
    assert isinstance(explainer.model.model, PlainCNN)
    compiled = torch.compile(PlainCNN())
    assert isinstance(sent(compiled).model.model, PlainCNN)


def test_other_weights_than_those_announced_are_an_error():
    explainer = ModelExplainer(load(structure(PlainCNN())))
    with pytest.raises(KeyError, match="changed since"):
        explainer.load_weights({})
    with pytest.raises(KeyError, match="extra"):
        explainer.load_weights({**views(PlainCNN()), "extra": np.zeros(1)})


def test_what_cannot_be_sent_is_named():
    model = PlainCNN()
    model.features[1].guard = threading.Lock()
    with pytest.raises(ModelNotSendableError, match=r"'features.1.guard' \(lock\)"):
        structure(model)
    with pytest.raises(ModelNotSendableError, match="lazy"):
        structure(nn.Sequential(nn.LazyLinear(3)))
    model = PlainCNN()
    model.log = io.TextIOWrapper(io.BytesIO())
    with pytest.raises(ModelNotSendableError, match="log"):
        structure(model)
