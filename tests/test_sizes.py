"""A file has one subject; past 450 lines it probably has two."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 450


def test_no_file_is_longer():
    long = {
        file.relative_to(ROOT).as_posix()
        for room in ("coflect_widget", "benchmarks", "tests", "examples")
        for file in (ROOT / room).rglob("*.py")
        if len(file.read_text(encoding="utf-8").splitlines()) > MOST
    }
    assert not long, "divide it by subject"
