"""``coflect export`` and ``evaluate`` as processes, and ``report --name``."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import coflect_widget as coflect
from coflect_widget.cli import main
from coflect_widget.cli.given import called
from tests.cli.test_commands import answer
from tests.conftest import tiny_cnn

MINE = ["--model", "tests.records.exports.nets:net", "--data", "tests.records.exports.nets:data"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = coflect.data.synthetic(n=48, seed=1)
    session = coflect.Session(tiny_cnn(), data, data, run_dir=tmp_path_factory.mktemp("runs"))
    session.train(epochs=1)
    session.wait(300)
    session.close()
    return session.run.path


@pytest.mark.slow
def test_evaluate_export_and_report(run, tmp_path, capsys):
    found = answer("evaluate", run, *MINE, "--resamples", 20, "--no-plots")
    kept = json.loads((run / "evaluations" / "eval_001" / "metrics.json").read_text())
    assert found["metrics"] == kept["metrics"]
    assert found["n"] == 48
    made = answer("export", run, "torchscript", *MINE, "--promote", "net", "--root", tmp_path)
    assert 0 <= made["difference"] <= 1e-4
    assert Path(made["path"]).is_dir()
    assert made["promoted"] == str(tmp_path / "default" / "net_v1.pt")
    assert main(["report", str(run), "--name", "one", "--folder", str(tmp_path)]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "manifest.yaml").exists()
    assert (folder / "figures" / "calibration.svg").exists(), "of the evaluation above"


@pytest.mark.slow
def test_a_report_that_measures_its_runs_anew(run, tmp_path):
    before = len(coflect.open_run(run).evaluations)
    test = coflect.data.synthetic(n=24, seed=2)
    with pytest.raises(ValueError, match="go together"):
        coflect.report([run], "anew", tmp_path, data=test)
    anew = coflect.report([run], "anew", tmp_path, data=test, model=lambda _: tiny_cnn(seed=5))
    (told,) = yaml.safe_load((anew / "manifest.yaml").read_text())["runs"]
    assert told["evaluation"]["path"] == f"evaluations/eval_{before + 1:03d}"
    assert coflect.open_run(run).evaluations[-1].facts["n"] == 24


def test_what_fails(run, capsys):
    assert main(["export", str(run), "onnx"]) == 1
    said = capsys.readouterr()
    assert "needs model= and data=" in said.err
    assert said.out == ""
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(run), "onxx"])
    assert main(["report", str(run)]) == 1


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [("nets", ValueError, "must be module:function"),
     ("no_such_module:f", ImportError, "there is no module 'no_such_module'"),
     ("tests.records.exports.nets:nothing", LookupError, "no function or class 'nothing'"),
     ("tests.records.exports.nets:not_callable", LookupError, "no function or class")],
)  # fmt: skip
def test_paths_that_lead_nowhere(path, error, words, tmp_path):
    with pytest.raises(error, match=words):
        called("--model", path, tmp_path)


def test_nothing_of_a_run_folder_is_imported(run, tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    shutil.copytree(run, trap)
    (trap / "sprung_trap.py").write_text("raise SystemExit('sprung')")
    monkeypatch.chdir(trap)
    with pytest.raises(ImportError, match="there is no module"):
        called("--model", "sprung_trap:net", trap)
    monkeypatch.syspath_prepend(str(trap))
    with pytest.raises(ValueError, match="lies in the run folder"):
        called("--model", "sprung_trap:net", trap)


def test_a_run_folder_is_no_package_either(tmp_path, monkeypatch):
    trap = tmp_path / "our_runs" / "run_001_x"
    (trap / "nested").mkdir(parents=True)
    for folder in (trap, trap / "nested"):
        (folder / "sprung_trap.py").write_text("raise SystemExit('sprung')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("sprung_trap", "nested.sprung_trap"):
        with pytest.raises(ValueError, match="lies in the run folder"):
            called("--model", f"our_runs.run_001_x.{name}:net", trap)
    with pytest.raises(ImportError, match=r"no module 'our_runs\.run_002'"):
        called("--model", "our_runs.run_002.nets:net", trap)
