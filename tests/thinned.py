"""A matrix of cases of which each run of the tests takes every row and every column.

The rest is marked slow: `make slow` runs all of them, when what they test has changed.
"""

import pytest


def thinned(rows, columns):
    """Each row with one column, by turns; the row's other columns are slow. As `argvalues`."""
    rows, columns = list(rows), list(columns)

    def parts(one):
        return one if isinstance(one, tuple) else (one,)

    return [
        pytest.param(
            *parts(row),
            *parts(column),
            marks=[] if (number + place) % len(columns) == 0 else [pytest.mark.slow],
        )
        for number, row in enumerate(rows)
        for place, column in enumerate(columns)
    ]
