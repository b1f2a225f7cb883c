"""Alarms: raised in words, without flapping, with what may be undone, and withdrawn in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget import events
from coflect_widget.events import InterventionRecord, Notice
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.run import Run
from coflect_widget.session.alarms import Alarms
from coflect_widget.tasks import Classification, Regression
from coflect_widget.ui.view import View, replay
from tests.conftest import eventually

EPOCH, EVERY, BATCH = 100, 10, 64


class Training:
    """A training in figures: windows of steps, ends of epochs, and what is told meanwhile."""

    def __init__(self, chance=0.1, num_val=1000):
        self.told: list[Intervention] = []
        self.said: list[tuple[int, Notice]] = []
        self.step = 0
        self.alarms = Alarms(
            lambda: list(self.told),
            lambda: chance,
            task=Classification(10) if chance else Regression(),
            every=EVERY,
            batch_size=BATCH,
            steps_per_epoch=EPOCH,
            num_val=num_val,
        )

    def epoch(self, train, val, loss=0.5, val_loss=0.5, name="accuracy", steps=EPOCH):
        for _ in range(steps // EVERY):
            self.step += EVERY
            self._say(self.alarms.trained(train, loss, self.step))
        if val is not None:
            self._say(self.alarms.validated({name: val, "loss": val_loss}, self.step))

    def tell(self, clears=False):
        name = f"i{len(self.told) + 1}"
        record = InterventionRecord(id=name, understood="ignore it", clears=clears)
        self.told.append(Intervention(record, self.step))
        return name

    def undo(self, name):
        self.told = [
            Intervention(e.record, e.step, undone=e.undone or e.id == name) for e in self.told
        ]

    def _say(self, notices):
        self.said += [(self.step, notice) for notice in notices]

    @property
    def log(self):
        return [(n.alarm, n.over, n.intervention) for _, n in self.said]


def test_a_wide_gap_is_said_once_after_two_epochs_and_withdrawn_when_it_is_closed():
    run = Training()
    run.epoch(0.99, 0.45)
    assert run.said == []  # the first ones swing
    for val in (0.45, 0.6, 0.79, 0.85, 0.76):
        run.epoch(0.99, val)
    assert run.log == [("parted", False, None)]
    assert "99 % of what it trains on, in 45 % of what it has not seen" in run.said[0][1].text
    run.epoch(0.99, 0.95)
    assert run.log[1:] == [("parted", True, None)]
    for val in (0.85, 0.78, 0.95):  # near the limit or for one epoch: no word
        run.epoch(0.99, val)
    assert len(run.said) == 2


@pytest.mark.parametrize("val", [0.85, 0.8])
def test_an_ordinary_gap_is_none(val):
    run = Training()
    for _ in range(5):
        run.epoch(0.99, val)
    assert run.said == []


def test_what_is_not_all_is_never_a_hundred_percent():
    run = Training()
    for _ in range(2):
        run.epoch(0.998, 0.45)
    assert "right in more than 99 % of what" in run.said[0][1].text


def test_a_gap_that_few_samples_show_is_no_gap():
    run = Training(num_val=12)
    for _ in range(5):
        run.epoch(0.95, 0.7)
    assert run.said == []


def test_a_regression_parts_by_its_loss():
    run = Training(chance=0.0)
    for _ in range(2):
        run.epoch(None, 0.9, loss=0.1, val_loss=0.5, name="r2")
    assert run.log == [("parted", False, None)]
    assert "0.1 on what it trains on and 0.5, 5.0 times as much" in run.said[0][1].text
    run.epoch(None, 0.9, loss=0.1, val_loss=0.25, name="r2")
    assert len(run.said) == 1
    run.epoch(None, 0.9, loss=0.1, val_loss=0.15, name="r2")
    assert run.log[1:] == [("parted", True, None)]


def test_a_gap_that_opened_after_an_intervention_names_it():
    run = Training()
    run.epoch(0.9, 0.88)
    name = run.tell()
    run.epoch(0.99, 0.7)
    run.epoch(0.99, 0.7)
    assert run.log == [("parted", False, name)]
    assert f"It opened after {name} (ignore it)." in run.said[0][1].text


@pytest.mark.parametrize("validates", [True, False])
def test_a_collapse_after_an_intervention_names_it_and_is_withdrawn_by_undo(validates):
    run = Training()
    for _ in range(2):
        run.epoch(0.95, 0.93 if validates else None)
    name = run.tell()
    run.epoch(0.2, 0.2 if validates else None)
    assert run.log == [("collapse", False, name)]
    step, notice = run.said[0]
    assert step <= 2 * EPOCH + 40  # of some windows, not at the epoch's end
    assert "0.95 before, 0.20 now" in notice.text
    assert notice.level == "warning"
    run.undo(name)
    run.epoch(0.3, None, steps=EVERY)
    assert run.log[1:] == [("collapse", True, name)]
    run.epoch(0.5, 0.5 if validates else None)  # it comes back slowly: no second alarm
    assert len(run.said) == 2


def test_a_shortcut_that_is_lost_is_no_collapse_once_validation_tells():
    run = Training()
    for _ in range(2):
        run.epoch(1.0, 0.3)
    name = run.tell()
    run.epoch(0.5, 0.85)
    kinds = [one for one in run.log if one[0] == "collapse"]
    assert kinds == [("collapse", False, name), ("collapse", True, name)]
    over = run.said[-1][1].text if run.said[-1][1].alarm == "collapse" else run.said[-2][1].text
    assert "validation 0.30 then, 0.85 now" in over
    for _ in range(2):
        run.epoch(0.4, 0.85)  # training is still below what it was
    assert [one for one in run.log if one[0] == "collapse"] == kinds


def test_it_does_not_flap_round_its_limit():
    run = Training()
    run.epoch(0.9, 0.9)
    run.tell()
    limit = (0.9 - 0.1) * 0.5
    for wobble in (0.02, -0.02, 0.02, -0.02, 0.02, -0.02):
        run.epoch(0.9, 0.9 - limit + wobble)
    assert [one for one in run.log if one[0] == "collapse"] == [("collapse", False, "i1")]
    run.epoch(0.9, 0.75)
    assert [one[1] for one in run.log if one[0] == "collapse"] == [False, True]


def test_of_several_the_newest_is_named_and_those_before_are_counted():
    run = Training()
    run.epoch(0.9, 0.9)
    names = [run.tell()]
    run.epoch(0.89, None, steps=20)
    names.append(run.tell())
    run.epoch(0.15, None, steps=80)
    assert run.log == [("collapse", False, names[1])]
    assert (
        f"{names[1]} (ignore it), the last of 2 interventions since step {EPOCH}"
        in run.said[0][1].text
    )


def test_what_falls_by_itself_or_a_little_or_long_after_is_not_laid_at_its_door():
    by_itself, little, late, before = (Training() for _ in range(4))
    by_itself.epoch(0.9, 0.9)
    by_itself.epoch(0.2, 0.2)
    little.epoch(0.9, 0.9)
    little.tell()
    little.epoch(0.7, 0.7)
    late.epoch(0.9, 0.9)
    late.tell()
    for _ in range(4):
        late.epoch(0.9, 0.9)
    late.epoch(0.2, 0.2)
    before.epoch(0.12, 0.12)  # had learned nothing: there is nothing to lose
    before.tell()
    before.epoch(0.05, 0.05)
    assert [r.said for r in (by_itself, little, late, before)] == [[], [], [], []]


def test_a_collapse_ends_however_long_it_lasted():
    run = Training()
    run.epoch(0.9, None)
    run.tell()
    for _ in range(60):  # what was before it is remembered no more
        run.epoch(0.2, None)
    run.epoch(0.85, None)
    assert run.log == [("collapse", False, "i1"), ("collapse", True, "i1")]


def test_clearing_all_guidance_ends_the_alarm():
    run = Training()
    run.epoch(0.9, 0.9)
    run.tell()
    run.epoch(0.2, None)
    run.tell(clears=True)
    run.epoch(0.3, None, steps=EVERY)
    assert run.log == [("collapse", False, "i1"), ("collapse", True, "i1")]


def event(seq, data, kind="notice", step=10):
    return events.Event(
        seq=seq, ts=datetime.now(UTC), run_id="r", type=kind, step=step, epoch=1, data=data
    )


def test_the_screen_holds_an_alarm_until_it_is_over_or_undone(tmp_path):
    view = View(Gallery(tmp_path), "live", "r")
    alarm = Notice(level="warning", text="collapsed", alarm="collapse", intervention="i1")
    parted = Notice(level="warning", text="part", alarm="parted")
    view.apply(event(0, alarm))
    view.apply(event(1, parted, step=20))
    view.apply(event(2, Notice(level="info", text="plain")))
    sections, _ = view.update(full=False)
    assert [(a["kind"], a["intervention"]) for a in sections["alarms"]] == [
        ("collapse", "i1"),
        ("parted", None),
    ]
    assert [n["text"] for n in sections["notices"]] == ["plain"]
    view.apply(event(3, events.Undone(id="i1"), "undo"))
    assert [a["kind"] for a in view.update(full=False)[0]["alarms"]] == ["parted"]
    view.apply(event(4, Notice(level="info", text="", alarm="parted", over=True)))
    assert view.update(full=False)[0]["alarms"] == []


def test_a_notice_of_an_old_stream_is_no_alarm(tmp_path):
    old = json.loads(event(0, Notice(level="info", text="x")).model_dump_json())
    for name in ("alarm", "over", "intervention"):
        del old["data"][name]
    read = events.read_event(json.dumps(old).encode())
    assert (read.data.alarm, read.data.over, read.data.intervention) == ("", False, None)


class Shouts(nn.Module):
    """Right by the brightest quarter; a strong "look" elsewhere leaves it nothing to go by."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(128, 4),
        )  # fmt: skip

    def forward(self, x):
        return self.net(x)


