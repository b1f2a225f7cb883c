"""Updates go out as browsers take them: credit, latest wins, nothing unseen, resync, notices."""

import random
import threading
import time

import numpy as np
import pytest

from coflect_widget import events
from coflect_widget.modalities.base import Rendering
from coflect_widget.records.pictures import Gallery, NoDataError
from coflect_widget.ui.inbox import Inbox
from coflect_widget.ui.publisher import CREDIT, Publisher
from coflect_widget.ui.view import View
from tests.conftest import eventually


class Screen:
    """Keeps what would go to the browsers; can fail on demand."""

    def __init__(self):
        self.updates = []
        self.failing = False

    def send(self, content, buffers=None):
        if self.failing:
            raise OSError("the comm is gone")
        if content["kind"] == "update":
            points = {
                series["name"]: np.frombuffer(buffers[series["points_buffer"]]).reshape(-1, 2)
                for series in content.get("metrics", [])
            }
            self.updates.append((content, points))

    def keep(self, snapshot):
        self.kept = snapshot


@pytest.fixture
def stage(make_session):
    session = make_session()
    session._parts.stream.flush()
    screen = Screen()
    publisher = Publisher(View(session._parts.gallery, "live", session.run.id), screen)
    publisher.start()
    count = iter(range(1, 10**9))

    def happen(times=1):
        for _ in range(times):
            seq = next(count)
            publisher.event(
                events.Event(
                    seq=seq, ts="2026-01-01T00:00:00Z", run_id="r", type="metrics", step=seq,
                    epoch=0, split="train", data=events.Metrics(values={"loss": float(seq)}),
                )
            )  # fmt: skip

    yield screen, publisher, happen
    publisher.close()


def shown(screen):
    """The curve that a browser has put together, and the numbers of the updates."""
    curve = []
    for content, points in screen.updates:
        new = points.get("train/loss", np.empty((0, 2))).tolist()
        curve = new if content["full"] else curve + new
    return curve


def test_a_browser_that_stalls_gets_few_updates_and_misses_nothing(stage):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    for _ in range(3 * CREDIT):  # a person who clicks: each would be sent at once
        happen(5)
        publisher.select(3)
        time.sleep(0.1)
    eventually(lambda: publisher._held)
    stalled = len(screen.updates)
    happen(300)
    assert CREDIT <= stalled <= CREDIT + 2
    total = 3 * CREDIT * 5 + 300
    for _ in range(20):  # it goes on: what it has not seen comes in one piece
        publisher.ack("a", screen.updates[-1][0]["seq"], seen=True, attended=True)
        if len(shown(screen)) == total:
            break
        time.sleep(0.1)
    assert [step for step, _ in shown(screen)] == list(range(1, total + 1))
    assert sum(content["full"] for content, _ in screen.updates) == 1
    seqs = [content["seq"] for content, _ in screen.updates]
    assert seqs == list(range(1, len(seqs) + 1))


def test_where_the_run_goes_back_all_of_it_is_sent_anew(stage):
    screen, publisher, happen = stage
    publisher.hello("a")
    happen(20)
    eventually(lambda: len(shown(screen)) == 20)
    back = events.Resumed(seq=5, validated=10)
    anew = {"ts": "2026-01-01T00:00:00Z", "run_id": "r", "epoch": 0}
    publisher.event(events.Event(seq=21, type="resumed", step=10, data=back, **anew))
    for seq, step in ((22, 11), (23, 12)):
        metrics = events.Metrics(values={"loss": -1.0})
        told = {**anew, "type": "metrics", "step": step, "split": "train", "data": metrics}
        publisher.event(events.Event(seq=seq, **told))
    course = [[float(k), float(k)] for k in range(1, 11)] + [[11.0, -1.0], [12.0, -1.0]]
    eventually(lambda: shown(screen) == course)
    sent = len(screen.updates)
    publisher.select(3)
    eventually(lambda: len(screen.updates) > sent)
    assert not screen.updates[-1][0]["full"], "once is enough"


def test_what_nobody_waits_for_is_gathered_and_goes_with_what_a_person_does(stage, monkeypatch):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    monkeypatch.setattr("coflect_widget.ui.publisher.GATHERED", 600)
    happen(20)
    time.sleep(0.3)
    assert len(screen.updates) <= 2  # one was perhaps under way
    publisher.select(3)
    eventually(lambda: len(shown(screen)) == 20)
    assert len(screen.updates) <= 3


