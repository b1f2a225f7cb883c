import io
import threading

import cloudpickle
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attribution_models import ARCHITECTURES, MLP, Corner, PlainCNN, ResNet, ViT, views
from captum.attr import NoiseTunnel, Saliency
from torch import nn

from coflect_widget.attribution.errors import ModelNotSendableError, NoSuitableLayerError
from coflect_widget.attribution.torch_layers import find_layer
from coflect_widget.attribution.torch_methods import (
    check_layer,
    layercam,
    load,
    smoothgrad,
    structure,
)

BOTH = ("livecam", "smoothgrad")
SHAPE = (3, 32, 32)


def image(seed=0, size=32):
    return np.random.default_rng(seed).random((1, 3, size, size), dtype=np.float32)


def sent(model):
    explainer = load(structure(model))
    explainer.load_weights(views(model))
    return explainer


def explain(explainer, x, target=None, methods=BOTH, samples=8, sigma=0.15, layer=None, seed=0):
    return explainer.explain(x, target, methods, samples, sigma, layer, seed)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_sent_model_computes_what_the_original_computes(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]()
    explainer = sent(model)
    x = torch.from_numpy(image())
    with torch.no_grad():
        assert torch.equal(model.eval()(x), explainer.model(x))


@pytest.mark.parametrize(
    ("name", "layer", "grid"),
    [
        ("plain", "features", (16, 16)),
        ("resnet", "layer3", (8, 8)),  # layer4 has 4 x 4
        ("mobilenet", "features", (8, 8)),
        ("vit", "blocks.1.norm1", (8, 8)),  # after it no patch reaches the output
        ("vit_mean", "norm", (8, 8)),
        ("swin", "norm", (8, 8)),
    ],
)
def test_the_last_useful_map_is_found(name, layer, grid):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    found = find_layer(model, SHAPE)
    assert (found.name, found.grid) == (layer, grid)
    assert check_layer(structure(model), SHAPE) == layer


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_maps_have_the_input_size_and_repeat(name):
    torch.manual_seed(0)
    explainer = sent(ARCHITECTURES[name]())
    found = explain(explainer, image())
    again = explain(explainer, image())
    for method in BOTH:
        assert found[method].shape == (32, 32)
        assert found[method].min() >= 0
        assert found[method].max() > 0
        assert np.array_equal(found[method], again[method])
    assert found["probabilities"].sum() == pytest.approx(1, abs=1e-5)
    assert found["explained"] == found["probabilities"].argmax()


def test_tokens_and_channels_last_become_the_right_pixels():
    torch.manual_seed(0)
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 8:12, 20:24] = 5  # patch in row 2, column 5
    for name in ("vit", "swin"):
        model = ARCHITECTURES[name]().eval()
        layer = find_layer(model, SHAPE)
        seen = []
        handle = model.get_submodule(layer.name).register_forward_hook(
            lambda m, i, o, seen=seen: seen.append(o)
        )
        with torch.no_grad():
            model(x)
            model(torch.zeros_like(x))
        handle.remove()
        change = (layer.maps(seen[0]) - layer.maps(seen[1])).abs().sum(1)[0]
        assert divmod(int(change.argmax()), 8) == (2, 5)


def test_maps_point_at_the_known_evidence():
    x = np.random.default_rng(0).uniform(0.5, 1, (1, 3, 16, 16)).astype(np.float32)
    found = explain(sent(Corner()), x, target=1)
    for method in BOTH:
        assert found[method][:8, :8].sum() / found[method].sum() > 0.95
    found = explain(sent(Corner()), x, target=0)
    for method in BOTH:
        assert found[method][:7, :7].sum() / found[method].sum() < 0.01


