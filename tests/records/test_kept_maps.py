"""One sample's maps in several runs, side by side."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

import coflect_widget as coflect
from coflect_widget.records.kept_maps import KeptMaps, newest_maps
from coflect_widget.records.pictures import Gallery
from tests.conftest import eventually
from tests.records.test_comparison import two  # noqa: F401 - a fixture
from tests.records.test_gallery import drawn, explained


def picture(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.fixture
def runs(two):  # noqa: F811
    """Of two runs the first has maps of sample 3, and the second of 3 and 5."""
    found = list(two)
    for k, (run, kept) in enumerate(
        zip(found, ([(3, 10)], [(3, 10), (3, 20), (5, 20)]), strict=True)
    ):
        (run.path / "overlays").mkdir()
        gallery = Gallery(run.path, drawn(lambda i, k=k: np.full((3, 8, 8), k * 0.8, np.float32)))
        for index, step in kept:
            gallery.save(explained(index, step))
    return found


def test_the_newest_map_of_each_run_and_no_other(runs):
    assert [newest_maps(run.path) for run in runs] == [{3: 10}, {3: 20, 5: 20}]
    kept = KeptMaps(runs)
    assert kept.offered() == [3, 5]
    both = kept.beside(3)
    assert [(one.run, one.step) for one in both.shown] == [(0, 10), (1, 20)]
    dark, light = (picture(one.png)[0, 0] for one in both.shown)
    assert dark.max() < 10 < 150 < light.min()
    one = kept.beside(5)
    assert [(small.run, small.step) for small in one.shown] == [(1, 20)]
    assert (one.without, one.more, one.alike) == (1, 0, True)
    assert not kept.beside(9).shown


def test_a_sample_without_a_map_is_shown_by_its_thumbnail(runs):
    Gallery(runs[0].path, drawn(lambda _: np.full((3, 8, 8), 1.0, np.float32))).thumbnail(5)
    shown = KeptMaps(runs).beside(5).shown
    assert [(one.run, one.step) for one in shown] == [(0, None), (1, 20)]
    assert picture(shown[0].png).min() == 255


def test_data_that_differ_are_said(runs):
    for run, name in zip(runs, "ab", strict=True):
        (run.path / "meta.json").write_text(f'{{"data": {{"fingerprint": "{name}"}}}}')
    assert not KeptMaps(runs).beside(3).alike


def test_nothing_outside_the_run_folders_is_read(runs, tmp_path):
    outside = tmp_path / "outside"
    maps = runs[0].path / "overlays"
    maps.rename(outside)
    maps.symlink_to(outside)
    assert newest_maps(runs[0].path) == {}
    name = "sample_000003_step_00000020.npz"
    other = runs[1].path / "overlays" / name
    other.unlink()
    other.symlink_to(outside / "sample_000003_step_00000010.npz")
    assert not KeptMaps(runs).beside(3).shown


def test_a_page_asks_for_a_sample(runs):
    compared = coflect.compare(runs)
    view = compared.view()
    answers = []
    view.send = answers.append
    assert view._maps["sample"] == 3
    assert view._controls
    take = compared._maps.take
    take({"kind": "sample", "id": "1", "number": 5})
    eventually(lambda: answers)
    assert [one["run"] for one in view._maps["shown"]] == [1]
    for wrong in (-1, 10**9, "5", True, None):
        take({"kind": "sample", "id": "2", "number": wrong})
    take({"kind": "prune", "id": "2", "number": 3})
    take(["no message"])
    assert [one["ok"] for one in answers] == [True, *[False] * 6]
    assert view._maps["sample"] == 5

    # While one sample is drawn others are asked for: the last of them is shown, all are answered.
    kept, end, begun = compared._maps._kept, threading.Event(), []
    draw = kept.beside

    def slow(sample):
        begun.append(sample)
        assert end.wait(60)
        if sample == 9:
            raise OSError("the disk is gone")
        return draw(sample)

    kept.beside = slow
    del answers[:]
    take({"kind": "sample", "id": "a", "number": 3})
    eventually(lambda: begun)
    for name, sample in (("b", 5), ("c", 9)):
        take({"kind": "sample", "id": name, "number": sample})
    end.set()
    eventually(lambda: len(answers) == 3)
    assert [(one["id"], one["ok"]) for one in answers] == [("b", True), ("a", True), ("c", False)]
    assert answers[-1]["text"] == "the disk is gone"
    assert (begun, view._maps["sample"]) == ([3, 9], 3)


def test_without_maps_there_is_nothing_to_ask(two):  # noqa: F811
    view = coflect.compare(two).view()
    assert (view._maps, view._controls) == ({}, "")
