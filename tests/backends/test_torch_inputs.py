"""Inputs of many forms: pictures are taken, what is none is refused, each remedy trains."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from coflect_widget.backends.items import error_line
from tests.backends.torch_parts import Items, N, backend, cnn, losses_of, pictures

IMAGES, LABELS = pictures()


class Flat(nn.Module):
    """Takes anything, so that no shape is refused by the model."""

    def __init__(self, outputs=4):
        super().__init__()
        self.head = nn.LazyLinear(outputs)

    def forward(self, x):
        return self.head(x.flatten(1))


RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(N, 1, 128)).astype(np.float32)
TABLE = RNG.normal(size=(N, 8)).astype(np.float32)
IDS = RNG.integers(0, 50, (N, 24))


@pytest.mark.parametrize(
    ("inputs", "looks"),
    [
        (SERIES[:, None], "strips that look like"),
        (SERIES.repeat(3, 1)[:, :, :, None], "strips that look like series of several channels"),
        (TABLE[:, None, None], "strips that look like rows of a table"),
        (IDS.astype(np.float32), "token ids"),
        (IDS.astype(np.float32)[:, None, None], "token ids"),
        (IMAGES[:, :, None], "volumes or videos"),
    ],
)
@pytest.mark.parametrize("items", [False, True])
def test_what_is_no_picture_is_refused_first_and_nothing_wrong_is_advised(inputs, looks, items):
    data = Items(lambda i: (torch.from_numpy(inputs[i]), 0), N) if items else (inputs, LABELS)
    with pytest.raises(ValueError, match=rf"^train_data has inputs .*{looks}") as refused:
        backend(data, model=Flat())
    assert "[:, None]" not in str(refused.value)
    assert "255" not in str(refused.value)


def looking_up():
    return nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(8 * IDS.shape[1], 4))


@pytest.mark.parametrize(
    ("strip", "code", "kind", "model"),
    [
        (SERIES[:, None], "inputs.reshape(len(inputs), 1, -1)", "series",
         lambda: nn.Sequential(nn.Conv1d(1, 4, 5), nn.Flatten(), nn.LazyLinear(4))),
        (SERIES.repeat(3, 1)[:, :, :, None], "inputs.reshape(len(inputs), 3, 128)", "series",
         lambda: nn.Sequential(nn.Conv1d(3, 4, 5), nn.Flatten(), nn.LazyLinear(4))),
        (TABLE[:, None, None], "inputs.reshape(len(inputs), -1)", "table",
         lambda: nn.Linear(8, 4)),
        (IDS.astype(np.float32)[:, None, None], "ids.reshape(len(ids), -1).astype('int64')",
         "text", looking_up),
    ],
)  # fmt: skip
def test_a_strip_trains_in_the_form_that_is_said(strip, code, kind, model):
    with pytest.raises(ValueError, match="strips that look like") as refused:
        backend((strip, LABELS), model=Flat())
    assert code in str(refused.value)
    mended = eval(code, {"inputs": strip, "ids": strip})
    made = model()
    made(torch.from_numpy(mended[:2]))
    engine = backend((mended, LABELS), model=made)
    assert engine.modality.name == kind
    assert losses_of(engine)[0]


def test_gray_pictures_get_their_channel_by_the_remedy():
    gray = IMAGES[:, 0]
    with pytest.raises(ValueError, match=r"of gray pictures add the channel.*images\[:, None\]"):
        backend((gray, LABELS))
    assert losses_of(backend((gray[:, None], LABELS), model=cnn(channels=1)))[0]


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        ((IMAGES * 255).astype("uint8"), "images.astype('float32') / 255"),
        (np.zeros(IMAGES.shape, "uint8"), "images.astype('float32') / 255"),
        (torch.from_numpy((IMAGES * 255).astype("uint8")), "images.float() / 255"),
        ((IMAGES * 65535).astype("uint16"), "images.astype('float32') / 65535"),
        ((IMAGES * 4095).astype("uint16"), "images.astype('float32') / 4095"),
        ((IMAGES * 4095).astype("int64"), "images.astype('float32') / 4095"),
        (IMAGES > 0.5, "images.astype('float32')"),
        (IMAGES.astype("complex64"), "numpy.abs(images)"),
    ],
)
def test_whole_numbers_are_made_floating_point_by_the_remedy(images, remedy):
    with pytest.raises(ValueError, match="has inputs of type") as refused:
        backend((images, LABELS))
    assert str(refused.value).endswith(remedy)
    followed = eval(remedy, {"images": images, "numpy": np})
    engine = backend((followed, LABELS))
    assert float(np.max(engine.read_sample(0).input)) <= 1.01
    assert engine.assumptions == []


def test_pictures_of_bytes_that_nobody_scaled_are_said():
    [said] = backend(((IMAGES * 255).round(), LABELS)).assumptions
    assert "whole numbers up to 255" in said
    assert backend((IMAGES * 255, LABELS)).assumptions == []  # standardised or of other units


@pytest.mark.parametrize("model", [cnn(), Flat()], ids=["convolution", "perceptron"])
def test_channels_last_are_refused_with_what_turns_them(model):
    last = IMAGES.transpose(0, 2, 3, 1)
    with pytest.raises(ValueError, match=r"channels last \(H, W, C\).*transpose\(0, 3, 1, 2\)"):
        backend((last, LABELS), model=model)
    items = Items(lambda i: (torch.from_numpy(last[i]), 0), N)
    with pytest.raises(ValueError, match=r"image\.permute\(2, 0, 1\)"):
        backend(items, model=model)
    turned = last.transpose(0, 3, 1, 2)
    assert np.array_equal(backend((turned, LABELS)).read_sample(3).input, IMAGES[3])


def test_a_model_that_takes_so_many_channels_says_that_they_come_first():
    narrow = np.zeros((N, 16, 16, 3), np.float32)
    made = backend((narrow, LABELS), model=cnn(channels=16))
    assert made.read_sample(0).input.shape[1:] == (16, 3)


# --- items and inputs with names -----------------------------------------------------------------


class Described(nn.Module):
    """A picture and a row of numbers; the arguments' names decide which is which."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(9, 4)

    def forward(self, pixel_values, age):
        seen = self.conv(pixel_values).mean((2, 3))
        return self.head(torch.cat([seen, age], 1))


