"""The TypeScript of the protocol is what the Python says, and nobody can forget to write it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make_protocol(root, *arguments, seed="0"):
    return subprocess.run(
        [sys.executable, "js/make_protocol.py", *arguments], cwd=root, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
    )  # fmt: skip


@pytest.mark.parametrize("seed", ["1", "7"])
def test_the_committed_typescript_is_what_the_python_says(seed):
    result = make_protocol(ROOT, "--check", seed=seed)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def copied(tmp_path):
    """A copy of what the script reads and writes."""
    for part in ("coflect_widget", "js/src"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "js/make_protocol.py", tmp_path / "js")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "after", "field", "told"),
    [
        ("ui/protocol.py", "    device: str\n", "    host: str\n", "host: string;"),
        ("ui/protocol.py", "    learning_rate: float | None\n", "    heat: float | None\n",
         'heat: maybe(num)(from, "heat"),'),
        ("events/samples.py", "    passed: bool\n", "    weight: float = 1.5\n",
         'weight: or(num, 1.5)(from, "weight"),'),
        ("events/commands.py", "    onset: bool\n", "    top: int | None = None\n",
         '{ kind: "set_queue"; onset: boolean; top?: number | null }'),
        ("ui/screen_messages.py", "    attended: bool\n", "    far: bool\n",
         "attended: boolean; far:"),
    ],
)  # fmt: skip
def test_a_field_that_is_new_in_python_must_be_written_to_typescript(
    copied, file, after, field, told
):
    source = copied / "coflect_widget" / file
    text = source.read_text()
    assert text.count(after) == 1
    source.write_text(text.replace(after, after + field))
    stale = make_protocol(copied, "--check")
    assert stale.returncode == 1
    assert told in stale.stderr
    assert "Run `python js/make_protocol.py`" in stale.stderr


def test_the_command_that_is_named_writes_what_lacks(copied):
    written = copied / "js/src/decode.ts"
    committed = written.read_text()
    written.write_text(committed.replace("bool(from, ", "num(from, "))
    assert make_protocol(copied, "--check").returncode == 1
    assert make_protocol(copied).returncode == 0
    assert written.read_text() == committed


def test_a_shape_without_typescript_is_refused_with_its_place(copied):
    source = copied / "coflect_widget/ui/protocol.py"
    source.write_text(
        source.read_text().replace("    device: str\n", "    device: dict[str, int]\n")
    )
    result = make_protocol(copied, "--check")
    assert result.returncode == 1
    assert "Status.device" in result.stderr
