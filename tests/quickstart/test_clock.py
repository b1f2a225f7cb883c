"""A timeline with an hour that is there twice, or a row without a moment, is one all the same."""

import numpy as np
import pandas as pd
import pytest

from coflect_widget.projects.quickstart.columns import column_of
from coflect_widget.projects.quickstart.deciding import Choices, Decision, Question, decide
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.looking import look


def autumn():
    """Hours as clocks of Berlin show them: two o'clock of October 27 is there twice."""
    hours = pd.date_range("2024-10-20", periods=300, freq="h", tz="Europe/Berlin")
    return pd.DataFrame(
        {"when": hours.tz_localize(None).strftime("%Y-%m-%d %H:%M"), "load": np.arange(300.0) ** 2}
    )


def test_a_doubled_hour_leaves_both_readings():
    found = look(autumn())
    question = decide(found, Choices("load"))
    assert isinstance(question, Question)
    assert [option.value for option in question.options] == ["table", "timeline"]
    assert "all but 1 rows have a time of their own in 'when', at even distances" in str(question)
    assert isinstance(decide(found, Choices("load", "timeline")), Decision)
    # most moments doubled: rows of a table
    days = look(autumn().assign(when=pd.date_range("2024-01-01", periods=100).repeat(3)))
    assert decide(days, Choices("load", leave_out=())).kind == "table"


@pytest.mark.parametrize("kind", ["timeline", "watched"])
def test_rows_without_a_moment_are_left_out_and_doubles_are_said(kind):
    frame = autumn()
    frame.loc[[7, 250], "when"] = None
    found = look(frame)
    inputs = KINDS[kind]()
    columns = [column_of("when", found.sheet.cells["when"])]
    bad, what = inputs.unusable(found.sheet, columns)
    assert bad == [7, 250]
    assert what == "rows have no moment"
    sheet = found.sheet.rows(np.setdiff1d(np.arange(300), bad))
    samples = inputs.samples(sheet, columns, "load")
    inputs.fit(samples, columns)
    assert "1 rows have the moment of another, and follow it." in inputs.said
    # nor is a row without one the newest when the next ones are asked for
    moments = [None if pd.isna(moment) else moment for moment in frame["when"]]
    row = {"when": moments, "load": frame["load"].tolist()}
    asked = inputs.asked(inputs.requested(row))
    assert asked.cells["window"][0, 0, -1] == 299.0**2
