"""Tables train: metrics, queue, map, strokes, effect, undo, saved page."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import coflect_widget as coflect
from coflect_widget.session.drawing import stroked
from tests.conftest import eventually

TRAIN = coflect.data.patients()
TEST = coflect.data.patients(500, invoice="random", seed=1)
COLUMNS = TRAIN.modality.columns
INVOICE, SUGAR = COLUMNS.index("invoice"), COLUMNS.index("sugar")
REGION = [k for k, name in enumerate(COLUMNS) if name.startswith("region_")]


def network(columns=13):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, 32), nn.ReLU(), nn.Linear(32, 2))


def test_metrics_queue_map_strokes_effect_undo_and_page(make_session):
    model = network()
    session = make_session(
        model, TRAIN, TEST, classes=TRAIN.classes, batch_size=60,
        optimizer=torch.optim.Adam(model.parameters(), 0.01),
        config={"guidance": {"effect_after": 240}, "attribution": {"checks": True}},
    )  # fmt: skip
    session.train(epochs=6)
    session.wait(240)
    assert session.events("run_started")[0].data.inputs == "table"
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.75  # invoices have nothing to say there
    assert eventually(lambda: session.candidates, 120, "a queue")[0].thumbnail.startswith(
        b"\x89PNG"
    )
    found = session.explain(3)
    assert found.map.shape == (len(COLUMNS),)
    assert found.method == "smoothgrad"
    assert found.map.argmax() == INVOICE
    assert np.ptp(found.map[REGION]) == 0  # one feature
    assert found.focus_bbox == pytest.approx((INVOICE / 13, (INVOICE + 1) / 13))
    assert found.quality is not None
    assert found.modality_focus == {"table": 1.0}
    stroke = session.feedback(sample=3, ignore="invoice", strength=0.6)
    assert stroke.understood == "ignore invoice on sample 3, strength 0.60"
    assert stroke.record.loss == "fill, at like places of other samples too"
    assert stroke.record.strokes[0].roi == {"features": ["invoice"]}
    session.train(epochs=20)
    session.wait(240)
    assert session.metrics["val_accuracy"] > max(0.85, spoiled + 0.15)
    assert session.explain(3).map.argmax() == SUGAR
    assert not session.events("lapsed")
    effect = eventually(lambda: session.effects, 120, "the measurement")[0]
    assert effect.verdict == "helped"
    assert "of other rows to its class" in effect.text
    drawn = stroked(np.zeros((8, 104, 3), np.uint8), stroke.record.strokes, TRAIN.modality, (13,))
    assert np.flatnonzero(drawn.any((0, 2))).tolist() == list(range(8 * INVOICE, 104))
    # the same in words, by name and by number
    look = session.feedback(instruction="look at sugar and the pressure", scope="everywhere")
    assert look.understood == "focus sugar and pressure on every sample, strength 0.30"
    assert "input gradient inside" in look.record.loss
    same = session.feedback(instruction="ignore feature 9 and region")
    assert same.understood.startswith("ignore invoice and region on every sample")
    assert session.undo(stroke).undone
    assert session.undo(look).undone
    assert [s.region.names for s in session.ledger.state().strokes] == [("region", "invoice")]
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    with pytest.raises(ValueError, match="ignore='sugr': there is no such feature; did you mean"):
        session.feedback(ignore="sugr")
    with pytest.raises(
        ValueError, match="there is no feature 'height'; did you mean 'weight'; try"
    ):
        session.feedback(instruction="ignore height")
    with pytest.raises(ValueError, match="nothing is looked for in other samples"):
        session.similar(session.feedback(sample=4, ignore=("age", "sex")))
    page = session.save_html(session.run.path.parent / "page.html")
    assert page.stat().st_size > 100_000
    session.close()
    recorded = coflect.open_run(session.run.path)
    assert {e.map.shape for e in recorded.timeline(3)} == {(len(COLUMNS),)}
    # what it was told goes on in another session of the same table, and in none of pictures
    saved = session.ledger.save(session.run.path / "ledger.json")
    other = make_session(network(), TRAIN, guidance=saved)
    assert other.ledger.state().strokes[0].region.names == ("region", "invoice")
    with pytest.raises(ValueError, match="inputs of the kind 'table', and these are 'image'"):
        make_session(guidance=other.ledger)


@pytest.mark.parametrize(
    "data",
    [(TRAIN.rows, TRAIN.labels), TensorDataset(*map(torch.from_numpy, (TRAIN.rows, TRAIN.labels))),
     [*zip(TRAIN.rows, TRAIN.labels, strict=True)][:100]],
    ids=["arrays", "tensors", "items"],
)  # fmt: skip
def test_rows_without_names_are_a_table_whose_columns_have_numbers(make_session, data):
    session = make_session(network(), data, batch_size=60)
    table = session._parts.modality
    assert table.name == "table"
    assert table.names == tuple(map(str, range(13)))
    assert table.ranges is not None
    said = [event.data.text for event in session.events("notice")]
    assert any("whose columns are called 0 to 12; inputs=coflect.Table" in text for text in said)
    assert session.feedback(ignore=12).understood.startswith("ignore feature 12 on every sample")
    again = session.feedback(instruction="ignore features 2 and 12")
    assert again.understood.startswith("ignore feature 2 and feature 12 on every")
    session.train(steps=3)
    session.wait(240)
    assert session.metrics["step"] == 3
    assert not session.events("lapsed")


def test_names_are_given_to_arrays(make_session):
    table = coflect.Table(COLUMNS, groups={"region": REGION})
    session = make_session(network(), (TRAIN.rows, TRAIN.labels), inputs=table)
    assert session._parts.modality.names[-2:] == ("region", "invoice")
    assert not session.events("notice")
    whole = session.explain(0).map  # of random weights
    assert whole.shape == (13,)
    with pytest.raises(ValueError, match="rows of 12 columns, and the table has 13: 'age'"):
        make_session(network(12), (TRAIN.rows[:, :12], TRAIN.labels), inputs=table)
    numbers = np.round(TRAIN.rows * 100).astype(np.int64)
    assert make_session(network(), (numbers, TRAIN.labels), inputs=table)


# --- what cannot be trained on --------------------------------------------------------------------


def with_cell(data, row, column, value):
    rows = data.rows.copy()
    rows[row, column] = value
    return rows, data.labels


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_empty_cells_are_refused_with_row_and_column(make_session, value):
    table = TRAIN.modality
    broken = with_cell(TRAIN, 7, SUGAR, value)
    with pytest.raises(
        ValueError, match=r"train_data has cells .* 1 in all.* row 7, column 'sugar'\. Fill"
    ):
        make_session(network(), broken, inputs=table)
    with pytest.raises(ValueError, match=r"val_data has cells .* row 9, column 'region'"):
        make_session(network(), TRAIN, with_cell(TEST, 9, REGION[0], value))
    items = [*zip(*broken, strict=True)][:20]
    with pytest.raises(ValueError, match=r"row 7, column 3\. Fill"):
        make_session(network(), items)
    rows, _ = broken
    filled = np.where(np.isfinite(rows), rows, np.nanmedian(rows, 0))  # the remedy
    assert make_session(network(), (filled.astype(np.float32), TRAIN.labels), inputs=table)


def test_a_category_that_has_no_name_is_refused(make_session):
    sex = COLUMNS.index("sex")
    with pytest.raises(
        ValueError, match=r"val_data: column 'sex' is 2 in row 5; .* numbers 0 to 1"
    ):
        make_session(network(), TRAIN, with_cell(TEST, 5, sex, 2))


def test_a_constant_column_is_said(make_session):
    rows = TRAIN.rows.copy()
    rows[:, SUGAR] = 1
    session = make_session(network(), (rows, TRAIN.labels), inputs=TRAIN.modality)
    (notice,) = session.events("notice")
    assert notice.data.level == "warning"
    assert "The same value stands in every row of the training data in 'sugar'" in notice.data.text


def test_whole_numbers_are_a_table_if_a_person_says_so(make_session):
    counts = np.random.default_rng(0).integers(0, 30, (60, 6))
    labels = np.arange(60) % 2
    for given in (counts, counts.astype(np.float32)):
        with pytest.raises(ValueError, match=r'(texts|token ids) .*train with inputs="table"'):
            make_session(network(6), (given, labels))
        assert make_session(network(6), (given, labels), inputs="table")
    with pytest.raises(ValueError, match=r"have one dimension, inputs.reshape\(len\(inputs\), -1"):
        make_session(network(), (TRAIN.rows[:, None, None], TRAIN.labels))
    with pytest.raises(ValueError, match=r"of shape \(3, 32, 32\); give rows of a table"):
        make_session(inputs="table")
