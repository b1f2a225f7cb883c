"""A finding is asked about in the dashboard, and the answer is on disk before it is confirmed."""

import contextlib
import json

import pytest

from coflect_widget import events
from coflect_widget.events import Event
from coflect_widget.records.pictures import Gallery
from coflect_widget.studies.controls import Tally
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.inbox import Intake
from coflect_widget.ui.publisher import Publisher
from coflect_widget.ui.view import View, replay
from tests.conftest import eventually


def found(name, *, index=(3, 5), **more):
    return events.Finding(
        id=name, index=list(index), regions=[{"box": [0.0, 0.0, 0.25, 0.25]}] * len(index),
        looked=40, share=0.5, pull=0.9, interval=(0.8, 0.97), held_out=False, classes=[0, 2],
        since=4, count=7, text=f"Is {name} the reason?", **more,
    )  # fmt: skip


def said(name, answer):
    return events.Answered(finding=name, answer=answer)


@pytest.fixture
def asked(tmp_path):
    """Takes payloads one by one; gives what the update after each says of the question."""
    view = View(Gallery(tmp_path), "live", "r")
    seq = iter(range(1, 99))
    view.update(full=True)

    def take(data, kind):
        event = {"seq": next(seq), "ts": "2026-01-01T00:00:00+00:00", "run_id": "r", "step": 4}
        view.apply(Event(**event, type=kind, epoch=1, split=None, data=data))
        return view.update(full=False)[0].get("question", "as before")

    return take


def test_the_oldest_finding_without_an_answer_is_asked_about(asked):
    assert asked(found("f1", asked=False), "finding") == "as before"  # recorded, and not asked
    assert asked(found("f2"), "finding")["id"] == "f2"
    assert asked(found("f3"), "finding") == "as before"
    newer = found("f2").model_copy(update={"pull": 0.95})
    assert asked(newer, "finding")["pull"] == 0.95
    assert asked(said("f3", "right reason"), "answer") == "as before"
    assert asked(found("f4"), "finding") == "as before"
    assert asked(said("f2", "skip"), "answer")["id"] == "f4"
    assert asked(found("f1"), "finding") == "as before"  # find_shortcuts() has found it too
    assert asked(said("f4", "wrong reason"), "answer")["id"] == "f1"
    assert asked(said("f1", "skip"), "answer") is None


class Screen:
    def __init__(self, events_file):
        self.file = events_file
        self.replies, self.recorded = [], []

    def send(self, content, buffers=None):
        if content["kind"] == "reply":
            lines = self.file.read_text().splitlines()
            kinds = [json.loads(line)["type"] for line in lines]
            self.replies.append(content)
            self.recorded.append(kinds.count("answer"))

    def keep(self, snapshot):
        pass


def test_an_answer_of_the_browser_ignores_the_finding_once_and_undo_asks_no_more(make_session):
    session = make_session()
    parts = session._parts
    screen = Screen(session.run.path / "events.jsonl")
    view = View(parts.gallery, "live", session.run.id)
    publisher = Publisher(view, screen)
    publisher.start()
    with contextlib.closing(publisher):
        intake = Intake(Commands(parts), publisher)

        def send(answer, finding="f1"):
            before = len(screen.replies)
            intake.take({"kind": "answer", "id": "b1", "finding": finding, "answer": answer})
            eventually(lambda: len(screen.replies) > before)
            return screen.replies[-1]

        data = found("f1", index=range(9))
        parts.findings.adopt([data], Tally())
        parts.tell.emit(data)
        session._on_disk()
        assert session.advice.key == "finding:f1"
        assert "there is no finding 'f9'" in send("wrong reason", "f9")["text"]
        assert not send("no")["ok"]
        assert not session.interventions

        assert send("wrong reason")["text"] == "Ignored in 9 samples"  # where it was found
        assert screen.recorded[-1] == 1  # on disk before the screen said so
        (told,) = session.interventions
        assert session.findings[0].intervention == told.id
        assert "ignored already" in send("wrong reason")["text"]  # as from a second browser
        assert len(session.interventions) == 1
        session.undo(told)
        assert send("right reason")["ok"]

    recorded, buffers = replay(session.run).update(full=True)
    assert recorded["question"] is None
    shown = View(parts.gallery, "live", session.run.id)
    for event in session.events():
        if event.type != "answer":
            shown.apply(event)
    recorded, buffers = shown.update(full=True)
    samples = recorded["question"]["samples"]
    assert [one["index"] for one in samples] == list(range(6))
    assert samples[0]["region"] == {"box": [0.0, 0.0, 0.25, 0.25]}
    assert all(buffers[one["thumbnail_buffer"]].startswith(b"\x89PNG") for one in samples)
