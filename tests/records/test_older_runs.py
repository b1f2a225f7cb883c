"""Runs that earlier versions wrote open for ever: tests/fixtures holds one of each."""

import shutil

import numpy as np
import pytest

import coflect_widget as coflect
from tests.records.test_damaged_records import FIXTURES, shown


@pytest.fixture
def run(tmp_path):
    """The first version's run, on a copy: opening may mend a torn line."""
    return coflect.open_run(
        shutil.copytree(FIXTURES / "run_001_20261129_1913", tmp_path / "run_001_20261129_1913")
    )


def test_every_record_of_the_first_schema_is_read(run):
    events = run.events()
    assert [e.seq for e in events] == list(range(len(events)))
    assert (run.damaged, run.newer, run.state) == (0, None, "finished")
    kinds = {e.type for e in events}
    assert kinds >= {
        "run_started", "train_started", "metrics", "forecast", "forecast_scored", "window", "cost",
        "overlay", "intervention", "undo", "hits", "judged", "suspects", "checkpoint", "state",
    }  # fmt: skip


def test_its_tables_and_settings_are_read(run):
    scalars = run.scalars()
    assert scalars["step"].dtype == np.int64
    assert scalars["step"][-1] == 54
    assert np.isfinite(scalars["loss"][scalars["split"] == "train"]).all()
    assert run.config["config"]["seed"] == 3
    assert run.meta["schema_version"] == 1


def test_its_maps_are_read(run):
    maps = run.timeline(3)
    assert [m.model_step for m in maps] == [30, 54]
    assert all(m.map.max() > 0 for m in maps)
    assert maps[0].map.shape == maps[0].livecam.shape


def test_it_is_shown_as_it_was(run, tmp_path):
    update = shown(run, tmp_path)
    assert update["status"]["state"] == "finished"
    assert update["status"]["epoch"] == 9
    assert [item["undone"] for item in update["ledger"]] == [False, True, False, False]
    assert {item["author"] for item in update["ledger"]} == {"Ada"}
    assert len(update["queue"]["items"]) > 0
    assert update["hits"]["done"]
    assert update["suspects"]["items"]
    assert update["window"]["gates"]


def test_a_field_of_the_payload_is_read_from_the_event_too(run):
    (started,) = run.events("run_started")
    assert started.num_train == started.data.num_train == 96
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = started.nothing
