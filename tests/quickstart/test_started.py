"""From data to a trained network: each kind of data through one small training."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import coflect_widget as coflect
from benchmarks.quickstart.messy import FILES
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.projects.quickstart.sheet import TEST, TRAIN


def trained(session, epochs):
    session.train(epochs)
    assert session.wait(300)
    return session.test()


def again_from_disk(session, rows):
    """The pipeline that lies in the run folder says what the session's best weights say."""
    read = Pipeline.of(session.run.path)
    assert read.evaluate(session.sheet.rows(session.split.test)) == pytest.approx(
        session.test()["figures"], rel=1e-5
    )
    return read.predict(rows)


def test_what_would_have_been_is_a_session_of_its_own(start):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(45, 12, 80), "paid": rng.gamma(2, 800, 80)})
    frame["left"] = np.where(frame["age"] > 45, "yes", "no")
    session = start(frame, target="left", leave_out=())
    session.checkpoint("start")
    session.train(steps=3)
    assert session.wait(60)
    replay = session.replay()
    assert replay.wait(60)
    [mine, other] = [run.checkpoints.last for run in (session.run, replay)]
    assert mine.weights.read_bytes() == other.weights.read_bytes()


def test_a_messy_table(start, tmp_path, capsys):
    session = start(FILES["mixed"](tmp_path), target="left")
    said = capsys.readouterr().out
    assert "mixed.csv: 600 rows, 7 columns" in said
    assert "empty cells of the training part hold its middle value" in said
    parts = session.split.train, session.split.validation, session.split.test
    assert sum(map(len, parts)) == 600
    assert len(np.unique(np.concatenate(parts))) == 600
    with pytest.raises(ValueError, match="no checkpoint yet"):
        session.test()
    session.train(8)
    session.pause()
    with pytest.raises(RuntimeError, match="has not ended"):
        session.test()
    session.resume()
    assert session.wait(300)
    found = session.test()
    (plain,) = found["plain"].values()
    assert found["rows"] == len(session.split.test)
    assert found["figures"]["accuracy"] > max(plain - 0.1, found["guess"] + 0.1)
    assert session.config.display is not None

    # nothing was learned from other rows than the training part's
    train = session.sheet.rows(session.split.train)
    age = next(f for f in session.pipeline.inputs.features if f.label == "age")
    there = [float(v) for v in train.cells["age"] if v not in (None, "unknown")]
    assert age.fill == np.median(there)

    rows = [
        {"age": 70, "paid": "100,00", "plan": "PRO", "joined": "2015-03-04"},
        {"age": 20, "paid": "3000,00", "plan": "never heard of", "joined": None},
        {"age": None, "paid": None, "plan": None, "joined": "tomorrow"},
    ]
    told = again_from_disk(session, rows)
    assert [one["class"] for one in told[:2]] == ["yes", "no"]
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in told)
    with pytest.raises(ValueError, match="no column 'plan'"):
        session.pipeline.predict([{"age": 3, "paid": 1, "joined": None}])
    # a map has a value for each feature, by the names that people know
    names = session.explain(0, timeout=120).map.shape, session.pipeline.inputs.arguments()
    assert names[0] == (len(names[1]["inputs"].columns),)
    assert {"age", "age missing", "plan", "joined month"} <= set(names[1]["inputs"].names)

    # the test part is used once: what is trained later changes nothing
    file = session.run.path / "pipeline" / "test.json"
    assert json.loads(file.read_text())["figures"] == found["figures"]
    session.train(1)
    session.wait(300)
    assert session.test() == found


def test_numbers_of_a_frame(start):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["size"] = np.array(["small", "large"])[(x[:, 2] > 0).astype(int)]
    frame["price"] = 300 + 50 * x[:, 0] - 20 * np.abs(x[:, 1]) + 30 * (frame["size"] == "large")
    session = start(frame, target="price", leave_out=())
    found = trained(session, 15)
    assert found["figures"]["r2"] > 0.8
    assert found["figures"]["root_mean_square_error"] < 30
    assert session.metrics["val_r2"] > 0.8
    (told,) = again_from_disk(session, frame.drop(columns="price")[:1])
    assert abs(told["value"] - frame["price"][0]) < 60
    assert session.pipeline.goal.mean == pytest.approx(
        frame["price"].to_numpy()[session.split.train].mean()
    )


