"""A run folder that is deleted or renamed under a session: said once, and nothing is lost."""

import shutil
import time

import pytest

import coflect_widget as coflect
from coflect_widget import events
from coflect_widget.records.folder import make_run_folder
from coflect_widget.records.run import Run
from coflect_widget.records.stream import EventStream
from tests.conftest import eventually


def whole(run):
    """The numbers of its events, which have no gap."""
    run = Run(run)
    seqs = [event.seq for event in run.events()]
    assert run.damaged == 0
    assert seqs == list(range(len(seqs)))
    return seqs


def said(heard):
    return [e.data.text for e in heard if e.type == "notice" and e.data.level == "error"]


def gone(path):
    """Delete a folder that the session may write into meanwhile; whether it is gone."""
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "renamed", "file deleted"])
def test_feedback_does_not_say_that_it_is_on_disk(make_session, how, tmp_path):
    session = make_session()
    session.feedback(sample=1, look=(0, 0, 0.5, 0.5))
    path, away = session.run.path, tmp_path / "away"
    heard = []
    session._parts.stream.subscribe(heard.append)
    if how == "renamed":
        path.rename(away)
    else:
        if how == "file deleted":
            shutil.move(path / "events.jsonl", away)
        eventually(lambda: gone(path), what="the folder's end")
    with pytest.raises(OSError, match=r"applied at step 0, but it is not on disk yet.*no longer"):
        session.feedback(sample=2, look=(0, 0, 0.5, 0.5))
    assert len(session.interventions) == 2  # it is in force
    session.train(epochs=2)
    session._parts.loop.wait(60)
    time.sleep(2.5)
    assert len([text for text in said(heard) if "run folder" in text]) == 1
    if how == "renamed":
        away.rename(path)
    else:
        path.mkdir()
        if how == "file deleted":
            shutil.move(away, path / "events.jsonl")
    eventually(lambda: (path / "events.jsonl").exists() and len(whole(path)) > 10)
    session.feedback(sample=3, look=(0, 0, 0.5, 0.5))
    assert [e.data.sample for e in Run(path).events("intervention")] == [1, 2, 3]
    session.close()
    run = coflect.open_run(path)
    assert run.state == "finished"
    assert run.config["seed"] == 0
    assert list(run.scalars()["step"]) == [e.step for e in run.events("metrics")]


def emitted(stream, text):
    stream.emit(events.Notice(level="info", text=text), 0, 0)
    stream.flush()


def test_a_run_renamed_for_good_is_complete_under_its_new_name(tmp_path):
    folder = make_run_folder(tmp_path)
    stream = EventStream(folder)
    emitted(stream, "before")
    folder.rename(tmp_path / "kept")
    emitted(stream, "after")
    stream.close()
    assert not folder.exists()
    texts = [e.data.text for e in Run(tmp_path / "kept").events("notice")]
    assert texts[:2] == ["before", "after"]
    whole(tmp_path / "kept")


def test_a_run_deleted_for_good_is_written_once_more_where_runs_are(tmp_path):
    folder = make_run_folder(tmp_path / "runs")
    stream = EventStream(folder)
    emitted(stream, "before")
    shutil.rmtree(folder)
    emitted(stream, "after")
    stream.close()
    assert [e.data.text for e in Run(folder).events("notice")][:2] == ["before", "after"]
    whole(folder)


def test_nothing_is_made_again_where_all_runs_were_deleted(tmp_path):
    folder = make_run_folder(tmp_path / "runs")
    stream = EventStream(folder)
    emitted(stream, "before")
    shutil.rmtree(tmp_path / "runs")
    emitted(stream, "after")
    stream.close()
    assert not (tmp_path / "runs").exists()


def test_a_copy_put_in_its_place_is_gone_on_with(tmp_path):
    folder = make_run_folder(tmp_path)
    stream = EventStream(folder)
    emitted(stream, "before")
    shutil.copytree(folder, tmp_path / "copy")
    emitted(stream, "between")
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    emitted(stream, "after")
    stream.close()
    assert [e.data.text for e in Run(folder).events("notice")] == ["before", "between", "after"]
    whole(folder)


def test_a_file_of_somebody_else_in_its_place_is_not_touched(tmp_path):
    folder = make_run_folder(tmp_path)
    stream = EventStream(folder)
    emitted(stream, "before")
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").write_text("mine\n")
    emitted(stream, "after")
    with pytest.warns(RuntimeWarning, match="records of .* could not be written"):
        stream.close()
    assert (folder / "events.jsonl").read_text() == "mine\n"
