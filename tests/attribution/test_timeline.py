"""The maps of one sample over the run: which are kept, and how they come back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coflect_widget as coflect
from coflect_widget import events
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.timeline import Shelf, overlay_event, read_timeline
from coflect_widget.events import Quality
from coflect_widget.modalities import Rendering
from coflect_widget.records.pictures import MAPS, Gallery
from coflect_widget.records.run import Run
from coflect_widget.records.stream import EventStream

MANY = 1e6  # megabytes


def explanation(index=3, step=0, seed=0):
    maps = np.random.default_rng([seed, step]).random((4, 12, 16), dtype=np.float32)
    return Explanation(
        index=index, map=maps[0], livecam=maps[1], smoothgrad=maps[2], consensus=maps[3],
        agreement=0.25, focus_bbox=(0.0, 0.25, 0.5, 1.0), top_classes=(1, 0),
        top_probs=(0.75, 0.25), target=0, predicted=1, model_step=step, method="consensus",
        modality_focus={"image": 1.0},
        quality=Quality(False, "it is flat", 0.25, 0.125, 0.5, None), seconds=0.5, samples_used=8,
    )  # fmt: skip


def put(shelf, folder, index, step, size=1000):
    file = folder / "overlays" / f"sample_{index:06d}_step_{step:08d}.npz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bytes(size))
    gone = shelf.add(index, step, f"overlays/{file.name}")
    for name in gone:
        (folder / name).unlink()
    return gone


def kept(folder, index):
    return sorted(
        int(f.stem.split("_")[-1]) for f in (folder / "overlays").glob(f"sample_{index:06d}_*.npz")
    )


def test_of_many_maps_the_first_the_newest_and_an_even_spread_stay(tmp_path):
    shelf = Shelf(tmp_path, 8, MANY)
    for step in range(0, 6400, 100):
        put(shelf, tmp_path, 3, step)
        assert len(kept(tmp_path, 3)) <= 8
    steps = kept(tmp_path, 3)
    assert (len(steps), steps[0], steps[-1]) == (8, 0, 6300)
    assert max(np.diff(steps)) <= 3 * 6300 / 7


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), min_size=1, max_size=60))
def test_the_room_is_kept_and_the_newest_map_is_never_thrown_away(tmp_path_factory, added):
    folder = tmp_path_factory.mktemp("run")
    shelf = Shelf(folder, 5, 8000 / 1e6)
    for index, step in added:
        gone = put(shelf, folder, index, step)
        assert f"overlays/sample_{index:06d}_step_{step:08d}.npz" not in gone or (
            step < max(kept(folder, index))
        )
        files = list((folder / "overlays").iterdir())
        assert len(files) <= 8  # of 1,000 bytes each
        assert all(len(kept(folder, i)) <= 5 for i in range(5))


def test_what_lies_in_the_folder_already_counts(tmp_path):
    for step in range(6):
        put(Shelf(tmp_path, 100, MANY), tmp_path, 0, step)
    put(Shelf(tmp_path, 4, MANY), tmp_path, 0, 6)
    assert len(kept(tmp_path, 0)) == 6  # one came, one went


def test_every_field_survives_on_disk(tmp_path):
    (tmp_path / "overlays").mkdir()
    gallery = Gallery(tmp_path, lambda i: Rendering(np.zeros((12, 16, 3), np.uint8)))
    stream = EventStream(tmp_path)
    told = [explanation(step=20), explanation(step=10), explanation(index=4, step=10)]
    for one in told:
        stream.emit(overlay_event(one, "person", *gallery.save(one)), 20, 1)
    stream.close()
    early, late = read_timeline(Run(tmp_path), 3)
    assert (early.model_step, late.model_step) == (10, 20)
    for name in MAPS:
        values = getattr(late, name)
        assert values.dtype == np.float32
        assert np.abs(values - getattr(told[0], name)).max() <= 0.51 / 255
    for name in Explanation.__slots__:
        if name not in (*MAPS, "picture"):
            assert getattr(late, name) == getattr(told[0], name), name
    assert late.picture.shape == (12, 16, 3)  # for a cell; it lies beside the maps
    (tmp_path / "overlays" / "sample_000003_step_00000010.npz").write_bytes(b"torn")
    assert [e.model_step for e in read_timeline(Run(tmp_path), 3)] == [20]


def test_a_session_and_its_run_folder_give_the_same_timeline(make_session):
    session = make_session(config={"attribution": {"maps_per_sample": 3}})
    assert session.timeline(5) == []
    steps = []
    for _ in range(5):
        session.train(steps=2)
        session.wait()
        steps.append(session.explain(5).model_step)
    timeline = session.timeline(5)
    assert len(timeline) == 3
    assert timeline[0].model_step == steps[0]
    assert timeline[-1].model_step == steps[-1]
    assert all(e.index == 5 and e.map.shape == (32, 32) for e in timeline)
    session.close()
    again = coflect.open_run(session.run.path).timeline(5)
    assert [e.model_step for e in again] == [e.model_step for e in timeline]
    assert np.array_equal(again[1].map, timeline[1].map)
    with pytest.raises(IndexError, match="indices go from 0"):
        session.timeline(10_000)


def test_a_verdict_of_a_newer_version_is_read_and_one_that_is_not_finite_is_not():
    overlay = overlay_event(explanation(4, 7), "person", "", "").model_dump(mode="json")
    line = {
        "seq": 0, "ts": "2026-01-01T00:00:00Z", "run_id": "r", "type": "overlay", "step": 1,
        "epoch": 0, "data": overlay,
    }  # fmt: skip
    overlay["quality"] |= {"certainty": 0.5}
    assert events.read_event(json.dumps(line).encode()).data.quality == Quality(
        False, "it is flat", 0.25, 0.125, 0.5, None
    )
    overlay["quality"] |= {"drop": float("nan")}
    assert events.read_event(json.dumps(line).encode()) is None
