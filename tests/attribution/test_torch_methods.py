import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attribution_models import ARCHITECTURES, MLP, Corner, PlainCNN, ViT, views
from captum.attr import LayerGradCam, NoiseTunnel, Saliency
from torch import nn

from coflect_widget.attribution import methods
from coflect_widget.attribution.consensus import NOISE_BATCH, TOLERANCE
from coflect_widget.attribution.methods import CAMS, ModelExplainer
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.backends.sourced import readable_layer
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.layers import as_maps, find_layer
from coflect_widget.backends.torch.methods import load, structure

BOTH = ("livecam", "smoothgrad")
SHAPE = (3, 32, 32)


def image(seed=0, size=32):
    return np.random.default_rng(seed).random((1, 3, size, size), dtype=np.float32)


def cam(kind, model, x, target, layer):
    """A class activation map (1, 1, h, w)."""
    bound = TorchGradients(model)
    found = bound.layer_gradient(x, lambda logits: logits[0, target], layer)
    return CAMS[kind](bound.ops, *found)[:, None]


def smoothgrad(model, x, target, samples, sigma, tolerance=TOLERANCE):
    """Its map (1, 1, H, W), and the copies that it took; the noise is torch's own."""
    spread = sigma * float(x.max() - x.min())
    found, used = methods.smoothgrad(
        TorchGradients(model), x, target, samples, lambda shape, s: torch.normal(0.0, s, shape),
        spread, tolerance,
    )  # fmt: skip
    return torch.from_numpy(found)[None, None], used


def check_layer(data, shape, name=None):
    return readable_layer(load(data), shape, name)


def sent(model):
    explainer = ModelExplainer(load(structure(model)))
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
        assert torch.equal(model.eval()(x), explainer.model.model(x))


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
        change = (as_maps(layer, seen[0]) - as_maps(layer, seen[1])).abs().sum(1)[0]
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
    found = cam("livecam", model, x, 2, layer)

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


@pytest.mark.parametrize("name", ["plain", "resnet", "mobilenet"])
def test_gradcam_equals_captum(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    x = torch.from_numpy(image())
    layer = find_layer(model, SHAPE)
    found = cam("gradcam", model, x, 1, layer)
    module = model.get_submodule(layer.name)
    theirs = LayerGradCam(model, module).attribute(x, target=1, relu_attributions=True)
    assert found.max() > 0
    assert torch.allclose(found, theirs, atol=1e-5)
    shown = explain(sent(model), image(), target=1, methods=("gradcam",))["gradcam"]
    larger = F.interpolate(theirs, (32, 32), mode="bilinear", align_corners=False)
    assert torch.allclose(torch.from_numpy(shown), larger[0, 0].detach(), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "vit", "swin"])