def test_rows_that_are_there_twice_stay_together(start, tmp_path):
    session = start(FILES["doubled"](tmp_path))
    rows = [tuple(row) for row in zip(*session.sheet.cells.values(), strict=True)]
    parts = [{rows[k] for k in part} for part in
             (session.split.train, session.split.validation, session.split.test)]  # fmt: skip
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_texts_in_two_encodings(start, tmp_path):
    session = start(FILES["encoded"](tmp_path))
    found = trained(session, 4)
    (plain,) = found["plain"].values()
    assert found["figures"]["accuracy"] >= plain - 0.05
    good, bad = again_from_disk(session, {"review": ["we saw a wunderschön film", "tedious"]})
    assert (good["class"], bad["class"]) == ("good", "bad")
    vocabulary = session.pipeline.inputs.vocabulary
    assert vocabulary[:2] == ["[PAD]", "[UNK]"]
    train = " ".join(session.sheet.cells["review"][session.split.train]).lower()
    assert all(word in train for word in vocabulary[2:])  # of the training part only


def test_a_folder_of_pictures(start, tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "shapes"
    for name in ("dark", "light"):
        for part, count in (("train", 40), ("test", 20)):
            (folder / part / name).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 120, (28, 40, 3)) + 100 * (name == "light")
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{k}.png")
    (folder / "train" / "dark" / "torn.png").write_bytes(b"\x89PNG nothing more")
    (tmp_path / "secret.png").write_bytes((folder / "train" / "dark" / "1.png").read_bytes())
    (folder / "train" / "dark" / "out.png").symlink_to(tmp_path / "secret.png")
    session = start(folder)
    said = capsys.readouterr().out
    assert "The folders test, train are parts of the data." in said
    assert "1 files are no pictures" in said
    assert not any("out.png" in cell for cell in session.sheet.cells["file"])
    assert all(cell.startswith("test/") for cell in session.sheet.cells["file"][session.split.test])
    found = trained(session, 4)
    assert found["figures"]["accuracy"] > 0.9
    assert found["rows"] == 40
    picture = {"file": ["test/dark/0.png", "test/light/0.png"]}
    told = again_from_disk(session, coflect_sheet(picture, folder))
    assert [one["class"] for one in told] == ["dark", "light"]
    with pytest.raises(ValueError, match="lies outside"):
        session.pipeline.predict(coflect_sheet({"file": ["../secret.png"]}, folder))


def coflect_sheet(cells, folder):
    from coflect_widget.projects.quickstart.sheet import Sheet

    return Sheet("rows", {k: np.array(v, object) for k, v in cells.items()}, folder=folder)


def test_series_with_gaps_and_a_test_part_of_their_own(start, tmp_path):
    data = coflect.data.signals(160, decoy="none", channels=1, length=64)
    for part, rows in (("TRAIN", slice(0, 100)), ("TEST", slice(100, 160))):
        lines = [
            ",".join("?" if (k + row) % 41 == 0 else f"{v:.4f}" for k, v in enumerate(x[0]))
            + f":{label}"
            for row, (x, label) in enumerate(zip(data.series[rows], data.labels[rows], strict=True))
        ]
        (tmp_path / f"Waves_{part}.ts").write_text(
            "\n".join(["@problemName Waves", "@data", *lines])
        )
    session = start(tmp_path / "Waves_TRAIN.ts")
    assert session.sheet.part[session.split.test].tolist() == [TEST] * 60
    assert set(session.sheet.part[session.split.validation]) == {TRAIN}
    found = trained(session, 12)
    assert found["rows"] == 60
    assert found["figures"]["accuracy"] > 0.8
    told = again_from_disk(session, {"series": data.series[:2].astype(float)})
    assert {one["class"] for one in told} == {"0", "1"}
    with pytest.raises(ValueError, match="1 channels and 32 steps"):
        session.pipeline.predict({"series": data.series[:2, :, :32].astype(float)})


