import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities import IMAGE
from coflect_widget.records import pictures
from coflect_widget.records.pictures import MAPS, MASKS, THUMBNAIL_SIDE, Gallery


def drawn(read):
    return lambda index: IMAGE.render(read(index), DisplayConfig())


def explained(index, step):
    side = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    maps = {name: side**k for k, name in enumerate(MAPS, 1)}
    return SimpleNamespace(index=index, model_step=step, **maps, **dict.fromkeys(MASKS))


def test_a_map_is_not_read_again_to_be_shown_and_is_the_same_when_it_is(tmp_path, monkeypatch):
    (tmp_path / "overlays").mkdir()
    gallery = Gallery(tmp_path, drawn(lambda index: np.full((3, 8, 8), index / 9, np.float32)))
    file, _ = gallery.save(explained(3, 20))
    recorded = Gallery(tmp_path).load(file)
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "open_inside", lambda *_: pytest.fail("it is read from the disk"))
        shown = gallery.load(file)
    assert shown.keys() == recorded.keys() == {"picture", *MAPS}
    for name, array in recorded.items():
        assert np.array_equal(shown[name], array)
    gallery.remove(file)
    with pytest.raises(FileNotFoundError):
        gallery.load(file)


def test_maps_replace_a_link_of_their_name_and_follow_none(tmp_path):
    folder, aim = tmp_path / "overlays", tmp_path / "mine.txt"
    folder.mkdir()
    aim.write_text("mine")
    maps, picture = "sample_000003_step_00000020.npz", "sample_000003_step_00000020.png"
    for name in (maps, picture, "sample_000003_step_00000020.part.npz"):
        (folder / name).symlink_to(aim)
    gallery = Gallery(tmp_path, drawn(lambda index: np.full((3, 8, 8), index / 9, np.float32)))
    assert gallery.save(explained(3, 20)) == (f"overlays/{maps}", f"overlays/{picture}")
    assert aim.read_text() == "mine"
    assert not (folder / picture).is_symlink()
    assert "map" in Gallery(tmp_path).load(f"overlays/{maps}")
    assert len(list(folder.iterdir())) == 3  # nothing half written


def test_only_the_newest_maps_stay_in_memory(tmp_path, monkeypatch):
    (tmp_path / "overlays").mkdir()
    monkeypatch.setattr(pictures, "NEWEST_BYTES", 3 * 8 * 8 * (3 + len(MAPS)))
    gallery = Gallery(tmp_path, drawn(lambda index: np.zeros((3, 8, 8), np.float32)))
    files = [gallery.save(explained(index, 20))[0] for index in range(5)]
    assert list(gallery._newest) == files[2:]
    assert all("map" in gallery.load(file) for file in files)


def test_a_small_picture_with_its_map_is_warm_where_the_model_looks(tmp_path):
    (tmp_path / "overlays").mkdir()
    gallery = Gallery(tmp_path, drawn(lambda _: np.full((3, 8, 8), 0.25, np.float32)))
    heat = np.zeros((8, 8), np.float32)
    heat[:4, :4] = 1
    maps = SimpleNamespace(
        index=3, model_step=7, map=heat, livecam=heat, smoothgrad=heat, consensus=heat,
        **dict.fromkeys(MASKS),
    )  # fmt: skip
    file, _ = gallery.save(maps)
    shown = np.asarray(Image.open(io.BytesIO(gallery.glimpse(file))))
    assert shown.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)
    warm, cold = shown[4, 4].astype(int), shown[-4, -4].astype(int)
    assert cold.tolist() == [64, 64, 64]  # the picture itself
    assert warm[0] > 150
    assert warm[1] > 150
    gallery.remove(file)
    assert gallery.glimpse(file) is not None  # from memory
    assert Gallery(tmp_path).glimpse(file) is None


def test_masks_are_kept_beside_the_maps_and_fit_them(tmp_path):
    (tmp_path / "overlays").mkdir()
    gallery = Gallery(tmp_path, drawn(lambda index: np.full((3, 8, 8), index / 9, np.float32)))
    truth = np.arange(64, dtype=np.uint8).reshape(8, 8)
    maps = explained(3, 20)
    maps.truth, maps.said, maps.region = truth, truth.T, truth > 40
    file, _ = gallery.save(maps)
    read = Gallery(tmp_path).load(file)
    assert np.array_equal(read["truth"], truth)
    assert np.array_equal(read["region"], truth > 40)
    assert "truth" not in gallery.load(gallery.save(explained(4, 20))[0])
    maps.truth = truth[:4]
    file, _ = gallery.save(maps)
    with pytest.raises(OSError, match="different sizes"):
        Gallery(tmp_path).load(file)
