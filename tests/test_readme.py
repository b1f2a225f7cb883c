"""README.md: its code runs as it stands, its links lead somewhere, its figures stand in docs/."""

import re
from pathlib import Path

import pytest
import torch

import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_code_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs/ is made there
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = coflect.data.synthetic(n=128, classes=2, size=16)
    names = {"model": tiny_cnn(2), "train": data, "val": data}
    (code,) = CODE
    assert len(code.strip().splitlines()) <= 12
    try:
        exec(compile(code, "README.md", "exec"), names)
        session = names["session"]
        eventually(lambda: session.state != "training", 60)
        session.wait()
        assert session.metrics["epoch"] == 10
        assert [e.data.verdict for e in session.events("judged")] == ["leave out"]
        assert [e.id for e in session.events("undo")] == [names["told"].id]
        assert [e.index for e in session.events("overlay") if e.purpose == "person"] == [12]
    finally:
        coflect.close_all()
        torch.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [
        link for link in links if "://" not in link and not (page.parent / link).resolve().exists()
    ]
    assert missing == []


def test_three_figures_that_stand_in_docs_with_their_scripts():
    figures = README[README.index("## Three figures") : README.index("## Read on")]
    rows = [line for line in figures.splitlines() if line.startswith("- **")]
    assert len(rows) == 3
    measured = "\n".join(page.read_text(encoding="utf-8") for page in PAGES[1:])
    for row, numbers in zip(
        rows, (("0.486", "0.883", "0.887"), ("8 were wrong", "1.4"), ("+0.2 %", "-0.2 to +0.7")),
        strict=True,
    ):  # fmt: skip
        (script,) = re.findall(r"`(benchmarks/[\w/]+\.py)", row)
        assert (ROOT / script).is_file()
        assert script in measured
        for number in numbers:
            assert number in measured, number


def test_what_nobody_else_has_in_a_notebook_is_named():
    for name in ("suspects", "judge"):
        assert name in README
        assert callable(getattr(coflect.Session, name)) or hasattr(coflect.Session, name)
