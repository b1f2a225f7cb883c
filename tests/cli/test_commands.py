"""Every command, as a process."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from coflect_widget.cli import main
from tests.records.test_comparison import two  # noqa: F401 - a fixture


def coflect(*words):
    return subprocess.run(
        [sys.executable, "-m", "coflect_widget.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def answer(*words):
    done = coflect(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_list(two, tmp_path):  # noqa: F811
    (tmp_path / "run_a" / "labels.json").write_text("{")
    done = coflect("list", tmp_path)
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "state", "epoch", "step", "best"], ["run_b", "finished", "2", "20", "loss", "0.25"],
    ]  # fmt: skip
    assert "run_a is left out" in done.stderr
    assert [row["id"] for row in answer("list", tmp_path, "--sort", "best.loss")] == ["run_b"]


def test_compare(two, tmp_path):  # noqa: F811
    found = answer("compare", tmp_path / "run_a", tmp_path / "run_b", "--html", tmp_path / "x.html")
    assert found["differs"]["best.loss"] == [0.5, 0.25]
    assert (tmp_path / "x.html").read_text().count("<polyline") == 2


def test_report_and_what_fails(two, tmp_path):  # noqa: F811
    assert coflect("report", tmp_path / "run_a", tmp_path / "x.html").returncode == 0
    again = coflect("report", tmp_path / "run_a", tmp_path / "x.html")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("coflect: ")
    assert "give another name" in again.stderr


def test_replay_into_a_sink_of_ones_own(two, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "mine.py").write_text(
        "class Lines:\n"
        "    def on_event(self, event):\n"
        "        with open('told.txt', 'a') as file:\n"
        "            file.write(f'{event.type} {event.step}\\n')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert answer("replay", "run_a", "mine:Lines") == {"run": "run_a", "sink": "Lines"}
    told = (tmp_path / "told.txt").read_text().splitlines()
    assert told == ["metrics 10", "intervention 12", "metrics 20", "state 20"]
    wrong = coflect("replay", "run_a", "mlfow")
    assert wrong.returncode == 1
    assert "did you mean 'mlflow'" in wrong.stderr


def test_audit_open_trials_and_a_project_at_once(two, tmp_path):  # noqa: F811
    run, notebook, project = tmp_path / "run_a", tmp_path / "a.ipynb", tmp_path / "mine"
    tried = {
        ("audit", run): 2,  # nobody looked
        ("open", run, "--notebook", notebook, "--write-only"): 0,
        ("trials", tmp_path): 1,
        ("new", "image", project): 0,
        ("connect", run): 1,
    }
    with ThreadPoolExecutor() as pool:
        done = dict(zip(tried, pool.map(lambda words: coflect(*words), tried), strict=True))
    assert {words: one.returncode for words, one in done.items()} == tried, done
    assert str(run) in notebook.read_text()
    assert any(project.iterdir())
    for words in (("trials", tmp_path), ("connect", run)):
        assert done[words].stderr.startswith("coflect: ")


def test_a_package_brings_a_command_of_its_own(tmp_path, monkeypatch):
    facts = tmp_path / "shouting-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[coflect.modules]\nshout = shouting:shout\n")
    (tmp_path / "shouting.py").write_text(
        "def shout(words):\n"
        "    if not words: raise ValueError('what?')\n"
        "    print(' '.join(words).upper())\n    return 3\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = coflect("shout", "it", "--json")
    assert (done.returncode, done.stdout) == (3, "IT --JSON\n")
    assert (coflect("shout").returncode, coflect("shout").stderr) == (1, "coflect: what?\n")
    assert answer("hitl", "list", "modules") == {"shout": "shouting:shout", "hitl": "built in"}


def test_doctor_and_what_is_misspelt():
    assert answer("doctor")["numpy"][0].isdigit()
    assert coflect("docter").returncode == 2


def test_an_interrupt_ends_a_command(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("coflect_widget.ui.recorded.runs", interrupted)
    assert main(["list"]) == 130


def test_help_imports_the_commands_alone():
    code = (
        "import sys\nfrom coflect_widget.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "import json; print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {"numpy", "pydantic", "yaml", "torch", "tensorflow", "keras", "optuna"} & found
    rooms = {name.split(".")[1] for name in found if name.startswith("coflect_widget.")}
    assert rooms == {"cli", "screens"}


def test_a_shell_completes_commands_and_options():
    script = answer("completion", "bash")["script"]

    def completed(*words):
        asked = " ".join(f"'{word}'" for word in words)
        code = f"COMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}; _coflect; "
        code += 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-c", script + code], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert completed("coflect", "do") == ["doctor"]
    assert completed("coflect", "tune", "--tr") == ["--trials"]
    assert completed("coflect", "train", "x") == []
    assert "bashcompinit" in answer("completion", "zsh")["script"]
