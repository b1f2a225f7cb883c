"""The example notebooks, as somebody meets them who opens one."""

import json
from pathlib import Path

import pytest
import torch

import coflect_widget as coflect

EXAMPLES = Path(__file__).parents[1] / "examples" / "hitl"


@pytest.mark.parametrize("name", ["01_torch_quickstart", "06_series", "07_table"])
def test_the_first_cell_warns_of_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs/ is made there
    cells = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    source = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    threads, names = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    try:
        exec(compile(source, name, "exec"), names)
        session = names["session"]
        session.stop()
        assert session.events("state")
        assert [e.data.text for e in session.events("notice") if e.data.level == "warning"] == []
    finally:
        coflect.close_all()
        torch.set_num_threads(threads)
