"""Knobs without a session: sentences, what they come to, what is refused."""

from functools import partial

import pytest
import torch
from torch import nn

from coflect_widget.backends.knobs import fold
from coflect_widget.backends.torch.knobs import TorchKnobs
from coflect_widget.events import KnobInput, KnobTurn
from coflect_widget.guidance import instructions
from coflect_widget.guidance.instructions import NotUnderstood
from coflect_widget.guidance.knobs import inputs_of, turn_of, understood, words
from coflect_widget.modalities import IMAGE
from coflect_widget.studies.knob_effect import KnobWatch

parse = partial(instructions.parse, modality=IMAGE)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("lr x 0.5", KnobInput(name="lr", factor=0.5)),
        ("Halve the learning rate.", KnobInput(name="lr", factor=0.5)),
        ("double lr", KnobInput(name="lr", factor=2)),
        ("divide lr by 4", KnobInput(name="lr", factor=0.25)),
        ("lr / 4", KnobInput(name="lr", factor=0.25)),
        ("increase lr by 10%", KnobInput(name="lr", factor=1.1)),
        ("lower weight decay by 50 %", KnobInput(name="weight_decay", factor=0.5)),
        ("lr 0.001", KnobInput(name="lr", value=[0.001])),
        ("LR = 1e-3", KnobInput(name="lr", value=[0.001])),
        ("set the learning rate to .01", KnobInput(name="lr", value=[0.01])),
        ("weight_decay 0.01", KnobInput(name="weight_decay", value=[0.01])),
        ("momentum: 0.8", KnobInput(name="momentum", value=[0.8])),
        ("batch size 32", KnobInput(name="batch_size", value=[32])),
        ("freeze layer1", KnobInput(name="freeze", layers=["layer1"])),
        ("freeze layers layer1.0, Stem and layer2",
         KnobInput(name="freeze", layers=["layer1.0", "Stem", "layer2"])),
        ("unfreeze the layer1", KnobInput(name="unfreeze", layers=["layer1"])),
    ],
)  # fmt: skip
def test_a_sentence_turns_a_knob_and_its_echo_means_the_same(said, meant):
    found = parse(said)
    assert found.action == "knobs"
    assert found.knobs == (meant,)
    assert parse(found.echo()).knobs == found.knobs


@pytest.mark.parametrize(
    "said", ["lr", "lr x", "lr fast", "freeze", "weight decy 0.1", "lr / 0", "focus x 2"]
)
def test_half_a_sentence_turns_nothing(said):
    assert isinstance(parse(said), NotUnderstood)


def test_what_is_near_a_knob_is_offered():
    assert "lr x 0.5" in parse("lr y 0.5").nearest


def test_a_fold_takes_out_one_turn_as_if_it_had_never_been():
    half = KnobTurn(name="lr", factor=0.5)
    one = KnobTurn(name="lr", value=[0.01], at=[0.1, 0.2])
    assert fold([0.1, 0.2], [half]) == [0.05, 0.1]
    assert fold([0.1, 0.2], [half, one, half]) == [0.005, 0.005]
    assert fold([0.1, 0.2], [half, half]) == [0.025, 0.05]
    assert fold([0.1, 0.2], []) == [0.1, 0.2]
    # a schedule that has halved its rate since goes on from the value that was set
    assert fold([0.05, 0.1], [one]) == [0.005, 0.005]
    assert fold([0.1, 0.2], [KnobTurn(name="lr", value=[None, 0.3], at=[0.1, 0.2])]) == [0.1, 0.3]


def model():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)
    )


def board(optimizer, net, scheduler=None):
    return TorchKnobs(net, optimizer, scheduler, lambda rows: None)


