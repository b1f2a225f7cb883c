"""Words that are the same: class numbers of a file and of a frame, truth values of JSON."""

import json

import numpy as np
import pandas as pd
import pytest

from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.same import different, places_of


def objects(cells):
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


@pytest.mark.parametrize(
    ("words", "names", "places"),
    [
        (["0.0", "1.0", "2"], ["0", "1"], [0, 1, -1]),
        (["0", "1", "1e0"], ["0.0", "1.0"], [0, 1, 1]),
        (["1", "2.0"], ["01", "02"], [0, 1]),
        (["1", "01", "1.0"], ["01", "A"], [-1, 0, -1]),  # a code among words
        (["2", "2.0"], ["2.0", "A"], [0, 0]),
        (["100000000000000003"], ["100000000000000001", "100000000000000002"], [-1]),
        (["true", "False"], ["FALSE", "TRUE"], [1, 0]),
        (["true", "True"], ["True", "true"], [1, 0]),
        (["Yes", "nan", "inf", ""], ["yes", "1"], [-1, -1, -1, -1]),
    ],
)
def test_which_name_a_word_is(words, names, places):
    assert places_of(words, names) == places


def test_names_that_are_the_same_are_one():
    assert different(["1.0", "1", "2"]) == ["1", "2"]
    assert different(["01", "1", "A"]) == ["01", "1", "A"]
    assert different(["true", "True"]) == ["True"]
    assert different(["3.1", "3.10", "3.9", "dev"]) == ["3.1", "3.10", "3.9", "dev"]


def test_class_numbers_are_the_same_however_they_are_written():
    goal = Classes()
    goal.fit(objects(["0", "1", "1.0", "0"]))
    assert goal.classes == ["0", "1"]
    for values in (objects(["0.0", "1.0"]), np.array([0.0, 1.0]), objects(["0", "1"])):
        assert goal.transform(values).tolist() == [0, 1]
        assert Classes.coded(values).tolist() == [0, 1]
    outputs = np.array([[2.0, 0], [0, 2]])
    assert goal.figures(outputs, objects(["0.0", "1.0"]))["accuracy"] == 1
    assert "2 classes: 1 3 (75%), 0 1 (25%)" in goal.about(objects(["0", "1", "1.0", "1"]))[0]


def test_a_word_among_class_numbers_is_missing_as_it_is_said():
    cells = [*("01" * 48), *["unknown"] * 4]
    found = look({"x": np.random.default_rng(0).normal(size=100), "y": objects(cells)})
    assert "4 cells of 'y' hold no number, such as 'unknown': taken for missing." in str(found)
    assert Classes.coded(found.sheet.cells["y"]).tolist() == [0, 1] * 48 + [-1] * 4


@pytest.mark.parametrize("written", ["json", "frame", "lines"])
def test_a_truth_value_of_a_request_is_that_of_the_data(tmp_path, written):
    rng = np.random.default_rng(0)
    rows = [{"age": float(k), "smoker": bool(k % 3)} for k in rng.permutation(60)]
    data = pd.DataFrame(rows)
    if written == "json":
        data = tmp_path / "a.json"
        data.write_text(json.dumps(rows))
    elif written == "lines":
        data = tmp_path / "a.csv"
        data.write_text("\n".join(["age,smoker", *(
            f"{row['age']},{str(row['smoker']).upper()}" for row in rows)]))  # fmt: skip
    found = look(data)
    inputs = KINDS["table"]()
    inputs.fit(found.sheet, [found.column("smoker")])
    x = [inputs.transform(inputs.requested({"smoker": value}))[0] for value in (True, False)]
    assert np.array_equal(x[0], x[1][::-1])
    assert x[0].sum() == 1
    seen = np.array([row["smoker"] for row in rows])
    assert np.array_equal(inputs.transform(found.sheet)[seen][0], x[0])
