"""`coflect new`: each template makes a project that is whole; its own tests train and serve it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from benchmarks.quickstart.messy import FILES
from coflect_widget.cli import main
from coflect_widget.projects.templates.making import TEMPLATES, new, template_of

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_project_is_whole(kind, tmp_path, capsys):
    assert main(["new", kind, str(tmp_path / "my-project"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    project = tmp_path / "my-project"
    files = {one.relative_to(project).as_posix() for one in project.rglob("*") if one.is_file()}
    assert files == set(told["files"])
    assert files == {
        "config.yaml", "settings.py", "sample.py", "model.py", "train.py", "train.ipynb",
        "serve.py", "README.md", "requirements.txt", "Dockerfile", "compose.yaml",
        "compose.team.yaml", ".gitignore", ".dockerignore", "tests/conftest.py",
        "tests/test_project.py",
    }  # fmt: skip
    for name in files:
        text = (project / name).read_text(encoding="utf-8")
        assert "{{" not in text, name
        assert "{%" not in text, name
        assert text.endswith("\n"), name
        if name.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), name
    nbformat.validate(nbformat.read(project / "train.ipynb", 4))
    for cell in nbformat.read(project / "train.ipynb", 4).cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
    settings = yaml.safe_load((project / "config.yaml").read_text())
    assert settings["data"] == "sample"
    compose = yaml.safe_load((project / "compose.yaml").read_text())
    assert set(compose["services"]) == {"mlflow", "train", "serve"}
    team = yaml.safe_load((project / "compose.team.yaml").read_text())
    assert set(team["services"]) == {"database", "mlflow"}
    assert "postgresql://" in team["services"]["mlflow"]["command"]
    assert (project / "README.md").read_text().startswith("# My project\n")
    # what a project needs is what this distribution gives
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    wanted = (project / "requirements.txt").read_text()
    assert set(re.search(r"\[(.+?)\]", wanted)[1].split(",")) <= set(extras)
    lint = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,B,W",
         "--line-length", "100", str(project)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert lint.returncode == 0, lint.stdout


def run_in(project, *words, fails=False):
    # threads of its own would wait for each other where several tests share the processors
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("COFLECT_ROOT", None)
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


@pytest.mark.slow
def test_one_trains(tmp_path):
    project = new("table", tmp_path / "customers")
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("weight_decay: 0.01", "weight_decay: 1e-2"))
    line = re.search(r"python (train\.py .+)", (project / "train.py").read_text())[1]
    said = run_in(project, *line.split(), "--epochs", "1", "--batch_size", "64")
    assert "logistic regression" in said
    (run,) = (project / "runs").iterdir()
    assert said.splitlines()[-1] == str(run)
    assert json.loads((run / "pipeline" / "pipeline.json").read_text())["network"]["net"] == "own"


def test_a_column_that_gives_the_target_away_is_told_of(tmp_path):
    project = new("table", tmp_path / "patients")
    FILES["leaking"](project)
    words = ("train.py", "--data", "leaking.csv", "--target", "diagnosis", "--epochs", "1")
    said = run_in(project, *words, fails=True)
    assert "leave_out=['bill']: leave out bill" in said
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_its_tests_are_of_the_sample_whatever_is_told_of_other_data(tmp_path):
    project = new("table", tmp_path / "patients")
    config = project / "config.yaml"
    text = config.read_text().replace("target: left", "target: price").replace("null ", "[bill]", 1)
    config.write_text(text.replace("task: classification", "task: regression"))
    assert yaml.safe_load(config.read_text())["leave_out"] == ["bill"]
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "learns")
    assert "1 passed" in run_in(project, *words)


@pytest.mark.slow  # a training and a service each
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", TEMPLATES)
def test_each_passes_its_own_tests_as_it_is_used(kind, tmp_path):
    project = new(kind, tmp_path / "mine")
    assert "3 passed" in run_in(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    said = run_in(project, "train.py")
    assert "On " in said
    code = "\n".join(
        cell.source.removesuffix("\nsession")
        for cell in nbformat.read(project / "train.ipynb", 4).cells
        if cell.cell_type == "code"
    )
    run_in(project, "-c", code)
    assert len(list((project / "runs").iterdir())) == 2


# --- templates of one's own -----------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "template"
    (folder / "{{ name }}_code").mkdir(parents=True)
    (folder / "{{ name }}_code" / "main.py.jinja").write_text(
        'TITLE = "{{ title }}"\n'
        "{% for n in range(depth | int) %}\nlayer_{{ n }} = {{ n }}\n{% endfor %}"
    )
    (folder / "picture.bin").write_bytes(b"\xff\xfe{{ name }}")
    (folder / "template.yaml").write_text("words: mine\nvariables: {depth: 1}\n")
    return folder


def test_a_template_of_ones_own(mine, tmp_path):
    project = new(str(mine), tmp_path / "deep" / "Net_2", variables={"depth": "2"})
    code = (project / "Net_2_code" / "main.py").read_text()
    assert code == 'TITLE = "Net 2"\nlayer_0 = 0\nlayer_1 = 1\n'
    assert (project / "picture.bin").read_bytes() == b"\xff\xfe{{ name }}"
    assert not (project / "template.yaml").exists()
    assert list((tmp_path / "deep").iterdir()) == [project]  # nothing is left beside it
    # over a template of the package: its files, but for those that are there already
    (mine / "template.yaml").write_text("over: table\nvariables: {depth: 1}\n")
    (mine / "model.py").write_text("# mine\n")
    over = new(str(mine), tmp_path / "over")
    assert (over / "model.py").read_text() == "# mine\n"
    assert (over / "train.py").read_text() == (
        new("table", tmp_path / "t") / "train.py"
    ).read_text()


def test_a_template_of_an_installed_package(mine, tmp_path, monkeypatch):
    site = tmp_path / "site"
    shutil.copytree(mine, site / "our_templates")
    (site / "our_templates" / "__init__.py").write_text("raise RuntimeError('no code of it runs')")
    (site / "ours-1.dist-info").mkdir()
    (site / "ours-1.dist-info" / "METADATA").write_text("Name: ours\nVersion: 1\n")
    (site / "ours-1.dist-info" / "entry_points.txt").write_text(
        "[coflect.templates]\nours = our_templates\nlost = nowhere\n"
    )
    monkeypatch.syspath_prepend(site)
    project = new("ours", tmp_path / "project")
    assert (project / "picture.bin").read_bytes() == b"\xff\xfe{{ name }}"
    assert not (project / "__init__.py").exists()
    with pytest.raises(LookupError, match="did you mean 'ours'"):
        new("our", tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt.jinja", "{{ dept }}", r"a\.txt\.jinja: 'dept' is undefined; give it with --set"),
        ("a.txt.jinja", "{{ name", r"a\.txt\.jinja: unexpected end of template"),
        ("a.txt.jinja", "{{ ''.__class__.__mro__ }}", "unsafe"),
        ("a.txt.jinja", "{% include '../secret' %}", "secret"),
        ("a.txt.jinja", "{% include '__pycache__/x' %}", "__pycache__/x"),
        ("a.txt.jinja", "{% include 'a.txt.jinja' %}", r"a\.txt\.jinja includes itself"),
        ("a.txt.jinja", b"\xff\xfe", "is no UTF-8"),
        ("{{ '..' }}", "", "no file of the project"),
        (r"{{ 'a\x2fb' }}", "", "no file of the project"),
        ("template.yaml", "varables: {}", "did you mean 'variables'"),
        ("template.yaml", "[", "is no YAML"),
        ("template.yaml", "over: ../..", "must be a template of the package"),
    ],
)
def test_what_a_template_cannot_do(mine, tmp_path, name, text, says):
    (tmp_path / "secret").write_text("never read")
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "x").symlink_to(tmp_path / "secret")
    (mine / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=says):
        new(str(mine), tmp_path / "project")
    assert not (tmp_path / "project").exists()
    (mine / "link").symlink_to(tmp_path / "secret")
    (mine / name).unlink()
    with pytest.raises(ValueError, match="template link is a link"):
        new(str(mine), tmp_path / "project")


def test_nothing_is_overwritten_and_names_are_checked(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    assert main(["new", "table", str(tmp_path / "there")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "there").iterdir()] == ["mine.txt"]
    assert main(["new", "tabel", str(tmp_path / "new")]) == 1
    assert "did you mean 'table'" in capsys.readouterr().err
    assert main(["new", "table", str(tmp_path / "1 & 2")]) == 1
    assert "cannot be the name of a project" in capsys.readouterr().err
    assert main(["new", "table", str(tmp_path / "new"), "--set", "depth"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"there"}


def test_an_empty_folder_is_filled(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert main(["new", "table", "."]) == 0
    assert f"{tmp_path / 'mine'}: 16 files" in capsys.readouterr().out
    assert Path("train.py").is_file()  # seen from where the user is
    assert {one.name for one in tmp_path.iterdir()} == {"mine"}
    assert main(["new", "table", "."]) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_repository_where_it_is_wanted(tmp_path):
    project = new("table", tmp_path / "kept", git=True)
    added = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(added) == 16
    assert all(line.startswith("A  ") for line in added)


def test_what_dvc_needs_where_it_is_wanted(tmp_path):
    project = new("table", tmp_path / "versions", dvc=True)
    (stage,) = yaml.safe_load((project / "dvc.yaml").read_text())["stages"].values()
    assert all((project / name).is_file() for name in stage["deps"])
    assert (project / ".dvc" / "config").is_file()
    assert "!data/*.dvc" in (project / ".gitignore").read_text()  # git keeps the pointers
    assert "dvc add data/mine.csv" in (project / "README.md").read_text()
    assert "DVC" not in (new("table", tmp_path / "plain") / "README.md").read_text()


def test_each_template_says_what_it_is_for():
    assert all(template_of(name).words for name in TEMPLATES)
