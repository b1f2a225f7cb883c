"""Files that are there whole or not at all, and what is left of those that never were."""

import os
import sys

import pytest

from coflect_widget.records.durable import replacing
from coflect_widget.records.journal import Journal


def test_what_raises_half_way_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def half():
        with replacing(file) as part:
            part.write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        half()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_goes_when_nobody_writes_it(tmp_path):
    old, now, other = (
        tmp_path / f"{name}.part"
        for name in ("a.txt.00ff00ff00ff", "a.txt.00ff00ff00fe", "a.txt.b")
    )
    for part in (old, now, other):
        part.write_text("half")
    for part in (old, other):
        os.utime(part, (0, 0))
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert {*tmp_path.iterdir()} == {tmp_path / "a.txt", now, other}


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there who else writes")
def test_parts_of_pictures_go_when_a_run_is_opened_for_writing(tmp_path):
    (tmp_path / "overlays").mkdir()
    part, picture = (tmp_path / "overlays" / f"a.png{e}" for e in (".0123456789ab.part", ""))
    part.write_text("half")
    picture.write_text("whole")
    first = Journal(tmp_path)
    assert not part.exists()
    assert picture.exists()
    part.write_text("half")
    Journal(tmp_path).close()  # somebody writes there
    first.close()
    assert part.exists()
