import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coflect_widget.attribution.methods import evidence
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.passes import positive, share
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.guidance.terms import FILL
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi

torch.set_num_threads(1)  # tiny tensors; more threads only wait for each other
CORNER = (0.0, 0.0, 0.25, 0.25)


def network(dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Attention(nn.Module):
    """Reads 4 x 4 patches through fused attention and the mean of its tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(48, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.embed(F.unfold(x, 4, stride=4).transpose(1, 2))[:, None]
        return self.head(F.scaled_dot_product_attention(tokens, tokens, tokens)[:, 0].mean(1))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2


class OnlyOnce(nn.Module):
    """No map of the input and no second derivative."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, 3)

    def forward(self, x):
        return self.head(Once.apply(x.flatten(1)))


DATA = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3


def read_rows(indices):
    return DATA[list(indices)], LABELS[list(indices)]


def guide(model, seed=0, **settings):
    return GuidanceLosses(TorchGuided(model, read_rows), IMAGE, GuidanceConfig(**settings), seed)


def state(*strokes):
    made = [
        ActiveStroke(kind, parse_roi(roi), sample, strength, f"i{n}")
        for n, (kind, roi, sample, strength) in enumerate(strokes)
    ]
    return GuidanceState(tuple(made))


IGNORE = ("ignore", CORNER, 3, 0.3)
LOOK = ("look", (0.5, 0.5, 1.0, 1.0), 5, 0.3)
EVERYWHERE = ("ignore", CORNER, None, 0.3)


def step_loss(guidance, rows=slice(0, 16)):
    """The loss of the next step that has one."""
    while guidance.active:
        value = guidance.loss(DATA[rows], LABELS[rows], torch.tensor(1.0), torch.arange(40)[rows])
        if value is not None:
            return value
    return None


@pytest.mark.parametrize("loss", ["fill", "input_gradient"])
@pytest.mark.parametrize(
    "strokes", [(IGNORE,), (LOOK,), (EVERYWHERE,), (IGNORE, LOOK), (("look", CORNER, None, 0.5),)]
)
def test_every_kind_of_stroke_gives_a_finite_loss_with_gradients(loss, strokes):
    torch.manual_seed(0)
    model = network().train()
    guidance = guide(model, ignore_loss=loss)
    said = guidance.set_state(state(*strokes))
    assert said
    assert guidance.active
    value = step_loss(guidance)
    assert value.shape == ()
    assert torch.isfinite(value)
    assert value > 0
    value.backward()
    assert model[0].weight.grad.abs().sum() > 0


def test_nothing_in_force_costs_and_adds_nothing():
    guidance = guide(network())
    assert not guidance.active
    assert guidance.set_state(state(IGNORE)) == FILL
    assert guidance.set_state(GuidanceState()) == ""
    assert not guidance.active
    assert step_loss(guidance) is None
    assert guidance.set_state(state(("ignore", CORNER, 3, 0.0))) == ""
    assert not guidance.active


@pytest.mark.parametrize("loss", ["fill", "input_gradient"])
def test_no_trace_in_buffers_modes_hooks_inputs_or_random_numbers(loss):
    model = network(dropout=0.5).train()
    model[1].eval()  # frozen by its owner
    guidance = guide(model, ignore_loss=loss)
    buffers = copy.deepcopy(dict(model.named_buffers()))
    modes = [m.training for m in model.modules()]
    data = DATA.clone()
    random_state = torch.get_rng_state()
    guidance.set_state(state(IGNORE, LOOK))
    step_loss(guidance).backward()
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(DATA, data)
    assert not DATA.requires_grad
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    assert all(not m._forward_hooks for m in model.modules())
    assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    model(DATA)  # and the statistics still follow the main pass
    assert not torch.equal(model[5].running_mean, buffers["5.running_mean"])


def test_a_failing_model_is_left_as_it_was():
    model = network().train()
    guidance = guide(model)
    guidance.set_state(state(IGNORE, LOOK))
    assert guidance.loss(DATA[:8, :2], LABELS[:8], torch.tensor(1.0)) is None
    assert guidance.lapses
    guidance.set_state(state(LOOK, IGNORE))
    model[9] = nn.Linear(7, 3)
    assert step_loss(guidance) is None
    assert not guidance.active
    assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(not m._forward_hooks for m in model.modules())


def test_equal_seeds_equal_losses_and_the_sequence_depends_on_the_state_alone():
    def values(seed, before=0):
        torch.manual_seed(0)
        guidance = guide(network().train(), seed)
        guidance.set_state(state(IGNORE))
        for _ in range(before):
            step_loss(guidance)
        guidance.set_state(state(IGNORE, EVERYWHERE))
        return [step_loss(guidance).item() for _ in range(3)]

    assert values(1) == values(1) == values(1, before=2)
    assert values(1) != values(2)


class Seen(nn.Module):
    """Remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.shown = []

    def forward(self, x):
        self.shown.append(x.detach().clone())
        return x.mean((2, 3)) * self.weight


def test_fill_swaps_the_ignored_place_and_nothing_else():
    model = Seen()
    guidance = guide(model, replay_share=1.0)
    guidance.set_state(state(("ignore", (0.0, 0.25, 0.25, 0.75), 3, 0.3)))
    step_loss(guidance)
    original, swapped = model.shown[0].chunk(2)
    assert len(original) == 8
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:12, 0:4] = True  # too large to be mirrored
    assert torch.equal(original[0], DATA[3])
    assert torch.equal(swapped[0][:, ~inside], DATA[3][:, ~inside])
    donors = [k for k in range(16) if torch.equal(swapped[0][:, inside], DATA[k][:, inside])]
    assert len(donors) == 1
    for row in swapped[1:]:
        own = [k for k in range(16) if torch.equal(row[:, ~inside], DATA[k][:, ~inside])]
        other = [k for k in range(16) if torch.equal(row[:, inside], DATA[k][:, inside])]
        assert len(own) == len(other) == 1
        assert own != other


def test_share_of_rows():
    model = Seen()
    guidance = guide(model, replay_share=0.25)
    guidance.set_state(state(IGNORE))
    step_loss(guidance, slice(0, 32))
    assert len(model.shown[0]) == 16
    given = [guidance.loss(DATA[:32], LABELS[:32], torch.tensor(1.0)) for _ in range(9)]
    # 16 rows every other step of 32 are a quarter
    assert [value is not None for value in given] == [k % 2 == 1 for k in range(9)]
    guidance.set_state(state(("look", CORNER, 3, 0.3)))
    model.shown.clear()
    step_loss(guidance, slice(0, 32))
    assert len(model.shown[0]) == 1  # no more than there are


def test_strength_scales_the_loss():
    def value(strength, strokes):
        torch.manual_seed(0)
        guidance = guide(network().train())
        guidance.set_state(state(*((k, r, s, strength) for k, r, s, _ in strokes)))
        return step_loss(guidance).item()

    for strokes in [(IGNORE,), (LOOK,)]:
        assert value(0.6, strokes) == pytest.approx(2 * value(0.3, strokes), rel=1e-4)


def test_the_weight_of_a_region_does_not_fade_with_the_task_loss():
    def value(task):
        torch.manual_seed(0)
        guidance = guide(network().train(), ignore_loss="input_gradient")
        guidance.set_state(state(IGNORE))
        return guidance.loss(DATA[:16], LABELS[:16], torch.tensor(task)).item()  # the first has one

    assert value(1e-6) == value(0.5)
    assert np.isfinite(value(float("nan")))


@pytest.mark.parametrize(
    ("kind", "roi"), [("ignore", (0.0, 0.0, 0.5, 0.5)), ("look", (0.5, 0.5, 1.0, 1.0))]
)
def test_descending_moves_the_energy_where_it_was_asked(kind, roi):
    torch.manual_seed(1)
    model = network().train()
    if kind == "ignore":  # a pooled network cannot tell one place from another
        model = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.Tanh(), nn.Linear(16, 3))
    guidance = guide(model, ignore_loss="input_gradient", replay_share=1.0)
    guidance.set_state(state(*((kind, roi, k, 1.0) for k in range(8))))
    region = torch.zeros(1, 16, 16)
    region[:, :8, :8] = kind == "ignore"
    region[:, 8:, 8:] = kind == "look"

    def energy():
        x = DATA[:8].clone().requires_grad_()
        outputs = []
        handle = model[-4].register_forward_hook(lambda m, i, o: outputs.append(o))
        logits = model(x)
        handle.remove()
        floor = torch.tensor(1e-9)
        if kind == "ignore":
            (gradient,) = torch.autograd.grad(F.log_softmax(logits, 1).sum(), x)
            return share(TorchOps, gradient.square().sum(1), region, floor).mean().item()
        score = TorchOps.of_classes(logits, LABELS[:8]).sum()
        (gradient,) = torch.autograd.grad(score, outputs[0])
        maps = evidence(TorchOps, outputs[0], gradient).relu()
        return share(TorchOps, maps, TorchOps.pooled(region, maps.shape[1:]), floor).mean().item()

    before = energy()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        step_loss(guidance, slice(0, 8)).backward()
        optimizer.step()
    after = energy()
    assert after < 0.7 * before if kind == "ignore" else after > 1.3 * before


def test_a_blank_map_does_not_win():
    region, floor = torch.ones(1, 4, 4), torch.tensor(1.0)
    assert share(TorchOps, torch.zeros(1, 4, 4), region, floor).item() == 0
    assert share(TorchOps, torch.ones(1, 4, 4), region, floor).item() > 0.9


def test_activation_is_the_closed_form_for_a_pooled_linear_head():
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 5, 5, requires_grad=True)
    head = nn.Linear(8, 3)
    labels = torch.tensor([0, 2])
    score = TorchOps.of_classes(head(maps.mean((2, 3))), labels).sum()
    found = evidence(TorchOps, maps, *torch.autograd.grad(score, maps))
    closed = torch.einsum("bc,bchw->bhw", head.weight[labels], maps) / 25
    assert torch.allclose(found, closed, atol=1e-6)


def test_a_map_that_is_dark_where_one_shall_look_still_leads_there():
    region = torch.zeros(3, 2, 2)
    region[:, 0] = 1
    maps = torch.tensor([[[-3.0, -2.0], [1.0, 0.0]], [[-3.0, -2.0], [-1.0, -4.0]],
                         [[3.0, -2.0], [-1.0, 4.0]]], requires_grad=True)  # fmt: skip
    energy = positive(TorchOps, maps, region)
    assert energy[0].tolist() == [[0.0, 1.0], [4.0, 3.0]]
    assert energy[1].tolist() == [[1.0, 2.0], [3.0, 0.0]]
    assert energy[2].tolist() == [[3.0, 0.0], [0.0, 4.0]]  # as Grad-CAM has it
    share(TorchOps, energy, region, torch.tensor(0.1)).sum().backward()
    assert (maps.grad[:, 0].amax(1) > 0).all()


def test_fused_attention_is_penalised_through_its_plain_form():
    torch.manual_seed(0)
    guidance = guide(Attention().train(), ignore_loss="input_gradient")
    assert guidance.set_state(state(IGNORE)) == "input gradient"
    step_loss(guidance).backward()


def test_without_second_derivatives_it_falls_back_and_says_so_once():
    guidance = guide(OnlyOnce().train(), ignore_loss="input_gradient")
    said = guidance.set_state(state(IGNORE))
    assert said.startswith(f"{FILL} (no second derivative")
    assert guidance.set_state(state(IGNORE)) == FILL
    assert len(guidance.warnings) == 1
    assert guidance.set_state(state(LOOK)).startswith("fill outside")
    step_loss(guidance).backward()


def test_probabilities_as_targets_and_a_batch_of_one():
    guidance = guide(network().train())
    guidance.set_state(state(IGNORE))
    soft = F.one_hot(LABELS[:16], 3).float()
    assert torch.isfinite(guidance.loss(DATA[:16], soft, torch.tensor(1.0)))
    assert torch.isfinite(step_loss(guidance, slice(0, 1)))


def test_mirrored_places():
    place = np.zeros((8, 8), bool)
    assert IMAGE.alike(place) == []
    place[0, :2] = True
    assert [tuple(np.argwhere(p)[0]) for p in IMAGE.alike(place)] == [
        (0, 0),
        (0, 6),
        (7, 0),
        (7, 6),
    ]
    place[:4] = True  # half of the picture keeps to its side
    assert len(IMAGE.alike(place)) == 1
