"""What a browser draws in place of a picture: on its way to the screen, to disk, and back."""

import json

import numpy as np
import pytest

from coflect_widget import events, open_run
from coflect_widget.modalities import Rendering
from coflect_widget.records.contents import FOLDER, Contents
from coflect_widget.records.pictures import Gallery
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.inbox import Inbox
from coflect_widget.ui.listed import GLANCE_BYTES
from coflect_widget.ui.publisher import Publisher, snapshot
from coflect_widget.ui.view import View, replay
from tests.conftest import eventually
from tests.kinds import COUNT, HOSTILE, LEAK, Curve, Features, Words, session_of

GRAY = np.full((4, 4, 3), 128, np.uint8)


class Screen:
    """What a browser of it has."""

    def __init__(self):
        self.updates, self.replies = [], []

    def send(self, content, buffers=None):
        if content["kind"] == "reply":
            self.replies.append(content)
        else:
            self.updates.append((content, buffers))

    def keep(self, kept):
        self.kept = kept


@pytest.mark.parametrize(
    ("kind", "stroke", "places"),
    [(Words, {"words": [6, 7]}, (6,)), (Words, {"word": "a"}, (0, 5)),
     (Curve, {"interval": [0.75, 0.875]}, (6,)), (Features, {"features": ["leak", "a"]}, (6, 0))],
)  # fmt: skip
def test_a_person_looks_and_marks_by_messages_alone(make_session, kind, stroke, places):
    session = session_of(make_session, kind())
    screen = Screen()
    publisher = Publisher(View(session._parts.gallery, "live", session.run.id), screen)
    session._parts.stream.flush()
    for event in session.run.events():
        publisher.event(event)
    session._parts.stream.subscribe(publisher.event)
    publisher.start()
    controls = Inbox(Commands(session._parts, lambda: None), publisher)
    send = lambda message: controls._receive(None, message, [])  # noqa: E731
    send({"kind": "hello", "id": "h"})
    session.train(epochs=4)
    session.wait(240)
    session.explain(3)
    send({"kind": "ack", "id": "h", "seq": screen.updates[-1][0]["seq"], "seen": True})
    send({"kind": "explain", "id": "e", "index": 3})
    last = lambda name: [(u[name], b) for u, b in screen.updates if name in u]  # noqa: E731
    mapped = lambda: [  # noqa: E731
        (e, b) for e, b in last("explanation") if e["index"] == 3 and e["consensus_buffer"]
    ]
    shown, buffers = eventually(mapped, 60)[-1]
    assert last("status")[-1][0]["inputs"] == kind.name
    assert (shown["map_height"], shown["map_width"]) == (1, COUNT)
    assert shown["content"] == session._parts.gallery.content(3)
    assert shown["content"]["kind"] == kind.name
    assert np.frombuffer(buffers[shown["consensus_buffer"]], np.uint8).argmax() == LEAK
    send({"kind": "hello", "id": "h"})
    listed = eventually(lambda: last("glances") and last("glances")[-1])
    glance = next(one for one in listed[0] if one["index"] == 3)
    assert glance["content"] == shown["content"]
    assert len(listed[1][glance["cells_buffer"]]) == COUNT
    send({
        "kind": "feedback", "id": "f", "sample": 3, "strength": 0.5,
        "strokes": [{"kind": "ignore", "roi": stroke}],
    })  # fmt: skip
    answer = eventually(lambda: [r for r in screen.replies if r["id"] == "f"])[0]
    assert answer["ok"], answer["text"]
    told = session.ledger.state().strokes
    assert [one.region.which for one in told] == [places]
    assert told[0].region.to_json() == stroke
    publisher.close()
    session.close()

    # from disk alone it is the same, each sample once, and what is unknown is null
    again = replay(open_run(session.run.path))
    update = snapshot(again, shelf_bytes=10**6)["update"]
    assert update["explanation"]["content"] == shown["content"]
    assert {one["index"] for one in update["glances"]} >= {3}
    text = json.dumps(update, allow_nan=False)
    assert json.dumps(HOSTILE)[1:-1] in text
    if kind is Curve:
        assert shown["content"]["channels"][0]["values"][-1] is None
    assert update["ledger"][0]["strokes"][0]["roi"] == stroke
    # the same list again says nothing that was said
    again.update(full=False)
    again._now.dirty.add("queue")
    assert "glances" not in again.update(full=False)[0]


def test_of_pictures_nothing_is_sent_and_nothing_written(make_session):
    session = make_session()
    session.explain(3)
    assert session._parts.gallery.content(3) is None
    view = View(session._parts.gallery, "live", session.run.id)
    for event in session.run.events():
        view.apply(event)
    update, _ = view.update(full=True)
    assert update["explanation"]["content"] is None
    assert "glances" not in update
    assert not (session.run.path / FOLDER).exists()


def test_a_large_content_is_shown_and_not_listed(tmp_path):
    (tmp_path / "overlays").mkdir()
    large = {"kind": "text", "words": ["x" * GLANCE_BYTES]}
    gallery = Gallery(tmp_path, lambda _: Rendering(GRAY, None, large))
    assert gallery.content(1) == large
    assert gallery.content(1, GLANCE_BYTES) is None
    view = View(gallery, "live", "r")
    view.select(1)
    update, _ = view.update(full=True)
    assert update["explanation"]["content"] == large
    assert "glances" not in update


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "null", '{"kind": 3}', "{", '{"a":' + "[" * 10**5, '"' + "x" * 5 * 2**20],
)  # fmt: skip
def test_a_damaged_or_hostile_file_is_no_content(tmp_path, text):
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "sample_000001.json").write_text(text)
    assert Gallery(tmp_path).content(1) is None
    (folder / "sample_000002.json").write_text('{"kind": "text", "at": NaN}')
    assert Contents(tmp_path).of(2) == {"kind": "text", "at": None}


def test_a_file_that_leads_outside_is_not_read(tmp_path):
    (tmp_path / "secret.json").write_text('{"kind": "text"}')
    folder = tmp_path / "run" / FOLDER
    folder.mkdir(parents=True)
    (folder / "sample_000001.json").symlink_to(tmp_path / "secret.json")
    assert Contents(tmp_path / "run").of(1) is None


def test_without_a_folder_it_is_kept_in_memory(tmp_path):
    contents = Contents(tmp_path / "gone")
    contents.take(1, {"kind": "table", "rows": [np.float32(2.5), np.inf]})
    assert contents.of(1) == {"kind": "table", "rows": [2.5, None]}
    assert not (tmp_path / "gone").exists()


def test_a_region_of_any_kind_is_a_message():
    stroke = events.StrokeInput.model_validate({"kind": "ignore", "roi": {"words": [1, 2]}})
    assert stroke.roi == {"words": [1, 2]}
