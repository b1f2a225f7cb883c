"""An experiment's file beside a module that it names."""

import sys
from pathlib import Path

import pytest

FILE = """
name: rows
modules: [parts_of_mine]
data: parts_of_mine:rows
model: {name: thin, width: 12}
training: {epochs: 3, lr: 1e-2, batch_size: 16, optimizer: {name: sgd, momentum: 0.5}}
config: {seed: 4}
tags: {goal: baseline}
"""


@pytest.fixture
def file(tmp_path):
    parts = Path(__file__).with_name("parts_of_mine.py")
    (tmp_path / "parts_of_mine.py").write_text(parts.read_text())
    path = tmp_path / "rows.yaml"
    path.write_text(f"{FILE}run_dir: {tmp_path / 'runs'}\n")
    yield path
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]
    sys.modules.pop("parts_of_mine", None)
