"""Questions reach a person, on the terminal and in a notebook, and answers lead to a session."""

import io
import json
import os
import pty
import subprocess
import sys
from functools import partial

import pytest

from benchmarks.quickstart.messy import FILES
from coflect_widget.cli import main
from coflect_widget.projects.quickstart.asking import terminal
from coflect_widget.projects.quickstart.asking.notebook import Asking
from coflect_widget.projects.quickstart.building import build
from coflect_widget.projects.quickstart.deciding import Choices
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.start import quickstart


def test_questions_on_the_terminal(tmp_path, monkeypatch, capsys):
    found = look(FILES["leaking"](tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO("9\nnothing\n4\n\n"))
    decision = terminal.decided(found, Choices(), terminal.typed)
    said = capsys.readouterr().err
    assert "4  diagnosis (words, 2 different)" in said
    assert said.count("Type a number from 1 to 4.") == 2
    assert "1  leave out bill  (enter)" in said
    assert (decision.target, [c.name for c in decision.columns]) == ("diagnosis", ["sugar", "age"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("diagnosis\n2\n"))
    decision = terminal.decided(found, Choices(), terminal.typed)
    assert [c.name for c in decision.columns] == ["sugar", "age", "bill"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(terminal.UnansweredError, match="target='bill'"):
        terminal.decided(found, Choices(), terminal.typed)
    # what has no proposal is not taken for granted
    with pytest.raises(terminal.UnansweredError):
        terminal.decided(found, Choices(), terminal.proposed)
    decision = terminal.decided(found, Choices("diagnosis"), terminal.proposed)
    assert [c.name for c in decision.columns] == ["sugar", "age"]


def test_selectors_in_a_notebook(tmp_path):
    found = look(FILES["leaking"](tmp_path))
    asking = Asking(found, Choices(), partial(build, run_dir=tmp_path / "runs"))
    assert list(asking.selectors) == ["target"]
    assert asking.button.disabled
    assert "Which column" in asking._said.value
    pick(asking, "target", "diagnosis")
    assert list(asking.selectors) == ["target", "leave_out"]
    assert asking.selectors["leave_out"].value.value == ("bill",)  # what is proposed
    assert not asking.button.disabled
    pick(asking, "target", "age")  # another target asks other questions
    assert list(asking.selectors) == ["target"]
    assert "Numbers from" in asking._said.value
    pick(asking, "target", None)
    assert asking.button.disabled
    pick(asking, "target", "diagnosis")
    pick(asking, "leave_out", ())
    assert asking.session is None
    asking.button.click()
    try:
        assert asking.session is not None, asking._said.value
        assert asking.children[-1] is asking.session.dashboard()
        assert set(asking.session.pipeline.inputs.sources) == {"sugar", "age", "bill"}
        assert all(selector.disabled for selector in asking.selectors.values())
        asking.button.click()  # once
        assert len(list((tmp_path / "runs").glob("run_*"))) == 1
    finally:
        asking.session.close()


def pick(asking, name, value):
    selector = asking.selectors[name]
    options = [option for _, option in selector.options]
    selector.value = next((o for o in options if o is not None and o.value == value), None)


def test_what_data_hold_is_text_and_what_fails_may_be_chosen_anew(tmp_path):
    rows = "\n".join(["<img src=x>,b,label", *(f"{k * k % 17},{k % 5},{'pq'[k % 2]}"
                                              for k in range(12))])  # fmt: skip
    (tmp_path / "a.csv").write_text(rows)
    asking = Asking(look(tmp_path / "a.csv"), Choices(), partial(build, run_dir=tmp_path / "runs"))
    assert "&lt;img src=x&gt;" in asking._found.value
    assert "<img" not in asking._found.value + asking._said.value
    asking.button.click()
    assert asking.session is None
    assert "12 rows with a target are too few" in asking._said.value
    assert not asking.button.disabled


def coflect(*words, **more):
    return subprocess.run(
        [sys.executable, "-m", "coflect_widget.cli", "quickstart", *map(str, words)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        **more,
    )  # fmt: skip


@pytest.mark.slow  # a training in a process of its own
def test_the_command(tmp_path):
    file = FILES["leaking"](tmp_path)
    done = coflect(file, "--target", "diagnosis", "--yes", "--epochs", 3, "--run-dir",
                   tmp_path / "runs", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["kind"], found["task"], found["target"]) == (
        "table",
        "classification",
        "diagnosis",
    )
    assert found["figures"]["accuracy"] > found["guess"]
    assert "training for 3 epochs" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert str(run) == found["run"]
    assert json.loads((run / "pipeline" / "pipeline.json").read_text())["target"] == "diagnosis"


def test_the_command_looks_asks_or_refuses(tmp_path):
    file = FILES["leaking"](tmp_path)
    done = coflect(file, "--look")
    assert done.returncode == 0
    assert "leaking.csv: 600 rows, 4 columns" in done.stdout
    done = coflect(file, "--yes", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Give one of these:" in done.stderr
    # on a terminal it asks
    mine, its = pty.openpty()
    os.write(mine, b"2\n")
    done = coflect(FILES["one_class"](tmp_path), "--task", "classification", stdin=its, timeout=120)
    os.close(mine)
    os.close(its)
    assert "Which column is to be predicted?" in done.stderr
    assert done.returncode == 1  # numbers are no classes
    assert "too many" in done.stderr


def test_runs_are_made_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COFLECT_ROOT", str(tmp_path / "ours"))
    file = FILES["leaking"](tmp_path)
    with quickstart(file, target="diagnosis", leave_out=["bill"]) as session:
        assert session.run.path.parent == tmp_path / "ours"
    words = ["quickstart", str(file), "--target", "diagnosis", "--yes", "--epochs", "1"]
    assert main([*words, "--model", "hist_gradient_boosting"]) == 0
    runs = sorted((tmp_path / "ours").glob("run_*"))
    assert len(runs) == 2
    plan = json.loads((runs[1] / "pipeline" / "pipeline.json").read_text())["network"]
    assert plan["net"] == "hist_gradient_boosting"
