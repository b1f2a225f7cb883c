"""Where a run came from is told, and what cannot be known is null and named."""

import subprocess

import numpy as np

from coflect_widget.records.origin import class_counts, git_state, missing


def test_the_commit_and_whether_files_differ_from_it(tmp_path):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    assert git_state(tmp_path) == {"commit": None, "dirty": None}, "there is no commit yet"
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path)["dirty"] is True


def test_outside_a_repository_nothing_is_guessed(tmp_path):
    facts = {"git": git_state(tmp_path), "seed": 0, "host": None}
    assert missing(facts) == ["git.commit", "git.dirty", "host"]


def test_the_balance_of_classes():
    assert class_counts(np.array([0, 2, 2]), ["a", "b", "c"]) == {"a": 1, "b": 0, "c": 2}
    assert class_counts(np.array([0, 7]), None) == {"0": 1, "7": 1}
    assert class_counts(np.array([0.5, 1.0]), None) is None
    assert class_counts(np.zeros((2, 2), int), None) is None


def test_a_session_writes_them(make_session, shapes):
    session = make_session(config={"seed": 4})
    meta = session.run.meta
    assert meta["seed"] == 4
    assert meta["device"] == "cpu"
    assert meta["versions"]["torch"]
    assert sum(meta["data"]["class_counts"].values()) == len(shapes)
    assert list(meta["data"]["class_counts"]) == session.classes
    assert meta["data"]["fingerprint"].startswith("sha256:")
    assert meta["missing"] == missing({k: v for k, v in meta.items() if k != "missing"})
