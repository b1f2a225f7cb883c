"""Samples of several inputs: rows, masks, regions and exchanges are those of each part."""

import numpy as np
import pytest
import torch

import coflect_widget as coflect
from coflect_widget.backends.several import Packing
from coflect_widget.config import DisplayConfig
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.modalities import Text, find_modality
from coflect_widget.modalities.parts.part import PartRegion, UnreadRegion

DATA = coflect.data.shapes_and_questions(40)


def kind(**kinds):
    """Pictures, questions and three features, and the rows of all samples."""
    given = {
        "image": DATA.pictures,
        "question": DATA.questions,
        "age": np.random.default_rng(0).random((40, 3), np.float32),
    }
    words = {"question": Text(DATA.words), **kinds}
    packing = Packing("train_data", find_modality(words), [])
    rows = packing.rows(given)
    return packing.modality.fitted(rows, "train_data"), rows, given


def test_a_row_holds_each_part_as_it_came():
    parts, rows, given = kind()
    assert rows.dtype == np.float32
    assert rows.shape == (40, 3 * 24 * 24 + 8 + 3)
    assert [part.modality.name for part in parts.members] == ["image", "text", "table"]
    for part in parts.members:
        of = part.of(rows)
        assert (of == given[part.name]).all()
        assert of.dtype == given[part.name].dtype
        torch_of = part.of(torch.from_numpy(rows))
        assert torch_of.numpy().tolist() == of.tolist()
    assert parts.extent(rows[0]) == (24 * 24 + 8 + 3,)
    assert len(parts.donors) == 32


def test_regions_name_their_part_or_fit_one_alone():
    parts, rows, _ = kind()
    box = parts.region({"image": (0, 0, 0.5, 0.5)}, "ignore")
    assert isinstance(box, PartRegion)
    assert parts.mask(box, ()).sum() == 144
    assert parts.region(box.to_json(), "ignore") == box
    assert parts.region((0, 0, 0.5, 0.5), "ignore") == box  # a box is of no text and no table
    word = parts.region("red", "ignore")
    assert word.part == "question"
    red = np.flatnonzero((DATA.questions == 4).any(1))[0]
    there = parts.member("question").units(parts.mask_in(word, rows[red]))
    assert there.tolist() == (DATA.questions[red] == 4).tolist()
    assert parts.describe([box, word]).startswith("a box (25 % of the picture, upper left) of im")
    several = parts.regions({"image": (0, 0, 1, 0.1), "question": ["red", "blue"]}, "look")
    assert [one.part for one in several] == ["image", "question", "question"]
    with pytest.raises(ValueError, match=r"no input 'picture'; there are 'image', 'question'"):
        parts.member("picture")
    with pytest.raises(ValueError, match=r"could be a region of .*ignore=\{'question': \.\.\.\}"):
        parts.region((0, 1), "ignore")
    with pytest.raises(ValueError, match="region of no input; say which input is meant"):
        parts.region(object(), "ignore")


def test_words_name_a_part_or_what_only_one_can_mean():
    parts, _, _ = kind()
    assert parts.read("image: top left", bare=False)[0] == "image: top left"
    assert parts.read('"red"', bare=False)[1][0].part == "question"
    assert parts.read("question words 1-2", bare=False)[0] == "question: words 1-2"
    assert "no such instruction" in parts.read("fly away", bare=True)


def test_what_is_exchanged_is_what_is_marked():
    parts, rows, given = kind()
    marked = parts.regions({"question": (2, 4), "age": ["1"]}, "ignore")
    mask = np.any([parts.mask(one, ()) for one in marked], axis=0)
    masks = np.repeat(mask[None], 40, axis=0)
    other = np.roll(rows, 1, axis=0)
    found = parts.exchange(masks, rows, other)
    image, question, age = (part.of(found) for part in parts.members)
    assert (image == given["image"]).all()
    assert (age[:, [0, 2]] == given["age"][:, [0, 2]]).all()
    assert (age[:, 1] == np.roll(given["age"][:, 1], 1)).all()
    theirs = np.roll(given["question"], 1, axis=0)
    free = (given["question"][:, 2:4] > 0) & (theirs[:, 2:4] > 0)
    assert (question[:, 2:4][free] == theirs[:, 2:4][free]).all()
    assert (question[:, :2] == given["question"][:, :2]).all()
    in_torch = parts.exchange(*(torch.from_numpy(a) for a in (masks, rows, other)))
    assert (in_torch.numpy() == found).all()
    # nothing in its place: padding or a mask for words, the mean for numbers
    empty = parts.exchange(masks[:1], rows[:1], parts.baseline(rows[0])[None])
    assert parts.member("question").of(empty)[0, 2:4].tolist() == [0, 0]
    assert parts.member("age").of(empty)[0, 1] == pytest.approx(given["age"][:, 1].mean())


