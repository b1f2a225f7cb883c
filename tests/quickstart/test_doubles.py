"""Rows that are there twice: measurements stay together, answers may be equal by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coflect_widget.projects.quickstart.duplicates import by_chance, groups
from coflect_widget.projects.quickstart.looking import look
from coflect_widget.projects.quickstart.splitting import divide


def shared(split, rows):
    """Rows to test that equal one to train on."""
    train = {rows[k] for k in split.train}
    return sum(rows[k] in train for k in split.test)


def parts_of(cells, times=1):
    """How many test rows are among those to train on, of data appended to themselves."""
    names = [name for name in cells if name != "y"]
    found = look({name: np.tile(values, times) for name, values in cells.items()})
    columns = [found.column(name) for name in names]
    equal = groups(found.sheet, columns)
    whole = groups(found.sheet, found.columns)
    coded = np.unique(found.sheet.cells["y"].astype(str), return_inverse=True)[1]
    split = divide(coded, equal, classes=True, together=not by_chance(equal, whole, columns))
    rows = list(zip(*(found.sheet.cells[name] for name in names), strict=True))
    return shared(split, rows), split


def words(rng, count, among="abcd"):
    return np.array(list(among), object)[rng.integers(0, len(among), count)]


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("kind", ["measured", "whole", "categories"])
def test_a_file_that_was_appended_to_itself(kind, times):
    rng = np.random.default_rng(0)
    columns = {
        "measured": {"a": rng.normal(size=200), "b": rng.normal(size=200)},
        "whole": {"a": rng.integers(0, 90, 200).astype(float), "b": words(rng, 200)},
        "categories": {name: words(rng, 200) for name in "abcdef"},
    }[kind]
    leaked, split = parts_of({**columns, "y": words(rng, 200, "no")}, times)
    assert leaked == 0
    assert "Rows that are equal stay in one part." in split.said
    assert 0.1 < len(split.test) / (200 * times) < 0.2


def test_answers_are_equal_by_chance_and_their_share_is_said():
    rng = np.random.default_rng(0)
    cells = {name: words(rng, 400) for name in "ab"} | {"y": words(rng, 400, "no")}
    leaked, split = parts_of(cells)
    assert leaked == len(split.test)
    assert any("100% of those to test once equal a row to train on" in s for s in split.said)


def test_too_few_different_rows_are_divided_all_the_same():
    rng = np.random.default_rng(0)
    a = np.array([0.5, 1.5, 2.5])[rng.integers(0, 3, 100)]
    leaked, split = parts_of({"a": a, "y": words(rng, 100, "no")})
    assert leaked
    assert any("of those to test once equal" in sentence for sentence in split.said)


def test_each_of_ten_tries_of_a_design_may_be_in_any_part():
    rng = np.random.default_rng(0)
    a, b = (part.ravel().astype(str).astype(object) for part in np.mgrid[:3, :4])
    cells = {"a": np.tile(a, 10), "b": np.tile(b, 10), "y": words(rng, 120, "no")}
    leaked, split = parts_of(cells)
    assert leaked == len(split.test)
    tried = {(cells["a"][k], cells["b"][k]) for k in split.train}
    assert len(tried) == 12


@pytest.mark.parametrize("seed", range(12))
def test_many_equal_rows_stay_where_most_are(seed):
    equal = np.array([0] * 900 + list(range(1, 101)))
    split = divide(np.zeros(1000), equal, classes=False, together=True, seed=seed)
    assert {0} == set(equal[split.train]) & set(equal[:900])
    assert 10 < len(split.test) <= 150
    assert 10 < len(split.validation) <= 150


@pytest.mark.parametrize("seed", range(4))
def test_a_class_of_few_different_rows_is_in_each_part(seed):
    equal = np.array(list(range(300)) + [300, 301, 302, 303] * 100)
    labels = np.array([0] * 300 + [1] * 400)
    split = divide(labels, equal, classes=True, together=True, seed=seed)
    for part in (split.train, split.validation, split.test):
        assert set(labels[part]) == {0, 1}
    assert any("of those to test once equal a row" in sentence for sentence in split.said)


@given(
    st.lists(st.integers(1, 9), min_size=40, max_size=80), st.integers(0, 2**32 - 1), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_no_row_is_lost_and_no_equal_ones_are_parted(sizes, seed, classes):
    equal = np.repeat(np.arange(len(sizes)), sizes)
    labels = equal % 2 if classes else np.zeros(len(equal))
    split = divide(labels, equal, classes=classes, together=True, seed=seed)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts)) == list(range(len(equal)))
    kept = [set(equal[part]) for part in parts]
    assert sum(map(len, kept)) == len(set.union(*kept))
    assert len(split.test) <= 0.15 * len(equal) + 1
