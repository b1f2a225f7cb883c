"""Records that no session writes: by another program, a failing disk, or somebody ill-meaning."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from coflect_widget import open_run

FIXTURES = Path(__file__).parent.parent / "fixtures"

OVERLAY = {
    "index": 0, "target": 0, "predicted": 1, "top_classes": [1, 0], "top_probs": [0.6, 0.4],
    "agreement": 0.5, "focus_bbox": [0.1, 0.1, 0.5, 0.5], "model_step": 10,
    "method": "consensus", "maps": "overlays/a.npz",
}  # fmt: skip
FORECAST = {
    "index": [1], "risk": [0.5], "target": [0], "predicted": [1], "reason": ["a"], "horizon": 2,
}  # fmt: skip


@pytest.fixture
def recorded(tmp_path):
    """Write a run of a few good events and the given ones; returns it opened."""

    def write(*more, arrays=None):
        started = {"classes": ["cat", "dog"], "num_train": 10}
        good = [("run_started", started), ("metrics", {"values": {"loss": 1.0}})]
        lines = []
        for seq, (kind, data, *step) in enumerate([*good, *more, ("state", {"state": "finished"})]):
            lines.append(
                json.dumps({
                    "schema_version": 1, "seq": seq, "ts": "2026-01-01T00:00:00+00:00",
                    "run_id": "r", "type": kind, "step": step[0] if step else seq, "epoch": 0,
                    "split": None, "data": data,
                })
            )  # fmt: skip
        (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "overlays").mkdir()
        whole = {name: np.zeros((8, 8), np.uint8) for name in ("map", "livecam", "smoothgrad")}
        whole["picture"] = np.zeros((8, 8, 3), np.uint8)
        np.savez_compressed(tmp_path / "overlays" / "a.npz", **{**whole, **(arrays or {})})
        return open_run(tmp_path)

    return write


def shown(run, tmp_path):
    """What the saved file says of the run: its update."""
    page = run.save_html(tmp_path / "run.html").read_text(encoding="utf-8")
    data = page.split('id="coflect-saved">')[1].split("</script>")[0]
    assert run._repr_mimebundle_() is not None
    return json.loads(data)["update"]


@pytest.mark.parametrize(
    "bad",
    [
        ("forecast", {**FORECAST, "risk": [0.5, 0.4]}),
        ("forecast", {**FORECAST, "risk": [float("inf")]}),
        ("overlay", {**OVERLAY, "top_probs": [0.6]}),
        ("overlay", {**OVERLAY, "seconds": float("nan")}),
        ("overlay", {**OVERLAY, "focus_bbox": [0, 0, float("inf"), 1]}),
        ("run_started", {"focus": float("inf")}),
        ("metrics", {"values": {"loss": 1.0}}, 10**400),
        ("state", {"state": "training"}, -1),
    ],
)
def test_a_record_that_cannot_be_is_counted_and_the_rest_is_shown(recorded, tmp_path, bad):
    run = recorded(bad)
    update = shown(run, tmp_path)
    assert run.damaged == 1
    assert update["status"]["state"] == "finished"
    assert [one["name"] for one in update["metrics"]] == ["train/loss"]
    assert "cannot be read" in update["notices"][-1]["text"]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"map": np.zeros((8, 8, 3), np.uint8)}, "map.npy is uint8 of shape (8, 8, 3)"),
        ({"picture": np.zeros((8, 8), np.uint8)}, "picture.npy is uint8 of shape (8, 8)"),
        ({"picture": np.zeros((), np.uint8)}, "picture.npy is uint8 of shape ()"),
        ({"picture": np.zeros((8, 8, 3), np.float32)}, "picture.npy is float32"),
        ({"picture": np.zeros((0, 8, 3), np.uint8)}, "picture.npy is of shape (0, 8, 3)"),
        ({"livecam": np.zeros((4, 4), np.uint8)}, "its maps are of different sizes"),
    ],
)
def test_arrays_that_are_no_maps_are_not_shown(recorded, tmp_path, arrays, why):
    explained = shown(recorded(("overlay", OVERLAY), arrays=arrays), tmp_path)["explanation"]
    assert why in explained["failed"]
    assert explained["picture_buffer"] is None


@pytest.mark.parametrize("file", ["../a.npz", "a\0b", "overlays", "a" * 5000])
def test_files_that_are_no_maps_are_not_shown(recorded, tmp_path, file):
    explained = shown(recorded(("overlay", {**OVERLAY, "maps": file})), tmp_path)["explanation"]
    assert "cannot be read" in explained["failed"]


@pytest.mark.parametrize("name", ["picture", "more"])
def test_a_small_file_does_not_fill_the_memory(recorded, tmp_path, name):
    large = np.broadcast_to(np.uint8(0), (6000, 6000, 3))  # a hundredth of it on disk
    run = recorded(("overlay", OVERLAY), arrays={name: large})
    tracemalloc.start()
    shown(run, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000  # the array has 108 million bytes