def turn(knobs, in_force=(), **given):
    found = []
    for knob in inputs_of(given):
        found.append(turn_of(knob, knobs, [*in_force, *found], 64, 1000))
    return found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lr": 0}, "above 0"),
        ({"lr": -0.1}, "above 0"),
        ({"lr": float("nan")}, "finite"),
        ({"lr": "x 0"}, "above 0"),
        ({"lr": [0.1, 0.2, 0.3]}, "1 group"),
        ({"weight_decy": 0.1}, "did you mean 'weight_decay'"),
        ({"weight_decay": -1}, "at least 0"),
        ({"momentum": 1.0}, "below 1"),
        ({"nesterov": 1}, "no knob 'nesterov'"),
        ({"freeze": "4.weigth"}, "did you mean '4.weight'"),
        ({"freeze": "3x"}, "no layer '3x'; known are"),
        ({"freeze": "2"}, "no weights"),
        ({"freeze": ["0", "1", "4"]}, "nothing would be left to train"),
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 2.5}, "whole number"),
        ({"batch_size": 1001}, "at most 1000"),
    ],
)
def test_what_cannot_be_turned_says_what_to_do_and_changes_nothing(given, says):
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    knobs = board(optimizer, net)
    with pytest.raises(ValueError, match=says):
        knobs.put(turn(knobs, **given))
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.1, 0.9)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(
    "given", [{}, {"lr": True}, {"lr": "fast"}, {"lr": object()}, {"freeze": []}, {"freeze": [1]}]
)
def test_what_is_no_value_is_a_type_error(given):
    with pytest.raises(TypeError):
        inputs_of(given)


def test_groups_of_their_own_rates():
    net = model()
    groups = [{"params": net[0].parameters()}, {"params": net[4].parameters(), "lr": 0.01}]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    knobs = board(optimizer, net)
    with pytest.raises(ValueError, match=r"give one for each, lr=\[0.1, 0.01\]"):
        turn(knobs, lr=0.5)
    knobs.put(turn(knobs, lr="x 0.5", betas=(0.8, 0.99), momentum=0.7, eps=1e-6))
    assert [g["lr"] for g in optimizer.param_groups] == [0.05, 0.005]
    assert {g["betas"] for g in optimizer.param_groups} == {(0.7, 0.99)}
    assert {g["eps"] for g in optimizer.param_groups} == {1e-6}
    knobs.put(turn(knobs, lr=[None, 0.2]))
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.2]
    assert {g["betas"] for g in optimizer.param_groups} == {(0.9, 0.999)}
    knobs.put([])
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.01]


SCHEDULES = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (step + 1)),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.3, total_steps=20),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_from_a_knob_and_as_ever_after_its_undoing(name):
    curves = {}
    for turned in (False, True):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        scheduler = SCHEDULES[name](optimizer)
        knobs = board(optimizer, net, scheduler)
        curve, group = [], optimizer.param_groups[0]
        for step in range(12):
            if turned and step == 3:
                knobs.put(turn(knobs, lr=0.02, momentum=0.5))
                assert (group["lr"], group["momentum"]) == (0.02, 0.5)
            if turned and step == 8:
                knobs.put([])
            curve.append((group["lr"], group["momentum"]))
            optimizer.step()
            with knobs.values.beneath():
                scheduler.step()
        curves[turned] = curve
    plain, turned = curves[False], curves[True]
    assert plain[:3] + plain[8:] == turned[:3] + turned[8:]  # to the last bit
    ratio = 0.02 / plain[3][0]
    assert [lr for lr, _ in turned[3:8]] == pytest.approx([lr * ratio for lr, _ in plain[3:8]])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_nobody_knows_of_goes_on_from_a_knob_too(name):
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = SCHEDULES[name](optimizer)
    plain = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    same = SCHEDULES[name](plain)
    knobs = board(optimizer, net)  # as in a loop of one's own, which steps its schedule itself
    rates, expected = [], []
    optimizer.register_step_post_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    for step in range(10):
        if step == 2:
            knobs.put(turn(knobs, lr="x 0.5"))
        if step == 8:
            knobs.put([])
        expected.append(plain.param_groups[0]["lr"] * (0.5 if 2 <= step < 8 else 1))
        for each in (optimizer, plain, scheduler, same):
            each.step()
    assert rates == pytest.approx(expected, rel=1e-9)
    assert not optimizer._optimizer_step_pre_hooks


def test_a_schedule_at_zero_cannot_be_set_and_says_so():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    knobs = board(optimizer, net, scheduler)
    with pytest.raises(ValueError, match="gives lr 0 at this step"):
        turn(knobs, lr=0.02)