def test_a_real_training_that_collapses_says_so_in_the_stream_and_the_replay(make_session):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 512)
    x = rng.normal(0, 0.1, (512, 1, 16, 16)).astype(np.float32)
    for picture, label in zip(x, y, strict=True):
        row, column = divmod(int(label), 2)
        picture[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 1
    model = Shouts()
    session = make_session(
        model=model,
        data=(x, y),
        val=(x, y),
        optimizer=lambda p: torch.optim.Adam(p, 0.01),
        config={"log_every": 4},
    )
    session.train(epochs=1000)
    eventually(lambda: (session.metrics.get("val_accuracy") or 0) > 0.95)
    session.pause()
    entry = session.feedback(sample=0, look=(0.1, 0.1, 0.2, 0.2), strength=0.05)
    # What the guidance may do to a model in the worst case, done by hand: it knows nothing more.
    with torch.no_grad():
        for group in session._parts.backend.optimizer.param_groups:
            group["lr"] = 0.0
        for parameter in model.parameters():
            parameter.zero_()
    session.resume()

    def alarms():
        return [e.data for e in session.events("notice") if e.data.alarm == "collapse"]

    eventually(alarms)
    assert alarms()[0].intervention == entry.id
    session.pause()
    session._parts.stream.flush()
    shown = replay(Run(session.run.path)).everything()[0]["alarms"]
    assert [a["intervention"] for a in shown] == [entry.id]
    session.undo(entry.id)
    session._parts.stream.flush()
    assert replay(Run(session.run.path)).everything()[0]["alarms"] == []
    session.resume()
    eventually(lambda: any(notice.over for notice in alarms()))
    session.stop()
