"""Rows that are there twice: measurements stay together, answers may be equal by chance."""

import numpy as np
import pytest

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
    coded = np.unique(found.sheet.cells["y"].astype(str), return_inverse=True)[1]
    split = divide(coded, equal, classes=True, together=not by_chance(equal, columns))
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
