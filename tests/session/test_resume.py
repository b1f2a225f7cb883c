"""A run that is killed goes on where it was: bit for bit, with all that a person said."""

import contextlib
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import coflect_widget as coflect
from coflect_widget.records.checkpoint_files import find_checkpoints
from tests.conftest import eventually, tiny_cnn, to_step


class Augmented(Dataset):
    """Draws from all three generators for each item."""

    def __init__(self, n=160):
        self.given = coflect.data.synthetic(n=n)

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        x, y, *_ = self.given[index]
        x = torch.as_tensor(x)
        return x + 0.05 * torch.randn(3, 1, 1) + 0.05 * np.random.rand(), y  # noqa: NPY002


def network(width=8):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.2),
        nn.Conv2d(width, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 4),
    )  # fmt: skip


def arguments(folder, **more):
    return {
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "scheduler": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=4),
        "batch_size": 32, "run_dir": folder,
        # what idle time computes is no two times the same
        "config": {"forecast": {"probes": 0, "horizon_epochs": 1}},
    } | more  # fmt: skip


@pytest.fixture
def make(tmp_path):
    made = []

    def session(run_dir="runs", model=None, data=None, val=None, **more):
        made.append(
            coflect.Session(
                model or network(), data or Augmented(), val or Augmented(64),
                **arguments(tmp_path / run_dir, **more),
            )
        )  # fmt: skip
        return made[-1]

    yield session
    for one in made:
        one.close()


def steered(session, name=None):
    """Strokes and a verdict at fixed steps; with `name` a checkpoint after the first of them."""
    session.train(epochs=4)
    session.pause()
    to_step(session, 2)
    session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
    to_step(session, 7)
    if name:
        session.checkpoint(name)
    to_step(session, 9)
    session.judge(5, "wrong", 2)
    look = session.feedback(sample=8, look=(0.2, 0.2, 0.8, 0.8))
    to_step(session, 11)
    session.undo(look)
    to_step(session, 12)


def outcome(session):
    session._parts.forecaster.drain(30)
    scores = [(s.epoch_named, s.named, s.hits, s.chance) for s in session._parts.scoring.scores]
    return {
        "weights": {k: v.clone() for k, v in session._backend.model.state_dict().items()},
        "queue": [(one.index, one.risk, one.reason) for one in session.candidates],
        "suspects": session.suspects,
        "scores": scores,
        "ledger": [(one.id, one.step, one.undone, one.understood) for one in session.interventions],
        "margins": session._parts.forecaster.store.margin_mean.copy(),
    }


def same(one, other):
    assert one["weights"].keys() == other["weights"].keys()
    different = [
        k for k in one["weights"] if not torch.equal(one["weights"][k], other["weights"][k])
    ]
    assert different == []
    for part in ("queue", "suspects", "scores", "ledger"):
        assert one[part] == other[part], part
    assert np.array_equal(one["margins"], other["margins"])


def copied_as_killed(session, tmp_path):
    """The run folder as a kill would have left it at this moment, with half a line at its end."""
    session._parts.stream.flush()
    folder = tmp_path / "killed" / session.run.id

    def copied():  # files come and go meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(shutil.Error):
            shutil.copytree(session.run.path, folder, ignore=shutil.ignore_patterns("overlays"))
            return True

    eventually(copied)
    (folder / "overlays").mkdir()
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"schema_version":1,"seq":')
    return folder


def rows(scalars):
    """What training and validation came to; two threads write, in no order."""
    columns = (scalars[name].tolist() for name in ("split", "step", "epoch", "loss"))
    return sorted(zip(*columns, strict=True))


def test_resumed_in_mid_epoch_it_ends_as_if_it_had_never_been_interrupted(make, tmp_path):
    whole = make()
    steered(whole)
    whole.resume()
    assert whole.wait(60)
    wanted = outcome(whole)
    charts = whole.run.scalars()
    whole.close()

    killed = make("others")
    steered(killed, "mid")
    killed.resume()
    eventually(lambda: killed.metrics["step"] > 14)
    killed.stop()
    folder = copied_as_killed(killed, tmp_path)
    killed.close()

    at = find_checkpoints(folder)["mid"]
    assert at.step == 7
    assert at.lacks == ("the effect of i1, which was being measured",)
    assert at.inexact == ()
    resumed = make(resume=at)
    torch.rand(5)  # whatever happens meanwhile in the kernel
    assert resumed.metrics["step"] == 7
    assert resumed.run.path == folder
    # All is there at once: what was said later comes into force again at its step.
    assert [one.id for one in resumed.interventions] == ["i1", "i2"]
    assert len(resumed._parts.steering.ledger.taken) == 1
    resumed.train()
    assert resumed.wait(60)
    same(outcome(resumed), wanted)
    again = resumed.run.scalars()
    assert rows(again) == rows(charts)
    events = resumed.events()
    assert [e.seq for e in events] == sorted({e.seq for e in events})
    assert len(resumed.events("intervention")) == 2  # said once, recorded once
    [noted] = resumed.events("resumed")
    assert (noted.step, noted.data.checkpoint) == (7, f"checkpoints/{at.path.name}")


