"""The saved page: whole, read-only, without a network, and text is text in it."""

import base64
import hashlib
import json
import re

from coflect_widget import open_run
from coflect_widget.ui.view import replay

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e" + "y" * 10_000


def trained(make_session, shapes):
    session = make_session(val=shapes, classes=[HOSTILE, "<!--", "c", "\u2028]]>"])
    session.explain(9)  # and again at the end
    session.train(epochs=2)
    session.wait(240)
    session.explain(4)
    session.explain(9)
    session.feedback(sample=4, look=(0.2, 0.2, 0.7, 0.7))
    return session


def test_one_file_holds_everything_and_its_policy_allows_its_own_program_only(
    make_session, shapes, tmp_path
):
    session = trained(make_session, shapes)
    secret = session.run.path.parent / "run_of_another_patient"
    secret.mkdir()
    (secret / "events.jsonl").touch()
    page = session.save_html(tmp_path / "run.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    scripts = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy

    assert secret.name not in page
    # nothing of the run ends its block, and nothing in the page is loaded from anywhere
    assert "<img" not in page.replace(scripts[0], "")
    assert not re.findall(r"<(?:link|iframe|img|script)[^>]+(?:src|href)=", page)
    data = re.search(r'id="coflect-saved">(.*?)</script>', page, re.DOTALL)[1]
    saved = json.loads(data)
    update = saved["update"]
    assert update["status"]["classes"][0] == HOSTILE
    assert update["status"]["state"] == "finished"
    assert update["status"]["others"] == [], "names of other runs are for who has them"
    assert {shelved["index"] for shelved in update["shelf"]} >= {4, 9}
    assert update["ledger"][0]["strokes"]
    assert len(saved["buffers"]) > max(
        number
        for one in update["shelf"]
        for name, number in one.items()
        if name.endswith("_buffer") and number is not None
    )


def test_a_run_from_disk_gives_the_same_page(make_session, shapes, tmp_path):
    with trained(make_session, shapes) as session:
        first = session.save_html(tmp_path / "live.html").read_bytes()
    run = open_run(session.run.path)
    pages = [run.save_html(tmp_path / "disk.html").read_text("utf-8"), first.decode("utf-8")]
    found = [re.search(r'id="coflect-saved">(.*?)</script>', one, re.DOTALL)[1] for one in pages]
    disk, live = (json.loads(one)["update"] for one in found)
    told = [
        [{k: v for k, v in item.items() if not k.endswith("_buffer")} for item in one["ledger"]]
        for one in (disk, live)
    ]
    assert told[0] == told[1] != []
    assert [s["name"] for s in disk["metrics"]] == [s["name"] for s in live["metrics"]]


def test_a_map_that_was_taken_off_the_shelf_is_no_error(make_session, shapes):
    with trained(make_session, shapes) as session:
        pass
    run = open_run(session.run.path)
    view = replay(run)
    earlier, newest = (kept.model_step for kept in run.timeline(9))
    for file in (run.path / "overlays").glob(f"sample_000009_step_{newest:08d}.*"):
        file.unlink()
    view.select(9)
    shown = view.everything()[0]["explanation"]
    # the earlier one; once there is none, the sample as one that has no map
    assert (shown["failed"], shown["model_step"]) == (None, earlier)
    assert shown["consensus_buffer"] is not None
    for file in (run.path / "overlays").glob("sample_*.npz"):
        file.unlink()
    view.select(4)
    shown = view.everything()[0]["explanation"]
    assert (shown["failed"], shown["consensus_buffer"]) == (None, None)
    # one that is on the screen when it is taken off says so in words
    fresh = replay(run).everything()[0]["explanation"]
    assert fresh["failed"] is None or "was not kept" in fresh["failed"]
    assert "Errno" not in str(fresh["failed"])


def test_any_recorded_map_of_an_opened_run_can_be_looked_at(make_session, shapes):
    with trained(make_session, shapes) as session:
        pass
    run = open_run(session.run.path)
    run._repr_mimebundle_()
    widget = run._dashboard
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    say = lambda message: widget.inbox._receive(None, message, [])  # noqa: E731
    say({"kind": "hello", "id": "a"})
    step = run.timeline(9)[0].model_step
    say({"kind": "look", "id": "a", "index": 9, "step": None})
    say({"kind": "look", "id": "a", "index": 9, "step": step})
    from tests.conftest import eventually

    update, buffers = eventually(lambda: next((u for u in sent if "shelf" in u[0]), None))
    shelved = update["shelf"][0]
    assert (shelved["index"], shelved["model_step"]) == (9, step)
    assert len(buffers[shelved["consensus_buffer"]]) == 32 * 32
    assert eventually(lambda: [u for u, _ in sent if u.get("explanation", {}).get("index") == 9])
    say({"kind": "pause", "id": "p"})
    refused = eventually(lambda: [u for u, _ in sent if u["kind"] == "reply"])[0]
    assert not refused["ok"]
    assert "read from disk" in refused["text"]
