"""Helpers of other threads are given back, so that they cannot slow training down."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from coflect_widget.process.openmp import find_runtimes, release_helpers

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="concerns GNU's OpenMP, which torch has on Linux only"
)


def threads():
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # also where the machine has one processor
    yield
    torch.set_num_threads(before)


def test_helpers_are_given_back_and_come_again_when_needed(two_threads):
    find_runtimes()
    release_helpers()
    x = torch.randn(400, 400)
    alone = threads()
    product = x @ x
    assert len(threads() - alone) == 1
    release_helpers()
    assert not threads() - alone
    assert torch.equal(x @ x, product)


CELLS = """
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
import torch
torch.set_num_threads(2)
shell = InteractiveShell.instance()
count = lambda: len(list(Path("/proc/self/task").iterdir()))
def run(cell):
    assert shell.run_cell(cell).success
run("import torch, coflect_widget as coflect\\n"
    "from tests.conftest import tiny_cnn\\n"
    "session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=64))")
before = count()
run("from pathlib import Path\\n"
    "x = torch.randn(400, 400); x @ x\\n"
    "during = len(list(Path('/proc/self/task').iterdir()))")
print(shell.user_ns["during"] - before, count() - before)
run("session.close()")
"""


@pytest.mark.slow
def test_a_notebook_gives_them_back_after_each_cell(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CELLS], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["1", "0"], done.stdout