def test_a_frozen_layer_keeps_weights_and_statistics_also_in_a_loop_of_ones_own():
    net = model()
    net[1].requires_grad_(True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1)
    knobs = board(optimizer, net)
    x, y = torch.rand(8, 3, 3, 3), torch.randint(0, 2, (8,))

    def step():
        net.train()  # as a loop of one's own begins each epoch
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        return {name: value.clone() for name, value in net.state_dict().items()}

    before = step()
    freeze = turn(knobs, freeze=["0", "1"])
    knobs.put(freeze)
    after = step()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name[0] in "01"}
    shares = {layer.name: layer.frozen for layer in knobs.layers()}
    assert shares == {"0": 1.0, "1": 1.0, "4": 0.0}

    knobs.put([*freeze, *turn(knobs, freeze, unfreeze="1")])
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True, True, True]
    moved = step()
    assert not torch.equal(moved["1.running_mean"], after["1.running_mean"])
    knobs.put([])
    assert all(p.requires_grad for p in net.parameters())
    assert net[1].training
    assert not torch.equal(step()["0.weight"], moved["0.weight"])


def test_what_a_user_held_stays_held():
    net = model()
    net[1].eval()
    for p in net[0].parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    knobs = board(optimizer, net)
    knobs.put(turn(knobs, freeze=["0", "1"]))
    knobs.put([])
    assert [p.requires_grad for p in net[0].parameters()] == [False, False]
    assert not net[1].training
    with pytest.raises(ValueError, match="not among the optimizer's weights"):
        knobs.put(turn(knobs, unfreeze="0"))


def test_words_say_before_and_after():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    knobs = board(optimizer, net)
    given = {"lr": "x 0.5", "freeze": ["0", "1"], "batch_size": 32}
    turns = turn(knobs, **given)
    assert words(inputs_of(given)) == "lr x 0.5; freeze 0, 1; batch size 32"
    said = understood(turns, {"lr": "StepLR"})
    assert said == (
        "lr 0.1 -> 0.05 (x 0.5); the StepLR goes on from there, its rates in the same ratio; "
        "freeze 0, 1; batch size 64 -> 32"
    )


# --- effects -------------------------------------------------------------------------------------


def watched(accuracies, at=4, **options):
    """The effects of one knob between two epochs of 10 steps."""
    told = []
    watch = KnobWatch(
        options.get("after", 10), "accuracy", options.get("num_val", 1000), told.append
    )
    for epoch, accuracy in enumerate(accuracies):
        if epoch == at:
            watch.applied("i1", epoch * 10 + 5)
        watch.validated({"loss": 1 - accuracy, "accuracy": accuracy}, epoch * 10 + 10)
    watch.ended()
    return told


def test_an_effect_gives_figures_and_no_verdict_where_training_may_have_done_it():
    (effect,) = watched([0.5, 0.55, 0.6, 0.65, 0.7, 0.75])
    assert effect.verdict == "no verdict"
    assert "accuracy 0.65 -> 0.75" in effect.text
    assert (effect.from_step, effect.to_step) == (45, 60)
    assert {m.name: m.change for m in effect.measures} == pytest.approx(
        {"validation loss": -0.1, "validation accuracy": 0.1}
    )


def test_a_fall_that_is_more_than_usual_is_harm():
    (effect,) = watched([0.5, 0.6, 0.58, 0.65, 0.7, 0.2])
    assert effect.verdict == "harmed"
    (effect,) = watched([0.5, 0.6, 0.2, 0.65, 0.2, 0.65, 0.3], at=5)  # it falls so by itself
    assert effect.verdict == "no verdict"
    (effect,) = watched([0.5, 0.6, 0.58, 0.65, 0.7, 0.5], num_val=20)  # 20 samples tell nothing
    assert effect.verdict == "no verdict"


def test_nothing_to_hold_it_beside_is_said_and_nothing_to_tell_by_tells_nothing():
    (effect,) = watched([0.5, 0.6, 0.7], at=0)
    assert effect.measures == []
    assert "nothing was validated before it" in effect.text
    assert watched([0.5, 0.6], after=0, at=0) == []
    assert watched([0.5, 0.6], num_val=0, at=0) == []