def test_killed_before_the_first_checkpoint_nothing_said_is_lost(make, tmp_path):
    first = make(config={"forecast": {"probes": 0}, "checkpoint_minutes": 0})
    first.train(epochs=4)
    first.pause()
    to_step(first, 3)
    first.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4))
    folder = copied_as_killed(first, tmp_path)
    first.resume()
    first.wait(60)
    wanted = outcome(first)
    first.close()
    run = coflect.open_run(folder)
    assert run.checkpoints == []
    assert [(one.id, one.step) for one in run.ledger.interventions] == [("i1", 3)]
    resumed = run.resume(
        network(), Augmented(), Augmented(64),
        **{k: v for k, v in arguments(tmp_path).items() if k not in ("run_dir", "config")},
    )  # fmt: skip
    with resumed:
        assert resumed.metrics["step"] == 0
        assert "no checkpoint" in resumed.events("notice")[-1].data.text
        resumed.train(epochs=4)
        resumed.wait(60)
        assert resumed.config.forecast.probes == 0  # the run's settings, as they were
        same(outcome(resumed), wanted)


def turned(session, name=None):
    """Knobs and changes of the data at fixed steps; with `name` a checkpoint after the first."""
    session.train(epochs=4)
    session.pause()
    to_step(session, 2)
    slow = session.set(lr=0.01)
    to_step(session, 4)
    if name:
        session.checkpoint(name)
    session.set(momentum=0.5, freeze="0")
    session.drop([7, 11])
    to_step(session, 6)
    session.undo(slow)
    session.relabel([9], [3])
    session.add(np.ones((2, 3, 32, 32), np.float32), [1, 2])
    to_step(session, 7)


@pytest.mark.parametrize("at", ["early", None])
def test_knobs_and_changed_data_come_into_force_again(make, tmp_path, at):
    whole = make()
    turned(whole)
    whole.resume()
    assert whole.wait(60)
    wanted, groups = outcome(whole), knobs_of(whole)
    whole.close()
    killed = make("others")
    turned(killed, at)
    killed.step(1)
    folder = copied_as_killed(killed, tmp_path)
    killed.stop()
    killed.close()
    found = find_checkpoints(folder)
    resumed = make(resume=found[at] if at else found.last)
    resumed.train()
    assert resumed.wait(60)
    same(outcome(resumed), wanted)
    assert knobs_of(resumed) == groups
    assert not any("could not be put" in e.data.text for e in resumed.events("notice"))


def knobs_of(session):
    group = session._backend.optimizer.param_groups[0]
    fixed = [n for n, p in session._backend.model.named_parameters() if not p.requires_grad]
    changed = session._parts.labels.kept(), session._backend.members.tolist()
    return group["lr"], group["momentum"], fixed, changed


def test_what_was_said_but_not_reached_again_is_kept_through_a_second_kill(make, tmp_path):
    first = make()
    steered(first, "early")
    folder = copied_as_killed(first, tmp_path)
    first.resume()
    first.wait(60)
    wanted = outcome(first)
    first.close()
    second = make(resume=find_checkpoints(folder)["early"])
    second.train()
    second.pause()
    assert second.metrics["step"] in (7, 8)
    second.checkpoint("later")  # with strokes of steps 9 and 11 still to come
    second.stop()
    second.close()
    third = make(resume=find_checkpoints(folder)["later"])
    assert len(third._parts.keeping.coming()) == 3  # a verdict, a stroke, and its undoing
    third.train()
    third.wait(60)
    same(outcome(third), wanted)


