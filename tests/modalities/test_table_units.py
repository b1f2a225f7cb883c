"""A row's features: what they are called, and what a mark on them is."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import coflect_widget as coflect
from coflect_widget.config import DisplayConfig
from coflect_widget.guidance.instructions import NotUnderstood, examples, parse
from coflect_widget.modalities import TABLE, find_modality, recognise
from coflect_widget.modalities.table.regions import Features

NAMES = ["age", "blood_pressure", "region_north", "sex", "region_south", "focus-strength"]
TABLE_ = coflect.Table(
    NAMES, groups={"region": ["region_north", "region_south"]}, codes={"sex": ["f", "m"]}
)
ROWS = np.array(
    [[40, 120, 1, 0, 0, 0.5], [60, 140, 0, 1, 1, 0.25], [50, 100, 1, 1, 0, 0]], np.float32
)
FITTED = TABLE_.fitted(ROWS, "train_data")
EXTENT = (6,)


def test_one_hot_columns_and_codes_are_features():
    assert TABLE_.names == ("age", "blood_pressure", "region", "sex", "focus-strength")
    content = FITTED.content(ROWS[1], DisplayConfig())
    assert content["kind"] == "table"
    assert content["rows"][0] == {"name": "age", "text": "60", "at": 1.0, "units": [0]}
    assert content["rows"][1]["at"] == 1.0
    assert content["rows"][2] == {"name": "region", "text": "south", "at": None, "units": [2, 4]}
    assert content["rows"][3] == {"name": "sex", "text": "m", "at": None, "units": [3]}
    rendering = FITTED.render(ROWS[1], DisplayConfig())
    assert rendering.picture.shape == (1, 6, 3)
    assert rendering.picture[0, :2, 0].tolist() == [255, 255]


def test_values_are_shown_as_they_were_before_they_were_scaled():
    table = coflect.Table(["age", "sex"], mean=[50, 0], std=[10, 1], codes={"sex": ["f", "m"]})
    rows = table.content(np.array([1.3, 1], np.float32), DisplayConfig())["rows"]
    assert [row["text"] for row in rows] == ["63", "m"]


def test_a_table_goes_to_workers():
    again = pickle.loads(pickle.dumps(FITTED))
    assert again.names == FITTED.names
    assert (again.ranges.mean == FITTED.ranges.mean).all()


@pytest.mark.parametrize(
    ("value", "names"),
    [("age", ("age",)), (2, ("region",)), (("sex", "age"), ("age", "sex")),
     ("4", ("focus-strength",)), ({"features": ["region", 0]}, ("age", "region")),
     (np.array([1, 3]), ("blood_pressure", "sex")),
     (np.eye(6, dtype=bool)[4], ("region",)), (Features(("sex",)), ("sex",))],
)  # fmt: skip
def test_features_are_marked_by_name_by_number_and_by_mask(value, names):
    region = TABLE_.region(value, "ignore", EXTENT)
    assert region == Features(names)
    assert TABLE_.region(region.to_json(), "ignore") == region
    columns = {k for f in TABLE_.features if f.name in names for k in f.columns}
    assert set(np.flatnonzero(TABLE_.mask(region, EXTENT))) == columns


@pytest.mark.parametrize(
    ("value", "says"),
    [("agee", "did you mean 'age'"), (5, "numbers 0 to 4"), (-1, "numbers 0 to 4"),
     ((), "no feature"), (True, "expected names or numbers"), (0.5, "expected names"),
     ({"box": [0, 1]}, "features"),
     (np.zeros(6, bool), "marks nothing"), (np.ones(5, bool), r"expected \(6,\)")],
)  # fmt: skip
def test_what_is_no_feature_is_refused(value, says):
    with pytest.raises(ValueError, match=says) as refused:
        TABLE_.region(value, "ignore", EXTENT)
    assert str(refused.value).startswith("ignore")


def test_lists_are_one_region_and_lists_of_lists_are_several():
    assert TABLE_.regions(None, "ignore") == ()
    assert TABLE_.regions([], "ignore") == ()
    assert TABLE_.regions(["age", "sex"], "ignore") == (Features(("age", "sex")),)
    two = TABLE_.regions([["age"], {"features": ["sex"]}], "ignore")
    assert two == (Features(("age",)), Features(("sex",)))
    assert TABLE_.overlap(two[0], Features(("sex", "age")))
    assert not TABLE_.overlap(*two)


@pytest.mark.parametrize(
    ("words", "names"),
    [("ignore age", ("age",)), ("look at blood pressure", ("blood_pressure",)),
     ("Ignore Blood_Pressure, sex & REGION!", ("blood_pressure", "region", "sex")),
     ("ignore region_north", ("region",)), ("ignore columns 0 and 3", ("age", "sex")),
     ("ignore focus-strength", ("focus-strength",)), ("focus on the age at 40%", ("age",)),
     ("ignore sex everywhere", ("sex",))],
)  # fmt: skip
def test_instructions_name_features(words, names):
    said = parse(words, TABLE_, ["ill"])
    assert said.action == "region"
    assert said.regions == (Features(names),)
    assert parse(said.echo(), TABLE_, ["ill"]) == said


@pytest.mark.parametrize("words", ["age", "ignore weight", "ignore feature 5", "ignore and"])
def test_other_words_change_nothing(words):
    assert isinstance(parse(words, TABLE_), NotUnderstood)


@pytest.mark.parametrize("table", [TABLE, TABLE_, coflect.data.patients(2).modality])
def test_examples_work(table):
    for words in examples(table):
        assert not isinstance(parse(words, table), NotUnderstood), words


# --- masks and maps -------------------------------------------------------------------------------


@given(st.integers(0, 4), st.integers(0, 99))
def test_masks_move_by_whole_features(number, seed):
    rng = np.random.default_rng(seed)
    mask = FITTED.mask(FITTED.region(number, "ignore"), EXTENT)
    others = [FITTED.elsewhere(mask, ROWS[0], rng)]
    others += [FITTED.moved(mask[None], ROWS[:1], by)[0] for by in FITTED.moves(EXTENT, 9, rng)]
    assert len(others) == 5
    assert len({other.tobytes() for other in others[1:]} | {mask.tobytes()}) == 5
    for other in others:
        assert not (other & mask).any()
        assert other[2] == other[4]


@pytest.mark.parametrize("own", [np.asarray, torch.as_tensor])
def test_one_hot_columns_are_exchanged_and_drawn_together(own):
    mask = np.array([[0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], bool)
    found = FITTED.exchange(own(mask), own(ROWS[:2]), own(ROWS[1:]))
    assert type(found) is type(own(ROWS))
    assert np.asarray(found).tolist() == [[40, 120, 0, 0, 1, 0.5], [50, 140, 0, 1, 1, 0.25]]
    values = np.array([[1, 0, 3, 0, 4, 0]], np.float32)
    units = np.asarray(FITTED.to_units(own(values), own(ROWS[:1])))[0]
    scale = FITTED.ranges.scale
    assert units[0] == pytest.approx(scale[0])
    assert units[2] == units[4]
    assert units[2] + units[4] == pytest.approx(np.hypot(3 * scale[2], 4 * scale[4]))
    assert FITTED.focus(units) == (0, pytest.approx(1 / 6))
    assert FITTED.focus(np.array([1, 0, 1.5, 0, 1.5, 0], np.float32)) == pytest.approx(
        (2 / 6, 5 / 6)
    )
    assert FITTED.focus(np.ones(6, np.float32)) is None


def test_noise_and_baseline_are_each_columns_own():
    rng = np.random.default_rng(0)
    changed = FITTED.jitter(np.repeat(ROWS[:1], 400, 0), 0.1, rng) - ROWS[0]
    assert changed.std(0)[:2] == pytest.approx([2, 4], rel=0.15)
    assert FITTED.spread(ROWS[0], 0.5).tolist() == pytest.approx((2 * ROWS.std(0)).tolist())
    assert FITTED.baseline(ROWS[0]).tolist() == pytest.approx(ROWS.mean(0).tolist())


# --- kinds and their names ------------------------------------------------------------------------


def test_rows_are_recognised_and_ids_are_not():
    assert find_modality("table") is TABLE
    assert recognise(ROWS[0]) is TABLE
    assert recognise(np.arange(6)) is not TABLE
    assert recognise(np.arange(6).astype(np.float32)) is not TABLE
    assert recognise(np.zeros((2, 6), np.float32)) is not TABLE


@pytest.mark.parametrize(
    ("make", "says"),
    [(lambda: coflect.Table(["a", "b", "a"]), "names 'a' twice"),
     (lambda: coflect.Table("age"), "a name for each column"),
     (lambda: coflect.Table(["a", "b"], groups={"g": ["a", "c"]}), "no column 'c'; known are 'a'"),
     (lambda: coflect.Table(["a", "b"], groups={"g": ["a"], "h": ["a"]}), "to 'g' and to 'h'"),
     (lambda: coflect.Table(["a", "b"], groups={"g": "a"}), "expected its one-hot columns"),
     (lambda: coflect.Table(["a", "b"], groups={"b": ["a"]}), "would be called 'b'"),
     (lambda: coflect.Table(["a", "b"], codes={"a": "xy"}), "expected the names of its categories"),
     (lambda: coflect.Table(["a", "b"], codes={2: ["x"]}), "column 2 of 0 to 1"),
     (lambda: coflect.Table(["a"], groups={"g": ["a"]}, codes={"a": ["x"]}), "leave one"),
     (lambda: coflect.Table(["a"], mean=[1, 2]), "mean= has 2 values for 1 columns"),
     (lambda: coflect.Table(["a"], std=[0]), "must be above 0")],
)  # fmt: skip
def test_tables_that_cannot_be_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
