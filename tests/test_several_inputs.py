"""A model of a picture and a question, or a row of numbers, from the data to the record."""

import numpy as np
import pytest
import torch
from torch import nn

import coflect_widget as coflect
from tests.modalities.parts_models import InOneArgument, answers, spoilt

pytestmark = pytest.mark.usefixtures("one_thread")
N = 96


class Both(nn.Module):
    """Logits from a picture and a table; `image_weight` says how much the picture counts."""

    def __init__(self, image_weight=1.0):
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

    def __init__(self, rows=N):
        self.images, self.tables, self.labels = arrays()
        self.rows = rows

    def __len__(self):
        return N

    def __getitem__(self, index):
        table = self.tables[index][: 5 if index < self.rows else 4]
        return (table, self.images[index]), self.labels[index]


def arrays():
    rng = np.random.default_rng(0)
    return (
        rng.random((N, 3, 16, 16), dtype=np.float32),
        rng.standard_normal((N, 5), dtype=np.float32),
        rng.integers(0, 3, N),
    )


def mean_focus(session, name, samples=(3, 14, 15, 92)):
    return np.mean([session.explain(k).modality_focus[name] for k in samples])


@pytest.mark.parametrize(
    ("decides", "least", "most"),
    [("question", 0.9, 1.0), ("picture", 0.0, 0.1), ("both", 0.25, 0.75)],
)
def test_the_share_of_the_question_is_what_it_decides(make_session, decides, least, most):
    model, optimizer, data = answers(decides)
    session = make_session(
        model, data if decides == "both" else data.arrays, batch_size=32, classes=data.classes,
        tokenizer=data.words, optimizer=optimizer,
    )  # fmt: skip
    assert session.events("run_started")[0].data.inputs == "parts"
    session.train(epochs=14 if decides == "both" else 6)
    assert session.wait(240)
    assert session.metrics["accuracy"] > 0.97
    assert least <= mean_focus(session, "question") <= most
    found = session.explain(3)
    assert set(found.parts) == set(found.modality_focus) == {"image", "question"}
    assert sum(found.modality_focus.values()) == pytest.approx(1)
    assert found.map.shape == (24 * 24 + 8,)
    assert found.parts["image"].shape == (24, 24)
    assert found.parts["question"].shape == (8,)
    assert found.map.max() == 1
    asked = data.asked[3]
    if decides != "picture":
        assert found.parts["question"].argmax() == asked
    if decides != "question":
        image = found.parts["image"]
        inside = image[data.shapes[3]].sum() / image.sum()
        assert inside > 2 * data.shapes[3].mean()
    assert "question" in found._repr_html_()


def test_strokes_on_one_input_and_what_becomes_of_them(make_session, tmp_path):
    model, optimizer, data = answers("picture", 400)
    other = coflect.data.shapes_and_questions(200, "picture", seed=1)
    questions, labels = spoilt(data)
    unspoilt = other.questions.copy()
    unspoilt[:, 7] = 6 + np.random.default_rng(2).integers(0, 2, len(other))
    session = make_session(
        model, ((data.pictures, questions), labels), ((other.pictures, unspoilt), other.labels),
        batch_size=40, tokenizer=data.words, optimizer=optimizer,
    )  # fmt: skip
    session.train(epochs=6)
    assert session.wait(240)
    assert session.metrics["val_accuracy"] < 0.75
    assert mean_focus(session, "question") > 0.5
    assert session.candidates[0].thumbnail.startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"no input 'sound'; there are 'image', 'question'"):
        session.feedback(sample=1, ignore={"part": "sound", "box": [0, 0, 1, 1]})
    told = session.feedback(ignore={"question": ["really", "now"]}, strength=0.9)
    assert told.understood.startswith('ignore "really" and "now" of question on every sample')
    looked = session.feedback(sample=1, look={"image": (0.2, 0.2, 0.6, 0.6)})
    assert "fill outside" in looked.record.loss
    session.undo(looked)
    session.train(epochs=10)
    assert session.wait(240)
    assert session.metrics["val_accuracy"] > 0.88
    assert mean_focus(session, "question") < 0.3
    session.ledger.save(tmp_path / "ledger.json")
    again = make_session(model, ((data.pictures, questions), labels), tokenizer=data.words,
                         guidance=tmp_path / "ledger.json")  # fmt: skip
    assert len(again.interventions) == 2
    session.save_html(tmp_path / "page.html")
    assert '"parts"' in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="samples of several inputs are not searched"):
        session.similar(session.feedback(sample=1, ignore={"question": (7, 8)}))
    session.explain(5)
    run = coflect.open_run(session.run.path)
    assert run.timeline(5)[-1].parts["image"].shape == (24, 24)
    assert "<img" in run.timeline(5)[-1]._repr_html_()
    assert run.ledger.interventions[0].understood == told.understood