def test_smoothgrad_equals_captum_for_the_same_noise(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    x = torch.from_numpy(image())
    torch.manual_seed(5)
    ours, used = smoothgrad(model, x, 1, 20, 0.2, tolerance=0)
    torch.manual_seed(5)
    theirs = NoiseTunnel(Saliency(model)).attribute(
        x.clone().requires_grad_(),
        nt_samples=20,
        nt_samples_batch_size=NOISE_BATCH,
        stdevs=0.2 * float(x.max() - x.min()),
        target=1,
    )
    assert used == 20
    assert torch.allclose(ours, theirs.mean(1, keepdim=True), atol=1e-5)


def test_smoothgrad_stops_once_its_map_has_converged():
    x = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    _, used = smoothgrad(Corner(), x, 1, 1024, 0.15)
    assert used == NOISE_BATCH  # its gradient is the same everywhere
    model = PlainCNN().eval()
    coarse, few = smoothgrad(model, x, 1, 512, 0.15, tolerance=0.3)
    fine, many = smoothgrad(model, x, 1, 512, 0.15, tolerance=0.1)
    full, most = smoothgrad(model, x, 1, 512, 0.15, tolerance=0)
    assert few < many < most == 512

    def error(gradients):
        a, b = gradients.mean(1), full.mean(1)
        return float((a - b).norm() / (b - b.mean()).norm())

    # What is promised is the error itself, which is known to a factor only.
    assert 0.1 < error(coarse) < 0.6
    assert error(fine) < 0.2


def everything(model):
    """All that explaining must not change, in a form that can be compared."""
    hooks = [name for name in vars(nn.Module()) if name.endswith("hooks") or "_hooks_" in name]
    return {
        "weights": {k: v.clone() for k, v in model.state_dict().items()},
        "gradients": {k: None if p.grad is None else p.grad.clone()
                      for k, p in model.named_parameters()},
        "wants gradients": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [len(getattr(m, table) or ()) for m in model.modules() for table in hooks],
        "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()),  # noqa: NPY002 - what users draw from
    }  # fmt: skip


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explaining_changes_nothing(name):
    torch.manual_seed(0)
    explainer = sent(ARCHITECTURES[name]())
    before = everything(explainer.model.model)
    explain(explainer, image(), methods=("livecam", "gradcam", "smoothgrad"))
    explainer.logits(image())
    assert equal(before, everything(explainer.model.model))
    with pytest.raises(IndexError, match="target=9"):
        explain(explainer, image(), target=9)
    assert equal(before, everything(explainer.model.model))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explaining_changes_nothing_when_the_model_fails_in_the_middle(name, monkeypatch):
    torch.manual_seed(0)
    explainer = sent(ARCHITECTURES[name]())
    model = explainer.model.model
    before = everything(model)
    last = model.tail if name == "mobilenet" else model.head
    forward, left = last.forward, [0]

    def failing(x):
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("out of order")
        return forward(x)

    monkeypatch.setattr(last, "forward", failing)
    for call in (1, 2, 3, 4):  # looking, finding the layer, LiveCAM, SmoothGrad
        left[0] = call
        explainer._layers.clear()
        with pytest.raises(RuntimeError, match="out of order"):
            explain(explainer, image(), samples=16)
        assert equal(before, everything(model))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sending_a_model_and_finding_its_layer_changes_nothing(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().train()
    next(model.children()).eval()
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    model.register_forward_hook(lambda *_: None)
    before = everything(model)
    check_layer(structure(model), SHAPE)
    assert equal(before, everything(model))
    with pytest.raises(NoSuitableLayerError):
        check_layer(structure(model), SHAPE, "nowhere")
    assert equal(before, everything(model))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_random_weights_are_others_and_maps_can_be_made_of_them(name):
    torch.manual_seed(0)
    model = ARCHITECTURES[name]()
    explainer = sent(model)
    live = explain(explainer, image(), target=1)
    explainer.randomise(0)
    found = explain(explainer, image(), target=1)
    explainer.randomise(0)
    again = explain(explainer, image(), target=1)
    explainer.randomise(1)
    other = explain(explainer, image(), target=1)
    for method in BOTH:
        assert np.isfinite(found[method]).all()
        assert np.array_equal(found[method], again[method])
        assert not np.array_equal(found[method], other[method])
        assert not np.array_equal(found[method], live[method])
    explainer.load_weights(views(model))
    back = explain(explainer, image(), target=1)
    assert all(np.array_equal(live[method], back[method]) for method in BOTH)


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
    explainer = ModelExplainer(load(structure(model)))
    explainer.load_weights({k: v.float().numpy() for k, v in model.state_dict().items()})
    for ours, theirs in zip(explainer.model.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_vit_maps_are_about_patches_not_the_token():
    torch.manual_seed(0)
    model = ViT().eval()
    layer = find_layer(model, SHAPE)
    assert layer.extra == 1
    found = cam("livecam", model, torch.from_numpy(image()), 0, layer)
    assert found.shape == (1, 1, 8, 8)
    assert found.sum() > 0


class Rows(nn.Module):
    """A map whose places are put in a row, (B, C, h * w), before the head."""

    def __init__(self, row, channels=64):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, channels, 3, stride=4, padding=1), nn.ReLU())
        self.row, self.head = row, nn.Linear(channels, 4)

    def forward(self, x):
        return self.head(self.row(self.features(x)).mean(2))


class Reshaped(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), x.shape[1], -1)


@pytest.mark.parametrize("channels", [16, 49, 64])
@pytest.mark.parametrize(
    "row",
    [
        lambda _: nn.Flatten(2),
        lambda c: nn.Sequential(nn.Flatten(2), nn.Conv1d(c, c, 1)),
        lambda c: nn.Sequential(nn.Flatten(2), nn.BatchNorm1d(c)),
    ],
)
def test_channels_of_places_in_a_row_are_no_tokens(row, channels):
    model = Rows(row(channels), channels).eval()  # 16, 49 and 64 are squares, as grids are
    found = find_layer(model, SHAPE)
    assert (found.name, found.layout, found.grid) == ("features", "channels first", (8, 8))


def test_places_in_a_row_are_told_by_the_map_before_them():
    found = find_layer(Rows(Reshaped(), 49).eval(), SHAPE)
    assert (found.name, found.layout) == ("features", "channels first")


def test_a_layer_is_found_where_doubles_are_the_default():
    model = Rows(nn.Flatten(2)).eval()
    torch.set_default_dtype(torch.float64)
    try:
        assert find_layer(model, SHAPE).name == "features"
    finally:
        torch.set_default_dtype(torch.float32)
