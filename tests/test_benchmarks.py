"""Each command in the documents names a script that exists; one page lists all scripts."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
PAGES = [ROOT / "README.md", ROOT / "Makefile", BENCHMARKS / "README.md", *ROOT.glob("docs/*.md")]
CODE = [file for room in ("benchmarks", "coflect_widget") for file in (ROOT / room).rglob("*.py")]
COMMAND = re.compile(r"(?:python3?|bin/python) ([\w./-]+\.py)|\b((?:benchmarks|docs)/[\w/-]+\.py)")
SCRIPTS = sorted(
    file.relative_to(ROOT).as_posix()
    for file in BENCHMARKS.rglob("*.py")
    if re.search(r'^if __name__ == "__main__":', file.read_text(encoding="utf-8"), re.MULTILINE)
    and file.name != "arms.py"  # `pairs.py` starts it
)


def named(text):
    """Scripts that a text tells to run, or names."""
    return {first or second for first, second in COMMAND.findall(text)}


@pytest.mark.parametrize("page", [*PAGES, *CODE], ids=lambda page: str(page.relative_to(ROOT)))
def test_each_script_that_is_named_exists(page):
    names = named(page.read_text(encoding="utf-8"))
    assert not {name for name in names if not (ROOT / name).exists()}


def test_the_list_has_each_script_and_where_its_figures_stand():
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert sorted(named(text) - {"docs/make_screenshots.py"}) == SCRIPTS
    for line in text.splitlines():
        for page in re.findall(r"\]\(\.\./([\w/]+\.md)\)", line):
            there = named((ROOT / page).read_text(encoding="utf-8"))
            assert named(line) <= there, page


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_how_it_is_run(script):
    document = ast.get_docstring(ast.parse((ROOT / script).read_text(encoding="utf-8")))
    assert f"python {script}" in document


def test_what_benchmarks_import_from_each_other_is_there():
    for file in BENCHMARKS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            if module.partition(".")[0] != "benchmarks":
                continue
            place = ROOT / module.replace(".", "/")
            for name in (alias.name for alias in node.names):
                if place.is_dir():
                    assert (place / f"{name}.py").exists(), (file, name)
                else:
                    assert name in defined(place.with_suffix(".py")), (file, name)


def defined(file):
    """Names at the top of a module."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names


def test_the_test_sees_what_is_missing():
    text = "run `python benchmarks/no/such.py --now` and docs/none.py, not records/stream.py"
    assert named(text) == {"benchmarks/no/such.py", "docs/none.py"}
