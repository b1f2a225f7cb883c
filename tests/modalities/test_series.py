"""Series as a kind of input: a training that is guided, recurrent nets, and bad input."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import coflect_widget as coflect
from coflect_widget.data import signals
from coflect_widget.guidance.instructions import parse
from coflect_widget.modalities import SERIES
from tests.conftest import eventually

LENGTH = 128


def convolutional(channels=2, classes=2):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(channels, 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, classes),
    )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = nn.LSTM(2, 24, batch_first=True)
        self.head = nn.Linear(24, 2)

    def forward(self, x):
        return self.head(self.recurrent(x.transpose(1, 2))[0].mean(1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv1d(2, 24, 8, stride=4, padding=2)
        self.places = nn.Parameter(torch.randn(1, LENGTH // 4, 24) / 10)
        block = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 1)
        self.head = nn.Linear(24, 2)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).transpose(1, 2) + self.places).mean(1))


def decoyed(make_session, model, count=600, **more):
    train, val = signals(count), signals(300, decoy="random", seed=1)
    labels = train.labels.copy()
    labels[9::17] = 1 - labels[9::17]  # some are wrong, so that some are hard to learn
    more.setdefault("optimizer", torch.optim.Adam(model.parameters(), 3e-3))
    session = make_session(
        model, (train.series, labels), (val.series, val.labels), classes=train.classes,
        batch_size=50, **more,
    )  # fmt: skip
    return session, train


def inside(found, place):
    """Share of a map that lies on a place of channel 0, and whether its largest value does."""
    start, stop = (round(edge * LENGTH) for edge in place)
    row, step = np.unravel_index(found.argmax(), found.shape)
    points = row == 0 and start - 1 <= step <= stop
    return found[0, start:stop].sum() / found.sum(), points


def test_metrics_queue_map_stroke_search_undo_and_effect(make_session):
    session, train = decoyed(
        make_session, convolutional(), config={"guidance": {"effect_after": 130}}
    )
    session.train(epochs=4)
    session.wait(240)
    assert session.events("run_started")[0].data.inputs == "series"
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.65  # the decoy has nothing to say there
    assert session.candidates[0].thumbnail.startswith(b"\x89PNG")
    # the map lies on the decoy, and on its channel
    found = [session.explain(k) for k in range(6)]
    assert {(e.method, e.map.shape) for e in found} == {("consensus", (2, LENGTH))}
    shares, points = zip(
        *(inside(e.map, train.decoys[k]) for k, e in enumerate(found)), strict=True
    )
    assert np.mean(shares) > 0.22
    assert sum(points) >= 5
    box = found[0].focus_bbox
    assert box[0] < train.decoys[0].mean() < box[2]
    # one stroke a class, and what looks the same anywhere in time
    strokes = []
    for sample in (0, 1):
        start, stop = (round(edge * LENGTH) for edge in train.decoys[sample])
        stroke = session.feedback(
            sample=sample, ignore={"steps": [start, stop], "channel": 0}, strength=0.6
        )
        assert stroke.understood == (
            f"ignore steps {start}-{stop - 1} of channel 0 on sample {sample}, strength 0.60"
        )
        hits = session.similar(stroke)
        assert len(hits) > 250
        beside = [abs(hit.box[0] - train.decoys[hit.index][0]) for hit in hits]
        assert np.mean(np.array(beside) < 2 / LENGTH) > 0.95
        assert {train.hints[hit.index] for hit in hits} == {train.hints[sample]}
        session.confirm(stroke)
        strokes.append(stroke)
    session.train(epochs=11)
    session.wait(240)
    assert session.metrics["val_accuracy"] > max(0.75, spoiled + 0.2)
    assert not session.events("lapsed")
    effects = eventually(lambda: len(session.effects) > 1 and session.effects, what="measurement")
    assert "val" in effects[0].text
    assert "sample 0" in session.effects._repr_html_()
    # in words, of both kinds of strokes; and taken back
    said = session.feedback(instruction="please ignore the second half of channel 1", sample=2)
    assert said.understood == "ignore last half of channel 1 on sample 2, strength 0.30"
    look = session.feedback(instruction="look at steps 20-36", scope="everywhere")
    assert look.understood.startswith("focus steps 20-36 on every sample, strength 0.30")
    assert "class activation at 7" in look.record.loss
    assert session.undo(look).undone
    alone = session.feedback(instruction="look at channel 0", scope="everywhere")
    assert "input gradient inside" in alone.record.loss  # a layer's map does not know channels
    assert session.undo(alone).undone
    with pytest.raises(ValueError, match="there is no channel 2; they are 0 to 1"):
        session.feedback(sample=0, ignore={"channel": 2})
    with pytest.raises(ValueError, match=r"steps 100-199 leave the series, whose steps are 0 to"):
        session.feedback(sample=0, ignore=(100, 200))
    with pytest.raises(ValueError, match="ignore covers the whole series"):
        session.feedback(sample=0, ignore=(0.0, 1.0))
    page = session.save_html(session.run.path.parent / "page.html")
    assert page.stat().st_size > 100_000
    session.close()
    recorded = coflect.open_run(session.run.path)
    assert {e.map.shape for e in recorded.timeline(0)} == {(2, LENGTH)}
    saved = session.ledger.save(session.run.path / "ledger.json")
    other, _ = decoyed(make_session, convolutional(), guidance=saved)
    assert len(other.ledger.state().strokes) == len(session.ledger.state().strokes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "layers", "method", "loss"),
    [(Recurrent, False, "smoothgrad", "input gradient inside"),
     (Transformer, True, "consensus", "class activation at patches")],
)  # fmt: skip
def test_recurrent_nets_and_transformers(make_session, model, layers, method, loss):
    """A layer behind attention or recurrence has no map: its steps know of one another."""
    net = model()
    session, train = decoyed(make_session, net, optimizer=torch.optim.Adam(net.parameters(), 5e-3))
    session.train(epochs=7)
    session.wait(240)
    assert session.metrics["accuracy"] > 0.85
    assert session._parts.modality.layers == layers
    found = session.explain(0)
    assert found.method == method
    assert found.map.shape == (2, LENGTH)
    shares = [inside(session.explain(k).map, train.decoys[k])[0] for k in range(8)]
    wide = (train.decoys[:, 1] - train.decoys[:, 0]).mean() / 2  # of all units
    assert np.mean(shares) > 1.3 * wide
    look = session.feedback(sample=0, look=tuple(train.bursts[0].tolist()))
    assert loss in look.record.loss
    ignore = session.feedback(sample=1, ignore=tuple(train.decoys[1].tolist()))
    assert "fill" in ignore.record.loss
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    assert not session.events("stumble")


def test_what_a_person_asks_of_a_recurrent_net_is_not_silently_another_map(make_session):
    with pytest.raises(ValueError, match='"method"] = "smoothgrad"'):
        decoyed(make_session, Recurrent(), 60, config={"attribution": {"method": "consensus"}})
    with pytest.raises(ValueError, match="layer='recurrent': its output is not a map"):
        decoyed(make_session, Recurrent(), 60, config={"attribution": {"layer": "recurrent"}})


@pytest.mark.parametrize(
    ("shape", "says"),
    [((60, 3, 1), r"series of 1 step. Series are \(N, C, L\): of values \(N, C\), a table"),
     ((60, 1, 40), None)],
)  # fmt: skip
def test_series_of_one_step_are_refused_and_of_one_channel_are_not(make_session, shape, says):
    data = np.random.default_rng(0).random(shape, np.float32), np.arange(60) % 2
    if says is None:
        assert make_session(convolutional(shape[1]), data)._parts.modality is SERIES
        return
    with pytest.raises(ValueError, match=says):
        make_session(convolutional(shape[1]), data, inputs="series")


def test_gaps_are_named_with_their_place(make_session):
    x = np.zeros((40, 2, 50), np.float32)
    x[0, 1, 7] = np.nan
    with pytest.raises(ValueError, match="nan in channel 1 at step 7; fill gaps first, for exam"):
        make_session(convolutional(), (x, np.arange(40) % 2))
    x[0, 1, 7], x[30, 0, 3] = 0, np.inf
    with pytest.raises(ValueError, match=r"train_data\[30\] has a series with inf in"):
        make_session(convolutional(), (x, np.arange(40) % 2))


@pytest.mark.parametrize(
    ("shape", "says"),
    [((28, 28), "28 channels and 28 steps (C, L); of gray pictures add the channel"),
     ((150, 3), "150 channels and 3 steps (C, L). Where the steps come first, turn them"),
     ((3, 150), ""), ((1, 2), "")],
)  # fmt: skip
def test_a_guess_that_may_be_wrong_is_told(shape, says):
    x = np.zeros(shape, np.float32)
    assert SERIES.recognises(x)
    assert says in SERIES.assumed(x)
    assert bool(says) == bool(SERIES.assumed(x))


def test_whole_numbers_and_other_axes_are_no_series():
    assert not SERIES.recognises(np.zeros((2, 30), np.int64))
    assert not SERIES.recognises(np.zeros(30, np.float32))
    assert not SERIES.recognises(np.zeros((3, 30, 30), np.float32))
    with pytest.raises(ValueError, match=r"of one channel for example series\[:, None\]"):
        SERIES.check(np.zeros(30, np.float32), "train_data")


# --- regions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "json_", "words", "marked"),
    [
        ((20, 36), {"steps": [20, 36]}, "steps 20-35", (slice(None), slice(20, 36))),
        (slice(5, 6), {"steps": [5, 6]}, "step 5", (slice(None), slice(5, 6))),
        ((0.25, 0.5), {"interval": [0.25, 0.5]}, "the interval from 25 % to 50 %",
         (slice(None), slice(25, 50))),
        ({"channel": 2}, {"channel": 2}, "channel 2", (2, slice(None))),
        ({"interval": [0, 0.1], "channel": 1}, {"interval": [0.0, 0.1], "channel": 1},
         "the interval from 0 % to 10 % of channel 1", (1, slice(0, 10))),
        ({"box": [0.5, 0.25, 0.75, 0.5]}, {"box": [0.5, 0.25, 0.75, 0.5]},
         "the interval from 50 % to 75 %", (1, slice(50, 75))),
        ((0.501, 0.503), {"interval": [0.501, 0.503]}, "the interval from 50 % to 50 %",
         (slice(None), slice(50, 51))),
    ],
)  # fmt: skip
def test_regions_are_read_written_told_and_laid_on(given, json_, words, marked):
    region = SERIES.region(given, "ignore", (4, 100))
    assert region.to_json() == json_
    assert SERIES.region(json.loads(json.dumps(json_)), "ignore") == region
    assert SERIES.describe([region]) == words
    expected = np.zeros((4, 100), bool)
    expected[marked] = True
    assert (SERIES.mask(region, (4, 100)) == expected).all()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ignore left", "ignore first half"),
        ("ignore right", "ignore last half"),
        ("focus the left third of channel 1", "focus first third of channel 1"),
        ("ignore left half and right tenth", "ignore first half and last tenth"),
        ("ignore left 20 steps", "ignore first 20 steps"),
    ],
)
def test_left_and_right_are_those_of_the_curve(typed, meant):
    assert parse(typed, SERIES) == parse(meant, SERIES)
    assert parse(meant, SERIES).regions


@pytest.mark.parametrize("typed", ["ignore top", "ignore first", "ignore right 20 steps"])
def test_a_place_that_a_series_lacks_changes_nothing(typed):
    assert parse(typed, SERIES).message.startswith(f"instruction {typed!r} changes nothing")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("here", "is no region of a series; give steps"),
        ((1,), "no first and last step"),
        ((0.5, 0.2), "begins before it ends"),
        ((36, 20), "as in a slice"),
        ((-1, 20), "as in a slice"),
        ((0.2, 1.2), "shares from 0 to 1"),
        ((0.2, float("nan")), "shares from 0 to 1"),
        ((True, False), "no first and last step"),
        ({"channel": -1}, "whole number from 0"),
        ({"channel": 0.5}, "whole number from 0"),
        ({"box": [0.5, 0, 0.2, 1]}, "low corner first"),
        ({"words": [1, 2]}, "is no region of a series"),
        ({"steps": [1, 2], "interval": [0, 1], "channel": 0}, "is no region of a series"),
        (slice(3, 9, 2), "a slice has a first and a last step"),
        ({"steps": "ab"}, "two whole numbers"),
    ],
)
def test_what_is_no_region_is_refused_with_a_remedy(given, says):
    with pytest.raises(ValueError, match=says) as caught:
        SERIES.region(given, "ignore", (4, 100))
    assert str(caught.value).startswith("ignore")


def test_regions_overlap_where_they_share_a_step_of_a_channel():
    a, b, c = (SERIES.region(v, "r") for v in ((0, 10), (5, 20), (10, 20)))
    one, other = ({"steps": [0, 10], "channel": k} for k in (0, 1))
    one, other = SERIES.region(one, "r"), SERIES.region(other, "r")
    assert SERIES.overlap(a, b)
    assert not SERIES.overlap(a, c)
    assert SERIES.overlap(a, one)
    assert not SERIES.overlap(one, other)


# --- moved, found and drawn ----------------------------------------------------------------------


def test_a_mark_moves_in_time_and_keeps_its_channels():
    rng = np.random.default_rng(0)
    mask = SERIES.mask(SERIES.region({"steps": [3, 9], "channel": 1}, "r"), (3, 40))
    moves = SERIES.moves((3, 40), 100, rng)
    assert len(moves) == 39
    assert len({tuple(move) for move in moves.tolist()}) == 39
    for move in moves:
        moved = SERIES.moved(mask[None], None, move)[0]
        assert moved.sum() == 6
        assert moved[1].sum() == 6
        assert not (moved == mask).all()
    elsewhere = [SERIES.elsewhere(mask, None, rng) for _ in range(20)]
    assert all(m[1].sum() == m.sum() == 6 for m in elsewhere)
    assert len({m.tobytes() for m in elsewhere}) > 5


@pytest.mark.parametrize("wide", [9, 200])
def test_the_same_shape_is_found_anywhere_on_a_wave_and_nothing_where_it_is_not(wide):
    rng = np.random.default_rng(0)
    length = 6 * wide
    x = np.sin(np.arange(length) / length * 6 + rng.uniform(0, 6, (40, 2, 1)))
    x = (x + rng.normal(0, 0.1, x.shape)).astype(np.float32)
    at = rng.integers(0, length - wide, 40)
    shape = 1.5 * np.sin(np.arange(wide) / wide * 4 * np.pi)
    for row in range(30):
        x[row, 1, at[row] : at[row] + wide] += shape
    region = SERIES.region({"steps": [int(at[0]), int(at[0]) + wide], "channel": 1}, "r")
    score, box, same = SERIES.find(x, SERIES.template(x[0], region, x[:20]))
    assert same.tolist() == [True] * 30 + [False] * 10
    assert score[0] > 0.8
    assert (np.abs(box[:30, 0] * length - at[:30]) <= max(1, wide // 20)).all()
    assert np.allclose(box[:, 1::2], (0.5, 1))
    assert SERIES.mask(SERIES.region({"box": box[3].tolist()}, "r"), (2, length))[1].sum() == wide


def test_what_has_no_shape_or_no_room_is_not_looked_for():
    x = np.zeros((1, 30), np.float32)
    for steps, says in (((2, 4), "shorter than 3 steps"), ((0, 16), "more than half the series")):
        with pytest.raises(ValueError, match=says):
            SERIES.template(x, SERIES.region(steps, "r"), x[None])


def test_the_browser_gets_curves_that_keep_their_peaks():
    x = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    x[1, 1234] = 9.0
    told = SERIES.content(x, None)
    assert json.loads(json.dumps(told)) == told
    assert told["kind"] == "series"
    assert told["length"] == 5000
    assert [channel["name"] for channel in told["channels"]] == ["0", "1"]
    assert [len(channel["values"]) for channel in told["channels"]] == [600, 600]
    assert max(told["channels"][1]["values"]) == 9.0
    assert SERIES.content(x[:, :3], None)["channels"][0]["values"] == pytest.approx(x[0, :3], 1e-4)


def test_a_channels_curve_is_drawn_where_its_row_of_the_map_lies():
    x = np.zeros((2, 300), np.float32)
    x[1, 150:] = 1.0
    picture = SERIES.render(x, None).picture
    assert picture.dtype == np.uint8
    height = len(picture)
    inked = (picture != 255).any(2)
    rows = [np.flatnonzero(column) for column in inked.T]
    assert all(any(row < height // 2) and any(row >= height // 2) for row in rows)
    lower = [row[row >= height // 2] for row in rows]
    assert lower[10].min() > lower[-10].max()
