"""A model of a picture and a row of numbers, from the data to the dashboard's record."""

import numpy as np
import pytest
import torch
from torch import nn

import coflect_widget as coflect

N = 96


class Both(nn.Module):
    """Logits from a picture and a table; `image_weight` says how much the picture counts."""

    def __init__(self, first="image", image_weight=1.0):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.from_image = nn.Linear(8, 3)
        self.from_table = nn.Linear(5, 3)
        self.image_weight = image_weight

    def forward(self, image, age):
        seen = self.from_image(self.features(image).mean((2, 3)))
        return self.image_weight * seen + self.from_table(age)


class TableFirst(Both):
    def forward(self, age, image):
        return super().forward(image, age)


class Pairs:
    """Map-style; the table before the picture."""

    def __init__(self):
        self.images, self.tables, self.labels = arrays()

    def __len__(self):
        return N

    def __getitem__(self, index):
        return (self.tables[index], self.images[index]), self.labels[index]


def arrays():
    rng = np.random.default_rng(0)
    return (
        rng.random((N, 3, 16, 16), dtype=np.float32),
        rng.standard_normal((N, 5), dtype=np.float32),
        rng.integers(0, 3, N),
    )


def last_overlay(session, sample):
    """The last recorded map of `sample`: maps in the background are of samples at risk."""
    return [e.data for e in session.events("overlay") if e.data.index == sample][-1]


@pytest.mark.parametrize("kind", ["arrays", "map-style"])
def test_two_inputs_from_training_to_the_record(kind, make_session):
    images, tables, labels = arrays()
    torch.manual_seed(0)
    if kind == "arrays":
        model, data = Both(), ((images, tables), labels)
    else:
        model, data = TableFirst(), Pairs()
    session = make_session(model, data, data, batch_size=32)
    session.train(epochs=1)
    assert session.wait(240)
    assert np.isfinite(session.metrics["val_loss"])
    explanation = session.explain(7)
    assert explanation.map.shape == (16, 16)
    assert explanation.livecam.max() == explanation.smoothgrad.max() == 1
    focus = explanation.modality_focus
    assert set(focus) == {"image", "age"}
    assert sum(focus.values()) == pytest.approx(1)
    assert all(0 < share < 1 for share in focus.values())
    assert explanation.quality is not None
    recorded = last_overlay(session, 7)
    assert recorded.modality_focus == pytest.approx(focus)
    assert session.timeline(7)[-1].modality_focus == pytest.approx(focus)
    inputs = [torch.from_numpy(images[7:8]), torch.from_numpy(tables[7:8])]
    if kind == "map-style":
        inputs.reverse()
    with torch.no_grad():
        logits = model.eval()(*inputs)
    assert explanation.top_probs[0] == pytest.approx(logits.softmax(1).max().item(), abs=1e-5)
    with pytest.raises(ValueError, match="one input"):
        session.feedback(sample=7, ignore=(0, 0, 0.5, 0.5))


def test_what_the_model_does_not_use_has_no_share(make_session):
    images, tables, labels = arrays()
    session = make_session(Both(image_weight=0.0), ((images, tables), labels))
    focus = session.explain(3).modality_focus
    assert focus["age"] == pytest.approx(1)
    assert focus["image"] == pytest.approx(0)


class Answers(nn.Module):
    """A picture and a question in token ids, which an embedding or a comparison looks at."""

    def __init__(self, look):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(16, 3)
        self.words, self.look = nn.Embedding(20, 8), look

    def forward(self, image, question):
        seen = self.conv(image).relu().mean((2, 3))
        return self.head(torch.cat([seen, self.look(self, question)], 1))


@pytest.mark.parametrize(
    "look",
    [
        lambda model, ids: model.words(ids.long()).mean(1),
        lambda model, ids: model.words(ids.round().long()).flatten(1)[:, :8],  # the first alone
        lambda model, ids: (ids > 10).float().repeat(1, 2)[:, :8],
        lambda model, ids: ids.round().repeat(1, 2)[:, :8] / 20,  # a gradient of 0
    ],
)
def test_the_share_of_what_no_gradient_reaches_is_not_defined(look, make_session):
    images, _, labels = arrays()
    ids = np.random.default_rng(0).integers(1, 20, (N, 6))
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"ids\.astype\('float32'\).*ids\.long\(\)") as refused:
        make_session(Answers(look), ((images, ids), labels))
    assert "255" not in str(refused.value)
    session = make_session(Answers(look), ((images, ids.astype("float32")), labels))
    explanation = session.explain(3)
    assert explanation.modality_focus is None
    assert "'question'" in explanation.modality_reason
    recorded = last_overlay(session, 3)
    assert recorded.modality_focus is None
    assert recorded.modality_reason == explanation.modality_reason
    [kept] = session.timeline(3)
    assert kept.modality_focus is None
    assert kept.modality_reason == explanation.modality_reason
    assert coflect.open_run(session.run.path).timeline(3)[0].modality_focus is None


def test_an_input_that_nothing_reads_has_the_share_0(make_session):
    images, tables, labels = arrays()
    session = make_session(
        Answers(lambda model, ids: torch.zeros(len(ids), 8)), ((images, tables), labels)
    )
    explanation = session.explain(3)
    assert explanation.modality_focus == {"image": 1.0, "question": 0.0}
    assert explanation.modality_reason == ""


def test_a_strip_among_the_inputs_is_not_taken_for_the_picture(make_session):
    images, tables, labels = arrays()

    class Strip(Both):
        def forward(self, strip, image):
            return super().forward(image, strip.flatten(1))

    session = make_session(Strip(), ((tables[:, None, None], images), labels))
    assert session.explain(1).map.shape == (16, 16)
    with pytest.raises(ValueError, match=r"^train_data gives several inputs .*must be a picture"):
        make_session(Strip(), ((tables[:, None, None], tables), labels))


def test_inputs_without_a_picture_are_refused(make_session):
    _, tables, labels = arrays()
    with pytest.raises(ValueError, match="must be a picture"):
        make_session(Both(), ((tables, tables[:, :3]), labels))


def test_a_model_that_only_guesses_has_no_reliable_maps(make_session):
    images, _, labels = arrays()
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3))
    session = make_session(model, (images, labels), (images[:, ::-1].copy(), np.roll(labels, 1)))
    session.train(epochs=1)
    session.wait(240)
    session._parts.newest.metrics["val_accuracy"] = 0.34
    quality = session.explain(2).quality
    assert not quality.reliable
    assert "no more than by " in quality.reason
    assert last_overlay(session, 2).quality.reason == quality.reason
    assert coflect.open_run(session.run.path).timeline(2)[-1].quality == quality