def test_map_style_items_before_anything_is_known_of_them(make_session):
    session = make_session(TableFirst(), Pairs(), Pairs(), batch_size=32)
    session.train(epochs=1)
    assert session.wait(240)
    assert np.isfinite(session.metrics["val_loss"])
    found = session.explain(7)
    assert list(found.parts) == ["age", "image"]
    assert found.quality is not None
    [said] = [n.data.text for n in session.events("notice") if "of the kind" in n.data.text]
    assert "'age' of the kind 'table', 'image' of the kind 'image'" in said
    recorded = [e.data for e in session.events("overlay") if e.data.index == 7][-1]
    assert recorded.modality_focus == pytest.approx(found.modality_focus)
    images, tables, _ = arrays()
    with torch.no_grad():
        logits = session._backend.model.eval()(
            torch.from_numpy(tables[7:8]), torch.from_numpy(images[7:8])
        )
    assert found.top_probs[0] == pytest.approx(logits.softmax(1).max().item(), abs=1e-5)
    with pytest.raises(ValueError, match="samples of several inputs cannot be added"):
        session.add((tables[0], images[0]), 1)


def test_what_the_model_does_not_use_has_no_share(make_session):
    images, tables, labels = arrays()
    session = make_session(Both(image_weight=0.0), ((images, tables), labels))
    focus = session.explain(3).modality_focus
    assert focus["age"] == pytest.approx(1)
    assert focus["image"] == pytest.approx(0)


def test_a_model_that_says_always_the_same_has_no_shares(make_session):
    images, tables, labels = arrays()
    model = Both()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = make_session(model, ((images, tables), labels)).explain(3)
    assert found.modality_focus is None
    assert found.modality_reason == "no exchange of an input moves the output"


def test_a_model_that_takes_all_in_one_argument(make_session):
    data = coflect.data.shapes_and_questions(64)
    session = make_session(InOneArgument(), data, inputs={"question": coflect.Text(data.words)})
    assert set(session.explain(3).parts) == {"image", "question"}
    tensors = torch.utils.data.TensorDataset(
        *(torch.from_numpy(a) for a in (data.pictures, data.questions, data.labels))
    )
    model, _, _ = answers("both")
    assert len(make_session(model, tensors).explain(1).parts) == 2


def test_a_loop_of_ones_own_is_guided_by_part(make_session):
    model, optimizer, data = answers("picture", 64)
    session = make_session(model, data, batch_size=16, tokenizer=data.words, optimizer=optimizer)
    session.feedback(ignore={"question": "red"})
    loader = torch.utils.data.DataLoader(data, 16)
    terms = []
    for inputs, labels in session.loop(loader):
        logits = model(**inputs)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        session.observe(None, logits, labels)
        term = session.guidance_loss(inputs, labels, loss)
        terms.append(float(torch.as_tensor(term).detach()))
        optimizer.zero_grad()
        (loss + term).backward()
        optimizer.step()
    assert any(terms)
    assert np.isfinite(terms).all()


def test_items_that_differ_are_named(make_session):
    with pytest.raises(ValueError, match=r"train_data\[96\]|input 'age' of shape \(4,\)"):
        make_session(TableFirst(), Pairs(rows=60))
    data = coflect.data.shapes_and_questions(64)
    model, _, _ = answers("both")
    wrong = data.questions.copy()
    wrong[5, 0] = 12
    with pytest.raises(ValueError, match="has the id 12 at index 5"):
        make_session(model, ((data.pictures, wrong), data.labels))


class Asked(torch.nn.Module):
    """Ids that come as floating point are made integers in the model."""

    def __init__(self):
        super().__init__()
        self.words, self.head = torch.nn.Embedding(20, 4), torch.nn.Linear(5, 2)

    def forward(self, image, question):
        asked = self.words(question.long()).mean(1)
        return self.head(torch.cat([image.mean((2, 3)), asked], 1))


def test_ids_as_floating_point_are_refused_with_the_way_out(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.random((8, 1, 6, 6), dtype=np.float32), np.arange(8) % 2
    ids = rng.integers(0, 20, (8, 5))
    with pytest.raises(ValueError, match=r"its input 'question', has whole numbers.*\.long\(\)"):
        coflect.Session(Asked(), ((images, ids.astype("float32")), labels), run_dir=tmp_path)
    coflect.Session(Asked(), ((images, ids), labels), run_dir=tmp_path).close()