def test_a_view_without_a_hand_on_it_gets_few_updates_until_the_hand_is_back(stage, monkeypatch):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    monkeypatch.setattr("coflect_widget.ui.publisher.LEISURE", 600)
    publisher.ack("a", 1, seen=True, attended=False)
    eventually(lambda: publisher._gathers == 600)
    happen(20)
    time.sleep(1.0)
    assert len(screen.updates) <= 2  # one was perhaps under way
    publisher.ack("a", screen.updates[-1][0]["seq"], seen=True, attended=True)
    eventually(lambda: len(shown(screen)) == 20)
    happen(5)
    eventually(lambda: len(shown(screen)) == 25)


def test_nothing_is_sent_to_views_that_nobody_sees_and_all_of_it_afterwards(stage):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    publisher.ack("a", 1, seen=False, attended=True)
    eventually(lambda: not publisher._clients["a"].seen)
    happen(50)
    eventually(lambda: not publisher._events)
    time.sleep(0.2)
    assert len(screen.updates) == 1
    publisher.ack("a", 1, seen=True, attended=True)
    eventually(lambda: len(shown(screen)) == 50)
    assert not screen.updates[-1][0]["full"]


def test_a_lost_update_leads_to_one_resync(stage):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    happen()
    eventually(lambda: len(screen.updates) == 2)
    for _ in range(3):  # the second one never arrived
        publisher.ack("a", 1, seen=True, attended=True)
    eventually(lambda: screen.updates[-1][0]["full"])
    publisher.ack("a", screen.updates[-1][0]["seq"], seen=True, attended=True)
    happen()
    eventually(lambda: len(shown(screen)) == 2)
    assert sum(content["full"] for content, _ in screen.updates) == 2


@pytest.mark.slow
def test_a_stalled_browser_does_not_hold_a_second_one_back(stage):
    screen, publisher, happen = stage
    publisher.hello("stalled")
    publisher.hello("quick")
    for _ in range(3 * CREDIT):
        before = len(screen.updates)
        happen()
        eventually(lambda before=before: len(screen.updates) > before)
        publisher.ack("quick", screen.updates[-1][0]["seq"], seen=True, attended=True)
    assert len(shown(screen)) == 3 * CREDIT


def test_a_fault_of_the_dashboard_becomes_a_notice(stage):
    screen, publisher, happen = stage
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    screen.failing = True
    happen()
    eventually(lambda: publisher.error)
    screen.failing = False
    happen()
    eventually(lambda: len(screen.updates) > 1 and len(shown(screen)) == 2)
    assert screen.updates[-1][0]["full"]
    notices = [n["text"] for content, _ in screen.updates for n in content.get("notices", [])]
    assert any("the comm is gone" in text for text in notices)


def test_a_fault_of_a_listener_becomes_one_notice(make_session):
    session = make_session()

    def broken(event):
        raise ZeroDivisionError("no reason")

    session._parts.stream.subscribe(broken)
    for _ in range(3):
        session.feedback(instruction="increase focus by 10%")
    texts = eventually(lambda: [e.data["text"] for e in session.events("notice")])
    assert sum("no reason" in text for text in texts) == 1
    assert len(session.interventions) == 3


@pytest.mark.slow
def test_ten_thousand_clicks_and_as_many_malformed_messages(make_session, watched_controls):
    session, controls, _ = watched_controls
    session.train(steps=10**7)
    rng = random.Random(5)
    stroke = {"kind": "ignore", "roi": [0.1, 0.1, 0.4, 0.4]}
    good = [
        lambda: {"kind": "pause"},
        lambda: {"kind": "resume"},
        lambda: {"kind": "advance", "unit": "step"},
        lambda: {"kind": "explain", "index": rng.randrange(32)},
        lambda: {"kind": "look", "index": rng.randrange(32), "step": rng.randrange(99)},
        lambda: {"kind": "ack", "seq": rng.randrange(99), "seen": True, "attended": True},
        lambda: {"kind": "feedback", "sample": 3, "strokes": [stroke], "strength": 0.5},
    ]
    weights = [20, 20, 20, 10, 10, 19, 1]
    junk = [
        None,
        [],
        "x",
        -1,
        2**70,
        float("inf"),
        {"a": {}},
        "\u202e<img onerror=x>",
        True,
        "z" * 10_000,
    ]

    def bad():
        message = good[rng.randrange(len(good))]()
        message[rng.choice([*message, "extra"])] = rng.choice(junk)
        return message

    def clicks(count, make):
        for i in range(count):
            message = make()
            controls._receive(None, {**message, "id": f"{threading.get_ident()}-{i}"}, [])

    before = controls.malformed + controls.refused
    crowd = [
        threading.Thread(target=clicks, args=(5000, lambda: rng.choices(good, weights)[0]())),
        threading.Thread(target=clicks, args=(5000, lambda: rng.choices(good, weights)[0]())),
        threading.Thread(target=clicks, args=(10_000, bad)),
    ]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(240)
    session.stop()
    assert session.state == "stopped"
    assert controls.malformed + controls.refused > before + 5000
    seqs = [event.seq for event in session.events()]
    assert seqs == list(range(len(seqs)))
    told = session.events("intervention")
    assert [event.data["id"] for event in told] == [entry.id for entry in session.interventions]
    assert [event.step for event in told] == sorted(event.step for event in told)


