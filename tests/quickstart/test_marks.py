"""Decimal commas and commas of thousands: the column tells them, and a request is read like it."""

import json

import numpy as np
import pandas as pd
import pytest

from coflect_widget.projects.quickstart.columns import column_of, numbers
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.marks import marks_of
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.projects.quickstart.requested import FieldError


def objects(cells):
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


@pytest.mark.parametrize(
    ("cells", "read", "marks"),
    [
        (["0,125", "1,234", "2,5", "0,25"], [0.125, 1.234, 2.5, 0.25], ","),
        (["1,234", "2,5"], [1.234, 2.5], ","),
        (["1,234", "1234,567"], [1.234, 1234.567], ","),
        (["-1,234", "0,500"], [-1.234, 0.5], ","),
        (["1,234E-02", "1,234"], [0.01234, 1.234], ","),
        (["1,50 \u20ac", "1,234 \u20ac"], [1.5, 1.234], ","),
        (["1.234,5", "1,234", "1.234"], [1234.5, 1.234, 1234], ",."),
        (["2,5", "3,75", "1.234"], [2.5, 3.75, 1234], ",."),
        (["2,5", "3,75", "1.234", "0.5"], [2.5, 3.75, 1.234, 0.5], ","),
        (["1,234", "5,678"], [1234, 5678], ".,"),
        (["1,234", "1,234,567"], [1234, 1234567], ".,"),
        (["1,234", "1,234.5", "0.25"], [1234, 1234.5, 0.25], ".,"),
        (["1.234", "0.5", "7"], [1.234, 0.5, 7], ""),
    ],
)
def test_the_column_tells_what_a_comma_is(cells, read, marks):
    assert numbers(objects(cells)).tolist() == pytest.approx(read)
    assert marks_of(cells)[0] == marks


def test_one_mistyped_cell_makes_no_column_decimal():
    cells = objects(["1,234", "56,789", "1,234,567", "980"] * 25 + ["12,5"])
    assert numbers(cells)[:4].tolist() == [1234, 56789, 1234567, 980]
    assert np.isnan(numbers(cells)[-1])
    assert marks_of(cells)[0] == ".,"


def test_what_was_taken_is_said_where_it_is_in_doubt():
    found = column_of("paid", objects(["1,234", "5,678", "7,001"]))
    assert "'1,234' is 1234. Where they are decimal, write 1.234." in found.doubt
    found = column_of("paid", objects(["1,234", "5,678", "7,01"]))
    assert "'1,234' is 1.234" in found.doubt
    for cells in (["1,234", "1,234,567"], ["2,5", "0,75"], ["1.5", "2.5"]):
        assert column_of("paid", objects(cells)).doubt == ""


def european(folder):
    """Half of the cells of `dose` have three decimals; what is told is ten times as much."""
    rng = np.random.default_rng(0)
    dose = rng.uniform(0, 9, 120).round(3)
    weight = rng.normal(70, 9, 120)
    rows = [
        f"{d:.3f};{w:.1f};{10 * d:.3f}".replace(".", ",") for d, w in zip(dose, weight, strict=True)
    ]
    (folder / "doses.csv").write_text("\n".join(["dose;weight;effect", *rows]))
    return folder / "doses.csv", dose


def test_a_run_reads_rows_and_requests_as_its_column_was_read(start, tmp_path):
    file, dose = european(tmp_path)
    found = look(file)
    assert np.array_equal(found.sheet.cells["dose"], dose)
    session = start(file, target="effect", task="regression", kind="table", leave_out=())
    session.train(steps=20)
    assert session.wait(240)
    session.test()
    pipeline = Pipeline.of(session.run.path)
    alone = pipeline.preprocess([{"dose": "1,234", "weight": "70,0"}])  # no other cell tells
    assert np.array_equal(alone, pipeline.preprocess([{"dose": 1.234, "weight": 70.0}]))
    inputs = pipeline.inputs
    for text, value in (("1,234", 1.234), ("0,125", 0.125)):
        asked = inputs.transform(inputs.requested({"dose": text, "weight": 70}))
        assert np.array_equal(asked, pipeline.preprocess([{"dose": value, "weight": 70.0}]))
    # the target's column too
    rows = {"dose": [1.234] * 3, "weight": [70.0] * 3}
    assert pipeline.evaluate({**rows, "effect": ["1,234", "2,345", "3,456"]}) == pytest.approx(
        pipeline.evaluate({**rows, "effect": [1.234, 2.345, 3.456]})
    )
    kept = session.run.path / "pipeline" / "pipeline.json"
    state = json.loads(kept.read_text())
    assert state["marks"] == {"dose": ",", "weight": ",", "effect": ","}
    kept.write_text(json.dumps({**state, "marks": {"dose": "x"}}))
    with pytest.raises(ValueError, match="marks of numbers that are none"):
        Pipeline.of(session.run.path)
    del state["marks"]  # as runs of before
    kept.write_text(json.dumps(state))
    assert Pipeline.of(session.run.path).inputs.marks == {}


def test_text_of_a_column_without_commas_is_read_where_it_is_one_number():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 9, 50), "paid": rng.normal(9, 1, 50)})
    found = look(frame)
    inputs = KINDS["table"]()
    inputs.fit(found.sheet, found.columns)
    assert inputs.requested({"age": "0,125", "paid": "7 %"}).cells["age"] == [0.125]
    for wrong in ("1,234", "", "forty", "inf", "1" * 2000):
        with pytest.raises(FieldError) as caught:
            inputs.requested({"age": wrong, "paid": 1})
        assert caught.value.place == ("age",)
