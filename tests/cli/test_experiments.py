"""Commands of experiments and searches: trained, interrupted, gone on with, refused, opened."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import coflect_widget as coflect
from coflect_widget.cli import main
from tests.experiments.conftest import file  # noqa: F401 - a fixture
from tests.records.test_comparison import two  # noqa: F401 - a fixture


def started(*words, lines):
    """A command as a process, after so many lines on stderr; and those lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coflect_widget.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell starts what runs in its background deaf to it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    said = []
    while len(said) < lines and (line := process.stderr.readline()):
        said.append(line.rstrip("\n"))
    return process, said


def ended(process):
    """The exit status after an interrupt."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode


@pytest.mark.slow
def test_train_is_interrupted_and_stays_to_be_gone_on_with(file, tmp_path, capsys):  # noqa: F811
    process, said = started("train", file, "--training.epochs=1000000", "--json", lines=3)
    assert ended(process) == 130
    run = coflect.open_run(said[0])
    assert [line.split("  ")[0] for line in said[1:]] == ["epoch 1/1000000", "epoch 2/1000000"]
    assert "val_accuracy" in said[1]
    assert run.state == "stopped"
    assert run.config["experiment"]["training"]["epochs"] == 1000000

    # a run folder names code of others: nothing of that is run
    assert main(["resume", str(run.path)]) == 1
    told = capsys.readouterr().err
    assert "parts_of_mine, parts_of_mine:rows" in told
    assert "resume" in told.splitlines()[-1]
    assert main(["connect", str(run.path)]) == 1
    assert "is not served" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_gone_on_with(file):  # noqa: F811
    process, said = started("train", file, "--training.epochs=1000000", lines=3)
    assert ended(process) == 130
    before = coflect.runs(Path(said[0]).parent).rows[0]["epoch"]
    process, again = started("resume", said[0], file, "--serve", lines=4)
    try:
        assert said[0] in again.pop(0)  # how to connect to it
        assert again[0] == said[0]
        done = subprocess.run(
            [sys.executable, "-m", "coflect_widget.cli", "connect", said[0], "pause", "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["state"] == "paused"
        assert ended(process) == 130
    finally:
        process.kill()
    assert int(again[1].split("/")[0].removeprefix("epoch ")) > before
    assert coflect.runs(Path(said[0]).parent).rows[0]["epoch"] > before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--training.epohcs", "3"], "training.epohcs is not a setting; did you mean 'epochs'?"),
        (["--training.epochs"], "--training.epochs has no value"),
        (["--training.epochs", "["], "--training.epochs is no YAML"),
        (["--training.epochs", "no"], "training.epochs = False: input should be greater"),
        (["--model", "thim"], "architecture 'thim' is not known: did you mean 'thin'?"),
    ],
)
def test_what_is_misspelt_is_answered(file, capsys, words, told):  # noqa: F811
    assert main(["train", str(file), *words]) == 1
    assert told in capsys.readouterr().err


def test_names_that_a_file_may_use(capsys):
    assert main(["list", "architectures", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mlp"] == "built in"
    assert main(["list", "loops"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["standard", "built", "in"]
    with pytest.raises(SystemExit, match="2"):
        main(["list", "loops", "--training.lr", "1"])


def test_a_run_without_a_file_is_told_how_it_goes_on(two, tmp_path, capsys):  # noqa: F811
    assert main(["resume", str(tmp_path / "run_a")]) == 1
    assert ".resume(model, train_data, val_data)" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "run_a")]) == 2  # what nobody looked at has not passed
    assert "this run did not look by itself" in capsys.readouterr().out
    (tmp_path / "run_a" / "config.yaml").write_text("findings:\n  act: report\n")
    assert main(["audit", str(tmp_path / "run_a")]) == 0
    assert capsys.readouterr().out == "No small region decides by itself.\n"
    assert main(["trials", str(tmp_path)]) == 1
    assert "holds no search" in capsys.readouterr().err


def test_a_notebook_that_shows_a_run(two, tmp_path, capsys):  # noqa: F811
    notebook = tmp_path / "shown.ipynb"
    words = ["open", str(tmp_path / "run_a"), "--notebook", str(notebook), "--write-only"]
    assert main(words) == 0
    [cell] = json.loads(notebook.read_text())["cells"]
    scope = {}
    code, shown = "".join(cell["source"]).rsplit("\n", 1)
    exec(code, scope)
    assert eval(shown, scope).id == "run_a"
    notebook.write_text("mine")
    assert main(words) == 0  # what was added to it stays
    assert notebook.read_text() == "mine"
    capsys.readouterr()


def test_no_notebook_is_opened_inside_a_run_folder(two, tmp_path, monkeypatch, capsys):  # noqa: F811
    run = tmp_path / "run_a"
    (run / "jupyter_lab_config.py").write_text("raise SystemExit('sprung')")
    assert main(["open", str(run), "--notebook", str(run / "shown.ipynb"), "--write-only"]) == 1
    assert "outside the run folder" in capsys.readouterr().err
    (tmp_path / "mine.ipynb").write_text("{}")
    monkeypatch.chdir(run)
    for words in ((), ("--notebook", "../mine.ipynb")):
        assert main(["open", ".", *words]) == 1
        assert "outside the run folder" in capsys.readouterr().err
    assert not list(run.glob("*.ipynb"))