@pytest.mark.parametrize("name", ["plain", "resnet"])
def test_layercam_equals_an_independent_implementation(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    x = torch.from_numpy(image())
    layer = find_layer(model, SHAPE)
    found = layercam(model, x, 2, layer)

    def after(a):
        if name == "plain":
            return model.head(model.pool(a).flatten(1))
        return model.head(model.layer4(a).mean((2, 3)))

    if name == "plain":
        a = model.features(x)
    else:
        a = model.layer3(model.layer2(model.layer1(model.stem(x))))
    a = a.detach().requires_grad_()
    after(a.clone())[0, 2].backward()
    expected = torch.zeros(a.shape[2:])
    for channel in range(a.shape[1]):
        expected += a.grad[0, channel].clamp(min=0) * a[0, channel].detach().clamp(min=0)
    assert torch.allclose(found[0, 0], expected, atol=1e-6)


def test_smoothgrad_equals_captum_for_the_same_noise():
    torch.manual_seed(0)
    model = ResNet().eval()
    x = torch.from_numpy(image())
    torch.manual_seed(5)
    ours = smoothgrad(model, x, 1, 16, 0.2)
    torch.manual_seed(5)
    theirs = NoiseTunnel(Saliency(model)).attribute(
        x.clone().requires_grad_(),
        nt_samples=16,
        stdevs=0.2 * float(x.max() - x.min()),
        target=1,
    )
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_explaining_changes_no_weight_no_mode_no_hook_and_no_random_state():
    explainer = sent(ResNet())
    before = {k: v.clone() for k, v in explainer.model.state_dict().items()}
    state = torch.get_rng_state()
    explain(explainer, image())
    with pytest.raises(IndexError, match="target=9"):
        explain(explainer, image(), target=9)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in explainer.model.state_dict().items())
    assert all(p.grad is None for p in explainer.model.parameters())
    assert not any(m.training or m._forward_hooks for m in explainer.model.modules())


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
    explainer = load(data)
    assert not explainer.model.features[0]._forward_hooks
    assert not explainer.model.features[0]._backward_hooks
    assert all(p.grad is None for p in explainer.model.parameters())


def test_weights_do_not_travel_with_the_structure():
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3072, 1000), nn.Linear(1000, 4))
    assert len(structure(wide)) < 10_000


def test_tied_weights_stay_tied_and_what_hooks_compute_is_computed():
    model = PlainCNN()
    model.features[3] = nn.utils.spectral_norm(model.features[3])
    model.twin = model.head
    explainer = sent(model.eval())
    assert explainer.model.twin.weight is explainer.model.head.weight
    x = torch.from_numpy(image())
    with torch.no_grad():
        assert torch.allclose(model(x), explainer.model(x))


def test_buffers_outside_the_state_dict_travel():
    model = PlainCNN()
    model.register_buffer("scale", torch.tensor([3.0]), persistent=False)
    assert load(structure(model)).model.scale.item() == 3


def test_wrapped_models_are_unwrapped_and_names_fit():
    model = nn.DataParallel(PlainCNN())
    explainer = sent(model)
    assert isinstance(explainer.model, PlainCNN)
    compiled = torch.compile(PlainCNN())
    assert isinstance(sent(compiled).model, PlainCNN)


def test_other_weights_than_those_announced_are_an_error():
    explainer = load(structure(PlainCNN()))
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


def test_a_wrong_layer_lists_the_candidates():
    model = PlainCNN().eval()
    with pytest.raises(NoSuitableLayerError, match=r"did you mean 'features'.*'features.0'"):
        find_layer(model, SHAPE, "feature")
    with pytest.raises(NoSuitableLayerError, match="not a map"):
        find_layer(model, SHAPE, "head")
    assert find_layer(model, SHAPE, "features.1").name == "features.1"
    with pytest.raises(NoSuitableLayerError, match="smoothgrad"):
        find_layer(MLP().eval(), SHAPE)


def test_without_a_7_x_7_map_the_largest_is_taken():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 8, 2, 2), nn.Flatten(), nn.Linear(32, 4)
    )
    assert find_layer(model.eval(), SHAPE).name == "0"


def test_probabilities_are_not_softmaxed_twice():
    torch.manual_seed(0)
    logits = PlainCNN()
    both = nn.Sequential(logits, nn.Softmax(1))
    a, b = explain(sent(logits), image()), explain(sent(both), image())
    assert np.allclose(a["probabilities"], b["probabilities"], atol=1e-6)


def test_an_output_that_is_not_finite_is_refused():
    model = PlainCNN()
    with torch.no_grad():
        model.head.bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match="NaN"):
        explain(sent(model), image())


def test_a_first_layer_that_works_in_place_and_an_uneven_input():
    model = nn.Sequential(
        nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    x = np.random.default_rng(0).random((1, 3, 33, 50), dtype=np.float32)
    found = explain(sent(model), x)
    assert found["livecam"].shape == found["smoothgrad"].shape == (33, 50)


def test_weights_that_numpy_has_no_type_for_come_as_float32():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).to(torch.bfloat16)
    explainer = load(structure(model))
    explainer.load_weights({k: v.float().numpy() for k, v in model.state_dict().items()})
    for ours, theirs in zip(explainer.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_vit_maps_are_about_patches_not_the_token():
    torch.manual_seed(0)
    model = ViT().eval()
    layer = find_layer(model, SHAPE)
    assert layer.extra == 1
    cam = layercam(model, torch.from_numpy(image()), 0, layer)
    assert cam.shape == (1, 1, 8, 8)
    assert F.relu(cam).sum() > 0