@pytest.fixture
def watched_controls(make_session):
    from coflect_widget.ui.commands import Commands

    session = make_session()
    screen = Screen()
    publisher = Publisher(View(session._parts.gallery, "live", session.run.id), screen)
    session._parts.stream.subscribe(publisher.event)
    publisher.start()
    controls = Inbox(Commands(session._parts), publisher)
    yield session, controls, screen
    publisher.close()


def test_a_beat_is_answered_so_that_a_page_knows_that_somebody_is_there(stage):
    screen, publisher, happen = stage
    answers = []
    send = screen.send
    screen.send = lambda content, buffers=None: (
        answers.append(content["id"]) if content["kind"] == "reply" else send(content, buffers)
    )
    publisher.hello("a")
    eventually(lambda: len(screen.updates) == 1)
    seq = screen.updates[-1][0]["seq"]
    publisher.ack("a", seq, seen=True, attended=True)  # of an update: no answer
    publisher.ack("a", seq, seen=True, attended=True)
    eventually(lambda: answers == ["a"])
    happen()
    eventually(lambda: len(screen.updates) == 2)
    publisher.ack("a", screen.updates[-1][0]["seq"], seen=True, attended=True)
    publisher.ack(
        "a", screen.updates[-1][0]["seq"], seen=False, attended=True
    )  # nobody looks: none either
    time.sleep(0.3)
    assert answers == ["a"]


def happened(kind, step, epoch, split=None, **fields):
    payload = events.PAYLOADS[kind]
    happened.seq += 1
    return events.Event(
        seq=happened.seq, ts="2026-01-01T00:00:00Z", run_id="r", type=kind, step=step, epoch=epoch,
        split=split, data=payload(**fields),
    )  # fmt: skip


happened.seq = 0


def status_after(*happenings):
    view = View(None, "live", "r")
    for one in happenings:
        view.apply(one)
    return view.update(full=False)[0]["status"]


def test_time_left_holds_the_validations_to_come():
    began = happened("train_started", 0, 0, total_steps=400, steps_per_epoch=100, batch_size=1)
    pace = {"steps_per_second": 50.0, "validation_seconds": 3.0}
    first = happened("metrics", 100, 0, "train", values=pace)  # its validation is under way
    assert status_after(began, first)["seconds_left"] == pytest.approx(300 / 50 + 4 * 3)
    validated = happened("metrics", 100, 1, "val", values={"loss": 1.0})
    then = happened("metrics", 150, 1, "train", values=pace)
    assert status_after(began, first, validated, then)["seconds_left"] == pytest.approx(5 + 3 * 3)


def test_the_queue_is_about_an_epoch_of_the_run_whatever_length_its_epochs_had():
    view = View(None, "live", "r")
    none = dict.fromkeys(("index", "risk", "target", "predicted", "reason"), ())
    sizes = {"total_steps": 900, "steps_per_epoch": 100, "batch_size": 1}
    view.apply(happened("train_started", 700, 3, **sizes))
    view.apply(happened("forecast", 750, 3, horizon=4, **none))
    assert view.update(full=False)[0]["queue"]["due"] == 7


