"""Files and frames as programs write them: numeric names, lines, moments of a zone, periods."""

import json

import numpy as np
import pandas as pd
import pytest

from coflect_widget.projects.quickstart.columns import times
from coflect_widget.projects.quickstart.deciding import Choices, decide
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.reading import read


def array_of(words=("ill", "well")):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)))
    if words:
        frame["label"] = np.array(words)[rng.integers(0, 2, 40)]
    return frame


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_numeric_names_that_pandas_wrote_are_names(tmp_path, index, target):
    frame = array_of()
    if target == "numbers":
        frame["label"] = np.random.default_rng(1).normal(size=40)
    frame.to_csv(tmp_path / "a.csv", index=index)
    found = look(tmp_path / "a.csv")
    assert len(found.sheet) == 40
    assert [c.name for c in found.columns] == [""] * index + ["0", "1", "2", "label"]
    assert [c.kind for c in found.columns][-4:-1] == ["number"] * 3
    assert decide(found, Choices("label", leave_out=())).target == "label"


def test_an_index_tells_names_where_there_is_no_word(tmp_path):
    array_of(words=()).to_csv(tmp_path / "a.csv")
    assert [c.name for c in look(tmp_path / "a.csv").columns] == ["", "0", "1", "2"]


def test_first_rows_that_count_up_are_rows(tmp_path):
    said = [f"a sentence of its own about thing {k}" for k in range(40)]
    rows = [f"{k},{k % 3 + 1},{said[k]}" for k in range(40)]  # a number, a mark, a text
    classes = [f"{k % 4 + 1},{k % 4 + 2},{'ab'[k % 2]}" for k in range(40)]
    gaps = [f"{'?' if k % 9 == 0 else k},{k % 4 + 1},{k % 4 + 2}" for k in range(40)]
    for lines in (rows, classes, gaps):
        (tmp_path / "a.csv").write_text("\n".join(lines))
        assert len(look(tmp_path / "a.csv").sheet) == 40
    with pytest.raises(
        ValueError, match=r"there is no 'label': the first line was taken for a row"
    ):
        decide(look(tmp_path / "a.csv"), Choices("label"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_ends_where_files_end_it(tmp_path, end):
    texts = [f"one\u2028two\u2029three\u0085four {k}" for k in range(9)]
    lines = [json.dumps({"t": text, "n": k}, ensure_ascii=False) for k, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_bytes(end.join(lines).encode())
    sheet = read(tmp_path / "a.jsonl")
    assert sheet.cells["t"].tolist() == texts
    assert not sheet.said
    (tmp_path / "b.txt").write_bytes(end.join(texts).encode())
    assert len(read(tmp_path / "b.txt")) == 9


def test_moments_that_no_calendar_holds_in_utc_are_none():
    far = ["9999-12-31 23:59:59-05:00", "0001-01-01 00:00:00+05:00", "9999-12-31 23:59:59"]
    assert np.isnat(times(far)).tolist() == [True, True, False]


# --- moments of frames ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "first", "step"),
    [
        (pd.date_range("2024-10-26", periods=120, freq="h", tz="Europe/Berlin"),
         "2024-10-25T22:00:00", 3600),
        (pd.period_range("2024-01-01", periods=120, freq="D"), "2024-01-01T00:00:00", 86_400),
        (pd.period_range("2000Q1", periods=120, freq="Q"), "2000-01-01T00:00:00", None),
    ],
    ids=["zone", "days", "quarters"],
)  # fmt: skip
def test_an_index_or_column_of_a_zone_or_of_periods_is_read(index, first, step):
    frame = pd.DataFrame({"load": np.arange(120.0) ** 2}, index)
    for data, name in ((frame, "time"), (frame.rename_axis("when").reset_index(), "when")):
        sheet = read(data)
        moments = sheet.cells[name]
        assert str(moments[0]) == first
        assert step is None or (np.diff(moments).astype(int) == step).all()
        assert decide(look(data), Choices("load")).kind == "timeline"


@pytest.mark.parametrize("step", ["D", "MS"])
def test_days_of_a_zone_are_those_of_its_calendar(step):
    index = pd.date_range("2024-01-01", periods=60, freq=step, tz="Europe/Berlin")
    moments = read(pd.DataFrame({"load": np.arange(60.0)}, index)).cells["time"]
    plain = pd.date_range("2024-01-01", periods=60, freq=step)
    assert (moments == plain.to_numpy().astype(moments.dtype)).all()
