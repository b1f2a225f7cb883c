"""Both sides speak the same protocol: the shared examples and what the kernel really sends."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, with_config

from coflect_widget import events
from coflect_widget.events import COMMAND
from coflect_widget.ui import protocol
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.live import replay_dashboard
from tests.conftest import eventually

EXAMPLES = Path(__file__).parent.parent / "protocol"
COMMANDS = [
    "set_queue", "open_window", "similar", "confirm", "judge", "close_others", "dismiss",
    "continue", "save_page", "prove", "end_proof", "keep", "label_request",
]  # fmt: skip
UPDATE = TypeAdapter(with_config({"extra": "forbid"})(protocol.Update))
REPLY = TypeAdapter(with_config({"extra": "forbid"})(protocol.Reply))


def example(name):
    return json.loads((EXAMPLES / f"{name}.json").read_text())["message"]


@pytest.mark.parametrize("name", ["pause", "feedback", "undo", "explain", "advance", *COMMANDS])
def test_what_the_browser_sends_is_understood(name):
    message = example(name)
    command = COMMAND.validate_python({k: v for k, v in message.items() if k != "id"})
    assert command.kind == message["kind"]


@pytest.mark.parametrize("name", ["update_full", "update_metrics", "update_requests"])
def test_the_examples_of_updates_are_what_the_protocol_says(name):
    UPDATE.validate_python(example(name))


def test_the_example_of_a_reply_is_what_the_protocol_says():
    REPLY.validate_python(example("reply"))


def test_the_example_of_a_loss_is_what_the_protocol_says():
    TypeAdapter(with_config({"extra": "forbid"})(protocol.Gone)).validate_python(example("gone"))


class Screen:
    """Receives what a browser would."""

    def __init__(self):
        self.updates = []
        self.replies = []
        self.kept = None
        self.acknowledge = lambda seq: None

    def send(self, content, buffers=None):
        if content["kind"] == "reply":
            self.replies.append(REPLY.validate_python(content))
        else:
            self.updates.append((UPDATE.validate_python(content), buffers))
            self.acknowledge(content["seq"])

    def keep(self, snapshot):
        UPDATE.validate_python(snapshot["update"])
        self.kept = snapshot


@pytest.fixture
def watched(make_session, shapes):
    """A session that trained, was told something and is watched, with the screen that sees it."""
    from coflect_widget.ui.inbox import Inbox
    from coflect_widget.ui.publisher import Publisher
    from coflect_widget.ui.view import View

    session = make_session(val=shapes, classes=["circle", "<img onerror=x>", "triangle", "\u202ex"])
    screen = Screen()
    publisher = Publisher(View(session._parts.gallery, "live", session.run.id), screen)
    screen.acknowledge = lambda seq: publisher.ack("h", seq, seen=True, attended=True)
    session._parts.stream.flush()
    for event in session.run.events():
        publisher.event(event)
    session._parts.stream.subscribe(publisher.event)
    publisher.start()
    save = lambda: session.save_html(session.run.path / "page.html")  # noqa: E731
    controls = Inbox(Commands(session._parts, save), publisher)
    yield session, screen, lambda message: controls._receive(None, message, [])
    publisher.close()


def test_a_person_trains_looks_tells_and_undoes_by_messages_alone(watched):
    session, screen, send = watched
    send({"kind": "hello", "id": "h"})
    eventually(lambda: screen.updates and screen.updates[-1][0]["full"])
    session.train(steps=100_000)
    send({"kind": "explain", "id": "e", "index": 9})
    eventually(
        lambda: any(u.get("explanation", {}).get("livecam_buffer") for u, _ in screen.updates),
        120,
    )
    send({"kind": "pause", "id": "p"})
    eventually(lambda: session.state == "paused")
    stroke = {"kind": "ignore", "roi": [0.1, 0.1, 0.4, 0.4]}
    send({"kind": "feedback", "id": "f", "sample": 9, "strokes": [stroke], "strength": 0.5})
    answer = eventually(lambda: [r for r in screen.replies if r["id"] == "f"])[0]
    assert answer["ok"]
    assert answer["text"].startswith(f"Applied at step {session.metrics['step']}: ignore a box")
    assert answer["step"] == session.metrics["step"]
    send({"kind": "save_page", "id": "v"})
    saved = eventually(lambda: [r for r in screen.replies if r["id"] == "v"])[0]
    assert (saved["ok"], saved["text"]) == (True, f"Saved {session.run.path / 'page.html'}")
    assert b"coflect-saved" in (session.run.path / "page.html").read_bytes()
    # the ledger's entry is a picture, with the map that the model had when it was told
    entries, pictures = next((u["ledger"], b) for u, b in screen.updates if u.get("ledger"))
    for name in ("thumbnail_buffer", "before_buffer"):
        assert pictures[entries[0][name]].startswith(b"\x89PNG")
    assert entries[0]["after_buffer"] is None
    send({"kind": "undo", "id": "u", "intervention": session.interventions[0].id})
    assert eventually(lambda: [r for r in screen.replies if r["id"] == "u"])[0]["ok"]
    eventually(lambda: [u for u, _ in screen.updates if "ledger" in u][-1]["ledger"][0]["undone"])
    for name, words in (("t", "increase focus"), ("w", "undo")):
        send({"kind": "feedback", "id": name, "instruction": words})
        answer = eventually(lambda name=name: [r for r in screen.replies if r["id"] == name])[0]
    assert answer["text"].startswith("Undone; given at step")
    send({"kind": "resume", "id": "r"})
    eventually(lambda: session.state == "training")
    send({"kind": "stop", "id": "s"})
    eventually(lambda: session.state == "stopped")
    seqs = [u["seq"] for u, _ in screen.updates]
    assert seqs == list(range(1, len(seqs) + 1))

    explanation, buffers = next(
        (u["explanation"], b)
        for u, b in screen.updates
        if u.get("explanation", {}).get("consensus_buffer") is not None
    )
    assert len(buffers[explanation["picture_buffer"]]) == 32 * 32 * 3
    for name in ("livecam", "smoothgrad", "consensus"):
        assert len(buffers[explanation[f"{name}_buffer"]]) == 32 * 32


def test_one_step_and_one_epoch_end_where_they_say(watched):
    session, _, send = watched
    session.train(epochs=50)
    send({"kind": "pause", "id": "p"})
    eventually(lambda: session.state == "paused")
    step = session.metrics["step"]
    send({"kind": "advance", "id": "a", "unit": "step"})
    eventually(lambda: session.metrics["step"] == step + 1 and session.state == "paused")
    session.step("epoch")
    per_epoch = session._backend.steps_per_epoch
    assert session.metrics["step"] % per_epoch == 0
    assert session.metrics["epoch"] == session.metrics["step"] // per_epoch
    assert session.state == "paused"
    session.step()
    assert session.metrics["step"] % per_epoch == 1
    session.stop()
    with pytest.raises(RuntimeError, match="train"):
        session.step()


def test_the_charts_get_every_logged_point_once(watched):
    session, screen, send = watched
    session.train(epochs=4)
    send({"kind": "hello", "id": "h"})
    session.wait(240)
    logged = [
        (e.step, e.data["values"]["loss"]) for e in session.events("metrics") if e.split == "val"
    ]

    def points():
        got = []
        for update, buffers in list(screen.updates):
            for series in update.get("metrics", []):
                if series["name"] == "val/loss":
                    if update["full"]:
                        got = []
                    got += np.frombuffer(buffers[series["points_buffer"]]).reshape(-1, 2).tolist()
        return got

    eventually(lambda: len(points()) == 4)
    assert [tuple(point) for point in points()] == logged


HOSTILE = [
    None,
    3,
    "pause",
    [],
    {},
    {"kind": "pause"},
    {"id": 5, "kind": "pause"},
    {"id": "x" * 100, "kind": "pause"},
    {"id": "a", "kind": "launch"},
    {"id": "a", "kind": "pause", "extra": 1},
    {"id": "a", "kind": "explain", "index": -1},
    {"id": "a", "kind": "feedback", "sample": True, "instruction": "focus center"},
    {"id": "a", "kind": "explain", "index": "7; import os"},
    {"id": "a", "kind": "explain", "index": 10**9},
    {"id": "a", "kind": "feedback", "strokes": [{"kind": "look", "roi": [0, 0, 2, 2]}]},
    {"id": "a", "kind": "feedback", "strokes": [{"kind": "look", "roi": {"mask": {}}}]},
    {"id": "a", "kind": "feedback", "strokes": [{"kind": "erase", "roi": [0, 0, 1, 1]}]},
    {"id": "a", "kind": "feedback", "instruction": "x" * 10_000},
    {"id": "a", "kind": "feedback", "instruction": "__import__('os').system('true')"},
    {"id": "a", "kind": "feedback", "strength": float("nan")},
    {"id": "a", "kind": "feedback", "sample": 3, "strokes": [{"kind": "look", "roi": "eval"}] * 99},
    {"id": "a", "kind": "undo", "intervention": "../../etc/passwd"},
    {"id": "a", "kind": "look", "index": True, "step": None},
    {"id": "a", "kind": "look", "index": 3, "step": -1},
    {"id": "a", "kind": "look", "index": 3, "step": 2, "path": "../../etc/passwd"},
    {"id": "a", "kind": "ack", "seq": 2**80, "seen": True, "attended": True},
    {"id": "a", "kind": "ack", "seq": 1, "seen": "yes", "attended": True},
    {"id": "a", "kind": "ack", "seq": 1, "seen": True, "attended": 1},
    {"id": "a", "kind": "advance", "unit": "year"},
    {"id": "a", "kind": "set", "name": "__class__", "value": 1},
]


def test_hostile_messages_change_nothing_and_are_counted(watched):
    from coflect_widget.ui.inbox import Inbox

    session, screen, _ = watched
    answers = []

    class Answers:
        def hello(self, client):
            answers.append("hello")

        def ack(self, client, seq, *, seen, attended):
            answers.append("ack")

        def look(self, index, step):
            answers.append("look")

        def select(self, index):
            answers.append(index)

        def reply(self, identifier, *, ok, text, step):
            answers.append(ok)

    controls = Inbox(Commands(session._parts), Answers())
    before = [e.seq for e in session.events()]
    for message in HOSTILE:
        controls._receive(None, message, [])
    eventually(lambda: len(answers) >= len(HOSTILE) - 8)
    assert set(answers) == {False}
    assert controls.malformed + controls.refused == len(HOSTILE)
    assert session.interventions == []
    assert session.state == "idle"
    assert [e.seq for e in session.events()] == before
    assert screen.replies == []


def test_a_recorded_run_shows_the_same_without_a_kernel(make_session, shapes):
    with make_session(val=shapes) as session:
        session.train(epochs=2)
        session.wait(240)
        session.explain(4)
        session.feedback(sample=4, look=(0.2, 0.2, 0.7, 0.7))
    widget = replay_dashboard(session.run)
    update = UPDATE.validate_python(widget._snapshot["update"])
    assert update["status"]["mode"] == "replay"
    assert update["status"]["state"] == "finished"
    assert {series["name"] for series in update["metrics"]} >= {"val/loss", "val/accuracy"}
    assert update["explanation"]["index"] == 4
    assert update["explanation"]["consensus_buffer"] is not None
    assert update["ledger"][0]["strokes"][0]["kind"] == "look"


def test_a_damaged_map_is_said_and_the_rest_is_shown(make_session):
    with make_session() as session:
        session.explain(4)
    file = session.run.path / session.events("overlay")[-1].data["maps"]
    file.write_bytes(file.read_bytes()[:200])
    update = replay_dashboard(session.run)._snapshot["update"]
    assert "damaged" in update["explanation"]["failed"]
    assert update["status"]["run_id"] == session.run.id


def test_a_run_that_was_killed_is_shown_as_interrupted(make_session):
    session = make_session()
    session.train(steps=10**6)
    session._parts.stream.flush()
    assert replay_dashboard(session.run)._snapshot["update"]["status"]["state"] == "interrupted"


def test_a_closed_session_that_was_never_shown_can_be_shown(make_session):
    with make_session() as session:
        session.train(steps=2)
        session.wait(240)
    assert session.dashboard()._snapshot["update"]["status"]["state"] == "finished"


def test_an_event_that_comes_twice_is_taken_once(make_session):
    from coflect_widget.ui.view import View

    session = make_session()
    session.feedback(instruction="increase focus by 10%")
    view = View(session._parts.gallery, "live", session.run.id)
    for event in session.events() * 2:
        view.apply(event)
    assert len(view.update(full=True)[0]["markers"]) == 1


def test_unknown_events_of_a_newer_version_are_kept_and_shown_past():
    line = {
        "schema_version": 9, "seq": 0, "ts": "2026-01-01T00:00:00Z", "run_id": "r",
        "type": "hologram", "step": 1, "epoch": 0, "split": None, "data": {"depth": 3},
    }  # fmt: skip
    assert events.read_event(json.dumps(line).encode()).data["depth"] == 3
    assert events.read_event(b'{"seq": 0}') is None