def test_a_queue_of_before_is_parted_by_what_its_samples_were(tmp_path):
    def none(index):
        raise NoDataError(str(index))

    view = View(Gallery(tmp_path, none), "live", "r")
    rows = {"index": [4, 9], "risk": [0.9, 0.4], "target": [1, 0], "predicted": [0, 0]}
    old = events.Forecast.model_validate({**rows, "reason": ["", ""], "horizon": 4})
    assert old.wrong_now == [True, False]
    view.apply(happened("forecast", 750, 3, **old.model_dump()))
    queue = view.update(full=False)[0]["queue"]
    assert [row["wrong_now"] for row in queue["items"]] == [True, False]
    assert not any(row["doubtful"] for row in queue["items"])
    assert not queue["parted"]
    regression = events.Forecast.model_validate(
        {**rows, "target": [-1, -1], "predicted": [1, 0], "reason": ["", ""], "horizon": 4}
    )
    assert regression.wrong_now == [True, False]


def test_the_riskiest_sample_is_open_unasked_until_a_person_chooses_another(tmp_path):
    gray = Rendering(np.full((4, 4, 3), 128, np.uint8))
    view = View(Gallery(tmp_path, lambda _: gray), "live", "r")
    rows = {"index": [4, 9, 2], "risk": [0.9, 0.8, 0.1], "target": [1, 0, 1], "reason": [""] * 3}

    def ranked(step, **more):
        forecast = events.Forecast(**{**rows, "predicted": [0, 0, 1], "horizon": 4, **more})
        view.apply(happened("forecast", step, 1, **forecast.model_dump()))
        return view.update(full=True)[0]

    update = ranked(10, wrong=31)
    assert update["queue"]["wrong"] == 31
    assert update["explanation"]["index"] == 9  # of those that are right now; 4 is wrong
    assert ranked(11, index=[2, 4, 9])["explanation"]["index"] == 9  # it stays under the eye

    def explained(step, index):
        (tmp_path / f"{index}.npz").touch()
        fields = {"target": 1, "predicted": 1, "top_classes": [1], "top_probs": [0.5]}
        more = {"agreement": 0.5, "focus_bbox": None, "method": "consensus"}
        overlay = events.Overlay(
            index=index, model_step=step, maps=f"{index}.npz", purpose="candidate", **fields, **more
        )
        view.apply(happened("overlay", step, 1, **overlay.model_dump()))
        return view.update(full=True)[0]["explanation"]["index"]

    view.update(full=False)
    assert explained(12, 7) == 7  # a map of any sample, before one of the queue has one
    assert explained(13, 4) == 4
    assert explained(14, 9) == 4  # nothing flips under the eye
    assert ranked(15, index=[2, 9, 8])["explanation"]["index"] == 9  # 4 has left the queue
    view.select(2)
    assert ranked(16)["explanation"]["index"] == 2


@pytest.mark.parametrize(
    ("step", "epoch", "begun", "total", "validations"),
    [(0, 0, 0, 350, 3), (50, 0, 50, 400, 4), (50, 0, 50, 110, 1), (730, 1, 0, 980, 2)],
)
def test_no_validation_comes_after_an_epoch_that_ends_half_way(
    step, epoch, begun, total, validations
):
    sizes = {"total_steps": total, "steps_per_epoch": 100, "batch_size": 1, "begun": begun}
    pace = {"steps_per_second": 50.0, "validation_seconds": 3.0}
    status = status_after(
        happened("train_started", step, epoch, **sizes),
        happened("metrics", step + 10, epoch, "train", values=pace),
    )
    left = (total - step - 10) / 50 + validations * 3
    assert status["seconds_left"] == pytest.approx(left)


def test_a_loop_of_unknown_length_has_no_total():
    status = status_after(
        happened("train_started", 40, 1, total_steps=40, steps_per_epoch=0, batch_size=8),
        happened("metrics", 45, 1, "train", values={"steps_per_second": 10.0}),
    )
    assert status["total_steps"] is status["total_epochs"] is status["seconds_left"] is None


def test_epochs_of_another_batch_size_are_counted_as_they_were():
    first = happened("train_started", 0, 0, total_steps=30, steps_per_epoch=10, batch_size=16)
    again = happened("train_started", 30, 3, total_steps=36, steps_per_epoch=2, batch_size=80)
    assert status_after(first)["total_epochs"] == 3
    assert status_after(first, again)["total_epochs"] == 6
    sizes = {"steps_per_epoch": 10, "batch_size": 16, "begun": 5}
    for total, epochs in ((10, 1), (20, 2), (21, 3), (24, 3)):
        gone_on = happened("train_started", 5, 0, total_steps=total, **sizes)
        assert status_after(gone_on)["total_epochs"] == epochs
