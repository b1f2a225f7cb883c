"""Kept requests in the dashboard: a class is on disk at once, and the sample is trained on."""

import threading

import numpy as np
import pytest

import coflect_widget as coflect
from coflect_widget.projects.endpoint import labelling
from coflect_widget.projects.endpoint.keeping import LABELLED, Keeper, names_in, read_row
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.inbox import Intake
from coflect_widget.ui.view import View
from tests.conftest import eventually


def ask(folder, rows):
    """A service that is asked and ends: of earlier rows the network is less sure."""
    keeper = Keeper(folder, 50)
    for number, row in enumerate(rows):
        sure = 0.51 + number / 100
        told = {"class": "yes", "probabilities": {"yes": sure, "no": 1 - sure}}
        keeper.offer(f"{number:032x}", "", row, told)
    keeper.close()


def cells_of(row):
    """As a request tells them."""
    day = f"{row.joined:%Y-%m-%d}"
    return {"age": row.age, "paid": row.paid, "plan": row.plan, "joined": day}


class Replies:
    """Hears what the inbox answers, as a publisher does."""

    def __init__(self):
        self.said = []

    def reply(self, identifier, **said):
        self.said.append((identifier, said["ok"], said["text"]))


def test_requests_are_labelled_in_the_dashboard_and_trained_on(trained, start):
    session = start(trained.data, target="left", leave_out=())
    same = cells_of(trained.data.iloc[session.split.test[0]])
    parts, n = session._open(), session.run.config["data"]["num_train"]
    view = View(parts.gallery, "live", "r")
    parts.stream.subscribe(view.apply)
    session.to_label()
    rows = [{**trained.row, "age": float(age)} for age in range(20, 34)]
    ask(session.run.path, [*rows, same])
    shown = {}

    def waits(count):
        parts.stream.flush()
        shown.update(view.update(full=True)[0].get("requests") or {})
        return shown.get("waiting") == count

    eventually(lambda: waits(15))
    assert [one["id"] for one in shown["items"]] == [f"{k:032x}" for k in range(12)]  # least sure
    assert shown["items"][0]["confidence"] == pytest.approx(0.51)
    assert shown["items"][0]["told"] == session.classes.index("yes")
    assert "20" in str(shown["items"][0]["content"])  # the row, as the table draws it
    # what the record has of them is no content
    assert "plan" not in str([e.data for e in session.events("requests")])
    assert "requests" not in view.everything()[0]  # nor a saved page

    replies = Replies()
    intake = Intake(Commands(parts), replies)

    def label(request, number):
        before = len(replies.said)
        intake.take({"kind": "label_request", "id": "r1", "request": request, "label": number})
        eventually(lambda: len(replies.said) > before)
        return replies.said[-1]

    session.train(2)
    first = f"{0:032x}"
    _, ok, text = label(first, session.classes.index("no"))
    assert ok
    assert f"sample {n}" in text
    assert read_row(session.run.path, LABELLED, first).label == "no"  # before it was said
    assert not label(first, 0)[1]  # it waits no more
    assert not label(f"{1:032x}", 7)[1]
    # one that the training is judged by is labelled, and not trained on
    assert "equal to a row that the training is judged by" in label(f"{14:032x}", 0)[2]
    assert label(f"{1:032x}", None)[2] == "Removed from the disk"
    eventually(lambda: waits(12))
    assert shown["labelled"] == 2
    assert session.wait(240)
    session.train(1)
    assert session.wait(240)
    x = session.pipeline.preprocess([rows[0]])
    assert parts.backend.num_train == n + 1
    assert np.array_equal(parts.backend.read_sample(n).input, x[0])
    assert n in parts.backend.members  # trained on
    session.close()
    assert len(names_in(session.run.path, LABELLED)) == 2
    with coflect.kept(session.run).session(trained.data, run_dir=session.run.path.parent) as later:
        assert later.run.config["data"]["num_train"] == n + 1


def test_rows_of_another_run_are_scaled_as_the_session_scales(trained, run, start, monkeypatch):
    older = trained.data.assign(age=trained.data.age * 3 + 10)
    session = start(older, target="left", leave_out=())
    parts, n = session._open(), session.run.config["data"]["num_train"]
    rows = [cells_of(older.iloc[session.split.test[0]]), trained.row, {**trained.row, "age": 77.0}]
    ask(run, rows)
    session.to_label(run)
    assert "77" in str(parts.gallery.requests(f"{2:032x}").content)
    label = parts.desk.label_request
    assert "equal to a row that the training is judged by" in label(f"{0:032x}", 0).text
    label(f"{1:032x}", 0)
    wanted = session.pipeline.preprocess(rows[1:])
    assert np.array_equal(parts.backend.read_sample(n).input, wanted[0])

    # A step that takes longer than an answer waits.
    begun, end = threading.Event(), threading.Event()

    def held(*_):
        begun.set()
        end.wait()

    session.pipeline.model.register_forward_pre_hook(held)
    monkeypatch.setattr(labelling, "_APPLIED", 0.01)
    session.train(steps=2)
    assert begun.wait(60)
    try:
        assert label(f"{2:032x}", 0).text.endswith("takes the sample at its next step boundary")
    finally:
        end.set()
    assert session.wait(240)
    assert np.array_equal(parts.backend.read_sample(n + 1).input, wanted[1])


def test_what_cannot_be_labelled_in_a_dashboard(trained, start):
    frame = trained.data.drop(columns="left")
    session = start(frame, target="paid", leave_out=(), task="regression")
    with pytest.raises(ValueError, match=r"tells none; give values with"):
        session.to_label()
    with pytest.raises(ValueError, match=r"session.to_label\(run\) takes them in"):
        session._open().desk.label_request("0" * 32, 0)