def test_a_stop_in_the_validation_is_gone_on_with_by_the_validation(make):
    class Slow(Augmented):
        held = True

        def __getitem__(self, index):
            if Slow.held and index == 40:
                Slow.entered = True
                eventually(lambda: not Slow.held)
            return super().__getitem__(index)

    whole = make()
    whole.train(epochs=2)
    whole.wait(60)
    wanted = outcome(whole)
    whole.close()
    Slow.held = Slow.entered = False
    first = make("others", val=Slow(64), config={"forecast": {"probes": 0, "horizon_epochs": 1}})
    Slow.held = True
    first.train(epochs=2)
    eventually(lambda: Slow.entered)
    first._parts.controls.stop()
    Slow.held = False
    first.wait(60)
    assert first.state == "stopped"
    first.close()
    resumed = make(resume=first.run)
    assert resumed.metrics["step"] in (5, 10)
    resumed.train()
    resumed.wait(60)
    ended = outcome(resumed)
    assert resumed.metrics["epoch"] == 2
    same(ended, wanted)
    assert len([e for e in resumed.events("metrics") if e.split == "val"]) == 2
    assert ended["ledger"] == wanted["ledger"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": lambda: network(12)}, r"'0\.weight' of the model is of shape \(12, 3, 3, 3\)"),
        ({"model": lambda: tiny_cnn()}, r"the model has no '4\.weight', which"),
        ({"data": lambda: Augmented(128)}, "train_data has 128 samples, the run's had 160"),
        ({"val": lambda: Augmented(32)}, "val_data has 32 samples, the run's had 64"),
        ({"batch_size": lambda: 16}, "batch_size=16, the run was trained with 32"),
        ({"config": lambda: {"seed": 4}}, r"config\['seed'\] = 4, the run's was 0"),
        ({"classes": lambda: ["a", "b", "c", "d"]}, "classes are .*'a'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_difference(ended, make, change, message):
    with pytest.raises(ValueError, match=message):
        make(resume=ended, **{name: value() for name, value in change.items()})


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended")
    session = coflect.Session(network(), Augmented(), Augmented(64), **arguments(folder))
    with session:
        session.train(steps=3)
        session.wait(240)
    return session.run.path


def test_other_values_of_the_same_labels_are_refused(make, shapes, tmp_path):
    data = coflect.data.synthetic(n=96)
    first = make(data=data)
    first.train(steps=2)
    first.wait(60)
    first.close()
    other = coflect.data.synthetic(n=96)
    other.images = other.images + 0.25
    with pytest.raises(ValueError, match="the same labels, other values"):
        make(data=other, resume=first.run)
    open_one = make("third", data=data)
    with pytest.raises(ValueError, match="is being written by another session"):
        make(data=data, resume=open_one.run)
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        make(resume=tmp_path / "nowhere")
    with pytest.raises(TypeError, match="must be a run"):
        make(resume=3)


def test_a_damaged_checkpoint_is_left_out_or_named(ended, make, tmp_path):
    folder = tmp_path / "damaged" / ended.name
    shutil.copytree(ended, folder)
    [one] = find_checkpoints(folder)
    with (one.path / "state.safetensors").open("ab") as file:
        file.write(b"more")
    assert find_checkpoints(folder) == []
    with pytest.raises(ValueError, match=r"no whole checkpoint: state\.safetensors has"):
        make(resume=one.path)
    manifest = json.loads((one.path / "checkpoint.json").read_text())
    (one.path / "checkpoint.json").write_text(json.dumps({**manifest, "format": "other"}))
    with pytest.raises(ValueError, match="its format is 'other'"):
        make(resume=one.path)


def test_a_loop_of_ones_own_goes_on_with_what_belongs_to_the_session(make, shapes, tmp_path):
    data = coflect.data.synthetic(n=96)
    tensors = [(torch.as_tensor(x), y) for x, y, *_ in (data[i] for i in range(96))]

    def train(session, model, optimizer, epochs):
        for x, y in session.loop(DataLoader(tensors, 32), epochs=epochs, validate=False):
            logits = model(x)
            loss = nn.functional.cross_entropy(logits, y)
            session.observe(None, logits, y)
            optimizer.zero_grad()
            (loss + session.guidance_loss(x, y, loss)).backward()
            optimizer.step()

    model = tiny_cnn()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    first = make(model=model, data=tensors, optimizer=optimizer, scheduler=None)
    train(first, model, optimizer, 2)
    first.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4))
    seen = first._parts.forecaster.store.times_seen.copy()
    momentum = [optimizer.state[p]["momentum_buffer"].clone() for p in model.parameters()]
    first.close()
    again = tiny_cnn(seed=5)
    fresh = torch.optim.SGD(again.parameters(), 0.1, momentum=0.9)
    resumed = make(model=again, data=tensors, optimizer=fresh, scheduler=None, resume=first.run)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )
    kept = [fresh.state[p]["momentum_buffer"] for p in again.parameters()]
    assert all(map(torch.equal, momentum, kept))  # the optimizer was given: it is kept too
    assert [one.id for one in resumed.interventions] == ["i1"]
    assert np.array_equal(resumed._parts.forecaster.store.times_seen, seen)
    train(resumed, again, fresh, 1)
    assert (resumed.metrics["step"], resumed.metrics["epoch"]) == (9, 3)
    assert resumed._parts.steering.ledger.state().strokes
