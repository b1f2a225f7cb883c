"""DataFrames as they are: names, categories, what a network could not be trained on."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import coflect_widget as coflect

CITIES = ["Aden", "Bern", "Cork"]


def frame(count=90, seed=0):
    rng = np.random.default_rng(seed)
    ages = rng.normal(50, 12, count)
    return pd.DataFrame(
        {
            "age": ages,
            "children": rng.integers(0, 4, count),
            "city": rng.choice(CITIES, count),
            "insured": rng.random(count) < 0.5,
            "stage": pd.Categorical(rng.choice(["I", "II"], count), categories=["I", "II", "III"]),
        },
        index=np.arange(count)[::-1] * 3,  # no row's label is its place
    ), pd.Series((ages > 50).astype(int), index=np.arange(count)[::-1] * 3)


X, Y = frame()
WIDTH = 1 + 1 + 3 + 1 + 3


def network(columns=WIDTH):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.BatchNorm1d(columns), nn.Linear(columns, 16), nn.ReLU(), nn.Linear(16, 2)
    )


def test_a_frame_trains_with_its_names(make_session):
    model = network()
    session = make_session(
        model, (X, Y), frame(seed=1), batch_size=30,
        optimizer=torch.optim.Adam(model.parameters(), 0.01),
    )  # fmt: skip
    table = session._parts.modality
    assert table.names == ("age", "children", "city", "insured", "stage")
    assert table.columns[2:5] == ("city=Aden", "city=Bern", "city=Cork")
    row = session._backend.read_sample(4).input
    assert row.tolist()[:2] == pytest.approx([X["age"].iloc[4], X["children"].iloc[4]])
    lines = table.content(row, session.config.display)["rows"]
    assert [line["units"] for line in lines] == [[0], [1], [2, 3, 4], [5], [6, 7, 8]]
    first = X.iloc[4]
    assert lines[1]["text"] == str(first["children"])
    assert [line["text"] for line in lines[2:]] == [
        first["city"],
        str(first["insured"]),
        first["stage"],
    ]
    assert 0 < lines[0]["at"] < 1
    assert lines[2]["at"] is None
    session.train(epochs=30)
    session.wait(240)
    # years tell, and the units of measurement do not matter
    assert session.metrics["val_accuracy"] > 0.8
    assert session.explain(4).map.argmax() == 0
    stroke = session.feedback(sample=4, instruction="ignore the city and children only this one")
    assert stroke.understood == "ignore city and children only on sample 4, strength 0.30"
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")


def test_a_model_is_made_as_wide_as_the_frame_needs():
    assert len(coflect.Table.of(X).columns) == WIDTH
    assert len(coflect.Table.of(X, codes={"city": CITIES}).columns) == WIDTH - 2
    with pytest.raises(ValueError, match="frame=ndarray: expected a DataFrame"):
        coflect.Table.of(np.zeros((2, 3)))


def test_columns_may_stand_in_another_order_in_validation(make_session):
    val, labels = frame(seed=1)
    session = make_session(network(), (X, Y), (val[val.columns[::-1]], labels))
    assert session._backend.read_val_sample(0).input[0] == pytest.approx(val["age"].iloc[0])


def test_names_are_of_both_or_of_none(make_session):
    numbers = X[["age", "children"]]
    rows, labels = numbers.to_numpy(dtype="float32"), Y.to_numpy()
    with pytest.raises(ValueError, match=r"val_data is a DataFrame, and .* have no names"):
        make_session(network(2), (rows, labels), (numbers, Y))
    assert make_session(network(2), (numbers, Y), (rows, labels))


def test_codes_leave_a_category_one_column_for_an_embedding(make_session):
    table = coflect.Table(codes={"city": CITIES[::-1]})
    session = make_session(network(WIDTH - 2), (X, Y), inputs=table)
    kind = session._parts.modality
    assert kind.columns[2] == "city"
    assert session._backend.read_sample(0).input[2] == CITIES[::-1].index(X["city"].iloc[0])


def test_dummies_are_one_feature_if_a_person_says_so(make_session):
    dummies = pd.get_dummies(X.drop(columns="stage"), columns=["city"])
    table = coflect.Table(groups={"city": [f"city_{name}" for name in CITIES]})
    session = make_session(network(WIDTH - 3), (dummies, Y), inputs=table)
    kind = session._parts.modality
    assert kind.names == ("age", "children", "insured", "city")
    assert [f.categories for f in kind.features if f.one_hot] == [tuple(CITIES)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda x: x.assign(city="Dili"),
            "val_data has the category 'Dili' in row 0, column 'city'",
        ),
        (
            lambda x: x.assign(city=x["city"].where(np.arange(len(x)) != 5)),
            "empty cells .* in row 5",
        ),
        (lambda x: x.assign(age=x["age"].where(np.arange(len(x)) != 6)), "row 6, column 'age'"),
        (lambda x: x.drop(columns="age"), "no column 'age', which .*; it has 'children'"),
        (lambda x: x.assign(height=1.0), "was not given so far, 'height'; leave"),
        (lambda x: x.assign(children="two"), r"has 'two' in row 0, column 'children', which is to"),
    ],
)
def test_validation_data_that_do_not_fit_are_refused(make_session, change, says):
    val, labels = frame(seed=1)
    with pytest.raises(ValueError, match=says):
        make_session(network(), (X, Y), (change(val), labels))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.assign(born=pd.Timestamp("2000-01-01")), "has times in column 'born'; make a"),
        (
            lambda x: x.assign(name=[f"n{k}" for k in range(len(x))]),
            "90 different words in column 'name'",
        ),
        (lambda x: pd.concat([x, x[["age"]]], axis=1), "two columns that are called 'age'"),
        (lambda x: x.iloc[:0], "is a DataFrame of shape"),
    ],
)
def test_frames_that_are_no_input_are_refused(make_session, monkeypatch, change, says):
    monkeypatch.setattr("coflect_widget.modalities.table.frames.MOST_CATEGORIES", 50)
    with pytest.raises(ValueError, match=says):
        make_session(network(), (change(X), Y.iloc[: len(change(X))]))
