"""A file has one subject; past 450 lines it probably has two."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 450
#: Where people write, and in what.
WRITTEN = {
    "coflect_widget": ("py",), "benchmarks": ("py",), "tests": ("py",),
    "examples": ("py",), "js": ("py", "ts", "mjs", "css"), "native": ("py", "h", "cpp"),
}  # fmt: skip


def too_long(root):
    return {
        file.relative_to(root).as_posix()
        for room, endings in WRITTEN.items()
        for ending in endings
        for file in (root / room).rglob(f"*.{ending}")
        if len(file.read_text(encoding="utf-8").splitlines()) > MOST
    }


def test_no_file_is_longer():
    assert not too_long(ROOT), "divide it by subject"


def test_each_kind_of_file_is_read(tmp_path):
    for room, endings in WRITTEN.items():
        assert any((ROOT / room).rglob(f"*.{endings[0]}")), "a room that is no more"
        (tmp_path / room / "part").mkdir(parents=True)
        for ending in endings:
            (tmp_path / room / "part" / f"kept.{ending}").write_text("\n" * MOST)
            (tmp_path / room / "part" / f"long.{ending}").write_text("\n" * (MOST + 1))
    found = too_long(tmp_path)
    assert len(found) == sum(map(len, WRITTEN.values()))
    assert all("long" in name for name in found)