@pytest.mark.slow
def test_what_comes_next_on_a_timeline(start, capsys):
    hours = np.arange(900)
    rng = np.random.default_rng(0)
    load = 50 + 20 * np.sin(hours * 2 * np.pi / 24) + hours / 60 + rng.normal(0, 2, 900)
    heat = 10 + 5 * np.sin(hours * 2 * np.pi / 24 + 1) + rng.normal(0, 1, 900)
    load[100:104] = np.nan
    frame = pd.DataFrame(
        {"load": load, "heat": heat}, pd.date_range("2024-01-01", periods=900, freq="h")
    )
    session = start(frame.sample(frac=1, random_state=0), target="load")
    said = capsys.readouterr().out
    assert "timeline" in said
    assert "12 moments of 'load' are told from the 96 before them" in said
    windows, told = session.sheet.cells["window"], session.sheet.cells["load"]
    # in order of time, and nothing that the test part is to tell was seen in training
    assert windows.shape[1:] == (2, 96)
    train, test = session.split.train, session.split.test
    assert train.max() + 96 + 12 <= round(0.7 * 900)
    assert np.allclose(told[test[0]], np.where(np.isnan(load), 0, load)[765 : 765 + 12])
    found = trained(session, 4)
    assert found["figures"]["r2"] > 0.8
    (next_,) = again_from_disk(session, frame[:800])
    assert len(next_["value"]) == 12
    off = np.array(next_["value"]) - load[800:812]
    assert np.abs(off).mean() < 6
    assert session.pipeline.evaluate(frame[700:])["r2"] > 0.7
    with pytest.raises(ValueError, match="the last 96 are needed"):
        session.pipeline.predict(frame[:50])
    # a class of each moment is another matter
    with pytest.raises(ValueError, match="does not fit a timeline"):
        coflect.quickstart(frame, "load", "classification", kind="timeline")


# --- what cannot be ------------------------------------------------------------------------------


def test_nobody_to_ask(tmp_path):
    with pytest.raises(ValueError, match=r"Give one of these:\n  target='age'"):
        coflect.quickstart(FILES["mixed"](tmp_path))
    with pytest.raises(ValueError, match=r"leave_out=\['bill'\]: leave out bill"):
        coflect.quickstart(FILES["leaking"](tmp_path), "diagnosis")
    with pytest.raises(ValueError, match="there is nothing to learn"):
        coflect.quickstart(FILES["one_class"](tmp_path), "result")
    few = {"a": np.arange(20.0) ** 2, "label": np.array(["x", "y"] * 10, object)}
    with pytest.raises(ValueError, match="20 rows with a target are too few"):
        coflect.quickstart(few, leave_out=(), run_dir=tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_run_folder_that_was_tampered_with(start, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    session = start((x, (x[:, 0] > 0).astype(float)), leave_out=())
    session.train(steps=2)
    session.wait(300)
    file = session.run.path / "pipeline" / "pipeline.json"
    whole = json.loads(file.read_text())
    assert Pipeline.of(session.run.path).target == "target"
    told = session.pipeline.predict(x[:3])
    session.close()
    # it goes on in its own folder, with the same rows in the same parts
    data = (x, (x[:, 0] > 0).astype(float))
    resumed = start(data, leave_out=(), resume=session.run)
    assert resumed.metrics["step"] == 2
    assert resumed.pipeline.predict(x[:3]) == told
    assert np.array_equal(resumed.split.test, session.split.test)
    for change in (
        {"format": "other"},
        {"kind": "os"},
        {"network": {**whole["network"], "outputs": 3}},
        {"network": {**whole["network"], "net": "__import__"}},
        {"network": {**whole["network"], "columns": 5}},
        {"inputs": {"features": [{"kind": "eval"}]}},
        {"goal": {"classes": []}},
    ):
        file.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ValueError, match=r"pipeline|network"):
            Pipeline.of(session.run.path)