AGES = RNG.normal(size=(N, 5)).astype(np.float32)


def as_item(i, **more):
    return {"age": AGES[i], "pixel_values": IMAGES[i], "label": int(LABELS[i]), **more}


def test_items_that_are_mappings_train_as_pairs_do():
    pairs = losses_of(backend((IMAGES, LABELS)))
    for label, index in (("labels", {}), ("label", {"idx": 0}), ("target", {})):
        items = Items(
            lambda i, label=label, index=index: {
                "pixel_values": torch.from_numpy(IMAGES[i]), label: int(LABELS[i]), "file": "a.png",
                **dict.fromkeys(index, i),
            },
            N,
        )  # fmt: skip
        found = losses_of(backend(items))
        assert found[0] == pairs[0]
        assert all(torch.equal(a, b) for a, b in zip(found[1], pairs[1], strict=True))


def test_inputs_with_names_are_put_into_the_models_order():
    torch.manual_seed(0)
    expected = losses_of(backend(((IMAGES, AGES), LABELS), model=Described()))[0]
    for data in (
        ({"age": AGES, "pixel_values": IMAGES}, LABELS),
        Items(as_item, N),
        Items(lambda i: ({"age": AGES[i], "pixel_values": IMAGES[i]}, int(LABELS[i])), N),
    ):
        torch.manual_seed(0)
        assert losses_of(backend(data, model=Described()))[0] == expected


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({"picture": IMAGES, "age": AGES}, ValueError, r"forward\(pixel_values, age\).*name them"),
        ({"years": AGES, "pixel_values": IMAGES}, ValueError, "'years', 'pixel_values'"),
        ({1, 2}, TypeError, "is a set, which has no order"),
        (frozenset({1, 2}), TypeError, "is a set, which has no order"),
    ],
)
def test_names_that_the_model_does_not_know_and_sets_are_refused(inputs, error, words):
    with pytest.raises(error, match=words):
        backend((inputs, LABELS), model=Described())


def test_mappings_that_cannot_be_read_say_what_is_missing():
    def refused(item, model=None):
        with pytest.raises(ValueError, match=r"train_data\[0\]") as error:
            backend(Items([item] * 8), model=model)
        return str(error.value)

    assert "without a label: call it 'labels'" in refused({"pixel_values": IMAGES[0]})
    assert "without a tensor or array" in refused({"image": "a.png", "labels": 0})
    texts = {"input_ids": torch.tensor(IDS[0]), "token_type_ids": torch.ones(24), "labels": 0}
    assert "tells two texts apart" in refused(texts)
    short = {"input_ids": IDS[0], "attention_mask": torch.ones(23), "labels": 0}
    assert "has shape (23,), but 'input_ids' has (24,)" in refused(short)
    parts = {"input_ids": IDS[0] / 2, "labels": 0}
    assert "ids are whole numbers" in refused(parts)
    two = {"left": IMAGES[0], "right": IMAGES[0], "labels": 0}
    assert "name them as forward() does" in refused(two, Described())
    assert "'cat'; a label must be one class number" in refused(
        {"image": IMAGES[0], "label": "cat"}
    )


# --- errors of the data set name the index -------------------------------------------------------


class Damaged(TensorDataset):
    """Raises at one index."""

    def __init__(self, at, error):
        super().__init__(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
        self.at, self.error = at, error

    def __getitem__(self, index):
        if index == self.at:
            raise self.error
        return super().__getitem__(index)


ERRORS = [
    (OSError, ("image file is truncated",)),
    (FileNotFoundError, (2, "No such file or directory", "a.png")),
    (KeyError, ("a.png",)),
    (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "invalid start byte")),
    (ValueError, ("two", "arguments")),
    (ZeroDivisionError, ()),
]


@pytest.mark.parametrize(("kind", "arguments"), ERRORS)
def test_a_damaged_item_is_named_when_it_is_met(kind, arguments):
    text = str(kind(*arguments)).strip("'").replace("[Errno 2] ", "")
    with pytest.raises(kind) as met:
        backend(Damaged(0, kind(*arguments)))
    assert error_line(met.value).count("train_data[0]") == 1
    assert text in str(met.value)
    engine = backend(Damaged(10, kind(*arguments)))
    assert 10 not in engine.train_source.probes()
    with pytest.raises(kind) as met:
        losses_of(engine)
    assert error_line(met.value).count("train_data[10]") == 1


def test_a_damaged_item_of_the_validation_is_named_too():
    engine = backend((IMAGES, LABELS), Damaged(10, OSError("image file is truncated")))
    with pytest.raises(OSError, match=r"val_data\[10\]: image file is truncated"):
        engine.evaluate(lambda: True)


def test_a_damaged_item_is_named_by_a_loaders_process():
    engine = backend(Damaged(10, OSError("truncated")), config={"loader_workers": 1})
    with pytest.raises(OSError, match=r"train_data\[10\]: truncated"):
        losses_of(engine)