def test_the_rest_is_of_the_same_part_and_elsewhere_is_as_large():
    parts, rows, _ = kind()
    mask = parts.mask(parts.region({"question": (2, 4)}, "look"), ())
    rest = parts.rest(mask[None])[0]
    assert rest.sum() == 6
    assert parts.member("question").units(rest).sum() == 6
    rng = np.random.default_rng(0)
    assert parts.elsewhere(mask, rows[0], rng).sum() == mask.sum()
    whole = parts.mask(parts.region({"question": (0, 8)}, "look"), ())
    away = parts.elsewhere(whole, rows[0], rng)
    assert away.sum() == 8
    assert not parts.member("question").units(away).any()
    [by] = parts.moves((), 1, rng)
    moved = parts.moved(mask[None], rows[:1], by)
    assert moved.sum() == mask.sum()
    assert (moved[0] != mask).any()


def test_a_ledger_is_read_without_the_data(tmp_path):
    parts, _, _ = kind()
    region = parts.region({"image": [(0, 0), (1, 0), (1, 1)]}, "ignore")
    unread = find_modality("parts").region(region.to_json(), "ignore")
    assert isinstance(unread, UnreadRegion)
    assert unread.to_json() == region.to_json()
    assert parts.region(unread.to_json(), "ignore") == region
    for value, n in (({"question": (2, 4)}, 2), ({"image": (0, 0, 0.5, 0.5)}, 144)):
        [sent] = find_modality("parts").regions(value, "ignore")  # from where no data are
        assert parts.mask(parts.region(sent.to_json(), "ignore"), ()).sum() == n
    with pytest.raises(ValueError, match=r"names kinds of several inputs, 'sound', and train_data"):
        find_modality({"sound": "series"}).check(np.zeros(3), "train_data")
    assert Ledger(0.3, find_modality("parts")).interventions == ()


def test_a_browser_gets_each_part_with_its_place_in_the_map():
    parts, rows, _ = kind()
    found = parts.content(rows[0], DisplayConfig())
    assert found["kind"] == "parts"
    image, question, age = found["parts"]
    assert (image["units"], image["extent"]) == ([0, 576], [24, 24])
    assert image["content"] is None
    assert image["picture"].startswith("iVBOR")  # a PNG file
    assert (question["units"], question["extent"]) == ([576, 584], [8])
    assert question["content"]["kind"] == "text"
    assert age["content"]["rows"][1]["name"] == "1"
    assert parts.render(rows[0], DisplayConfig()).picture.shape == (24, 24, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image": DATA.pictures, "age": np.zeros((40, 1), int)},
         r"'age' of train_data is of type int64.*age\.astype\('float32'\)"),
        ({"image": (DATA.pictures * 255).astype("uint8"), "age": np.zeros((40, 3), "f4")},
         r"image\.astype\('float32'\) / 255"),
        ({"image": DATA.pictures, "age": np.zeros((39, 3), "f4")}, "40 of 'image', 39 of 'age'"),
        ({"image": DATA.pictures, "cube": np.zeros((40, 4, 9, 9, 9), "f4")},
         r"'cube' of train_data has the shape \(4, 9, 9, 9\), which is of no known kind"),
        ({"image": DATA.pictures, "ids": DATA.questions + 2**24}, "ids go up to 16777215"),
        ({"image": DATA.pictures, "age": np.zeros((40, 0), "f4")}, "at least one number"),
    ],
)  # fmt: skip
def test_what_cannot_be_packed_is_named_with_a_remedy(given, said):
    with pytest.raises(ValueError, match=said):
        Packing("train_data", None, []).rows(given)


def test_kinds_that_are_named_must_be_there():
    with pytest.raises(ValueError, match="inputs= names 'picture', and the inputs of train_data"):
        kind(picture=find_modality("image"))
    packing = Packing("train_data", find_modality("series"), [])
    with pytest.raises(ValueError, match="none is of the kind 'series'"):
        packing.rows({"image": DATA.pictures, "question": DATA.questions})
