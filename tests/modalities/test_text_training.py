"""A model that reads texts, trained for real: metrics, queue, map, strokes, undo, effect, page."""

import numpy as np
import pytest
import torch

import coflect_widget as coflect
from coflect_widget.modalities.text.regions import Span, Word
from tests.conftest import eventually
from tests.modalities.text_models import made

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 16


def share_on(session, data, count=6):
    """Mean share of the maps' mass on the decoy, and how often the strongest place is it."""
    mass, strongest = [], []
    for index in np.flatnonzero(data.decoy >= 0)[:count]:
        found = session.explain(int(index)).map
        mass.append(found[data.decoy[index]] / found.sum())
        strongest.append(found.argmax() == data.decoy[index])
    return np.mean(mass), np.mean(strongest)


@pytest.mark.parametrize(
    "kind", ["convolutions", pytest.param("transformer", marks=pytest.mark.slow)]
)
def test_a_decoy_is_seen_marked_and_gone(make_session, kind):
    data = coflect.data.reviews(800, LENGTH, leak=0.97)
    other = coflect.data.reviews(400, LENGTH, seed=1)
    model = made(kind, data)
    session = make_session(
        model, (data.ids, data.labels), (other.ids, other.labels), batch_size=40,
        classes=data.classes, tokenizer=data.words,
        optimizer=torch.optim.Adam(model.parameters(), 0.005),
        config={"guidance": {"effect_after": 100}},
    )  # fmt: skip
    session.train(epochs=4)
    session.wait(240)
    assert session.events("run_started")[0].data.inputs == "text"
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.7
    assert session.candidates[0].thumbnail.startswith(b"\x89PNG")
    found = session.explain(3)
    assert found.method == "consensus"
    assert found.map.shape == (LENGTH,)
    assert (found.map[data.ids[3] < 3] == 0).all()  # padding, "[CLS]" and "[SEP]"
    mass, strongest = share_on(session, data)
    assert mass > 0.7
    assert strongest > 0.8
    # one stroke where the word stands in a sample, one by its name
    at = int(data.decoy[1])
    drawn = session.feedback(sample=1, ignore=(at, at + 1))
    assert drawn.understood == f"ignore word {at} on sample 1, strength 0.30"
    assert drawn.record.loss == "fill, at like places of other samples too"
    named = session.feedback(instruction=f'ignore "{data.decoys[0]}"')
    assert named.understood == f'ignore "{data.decoys[0]}" on every sample, strength 0.30'
    session.train(epochs=10)
    session.wait(240)
    assert session.metrics["val_accuracy"] > 0.88  # of .95 that can be reached
    assert share_on(session, data)[0] < mass / 4
    assert not session.events("lapsed")
    effects = eventually(lambda: len(session.effects) == 2 and session.effects, what="effects")
    assert {effect.verdict for effect in effects} == {"helped"}, effects
    assert "of other texts to its class" in effects[0].text
    assert session.undo(named).undone
    assert [s.region for s in session.ledger.state().strokes] == [Span(at, at + 1)]
    look = session.feedback(sample=2, look="film" if "film" in data.text(2) else (1, 4))
    assert "input gradient inside" in look.record.loss
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    page = session.save_html(session.run.path.parent / "page.html")
    assert page.stat().st_size > 100_000
    session.close()
    recorded = coflect.open_run(session.run.path)
    assert {e.map.shape for e in recorded.timeline(3)} == {(LENGTH,)}


def test_a_data_set_of_ids_and_what_others_were_told(make_session, tmp_path):
    data = coflect.data.reviews(120, LENGTH)
    first = make_session(made("convolutions", data), data, tokenizer=data.words, batch_size=30)
    first.feedback(sample=1, ignore=["herald", (2, 4)])
    first.train(epochs=1)
    first.wait(60)
    assert not first.events("lapsed")
    saved = first.ledger.save(tmp_path / "ledger.json")
    second = make_session(
        made("convolutions", data), (data.ids, data.labels), tokenizer=data.words, guidance=saved
    )
    assert [s.region for s in second.ledger.state().strokes] == [Word("herald"), Span(2, 4)]
    at = int(data.telling[1])
    hits = second.similar(second.feedback(sample=1, ignore=(at, at + 1)))
    same = data.ids == data.ids[1, at]
    same[1] = False
    assert sorted(hit.index for hit in hits) == np.flatnonzero(same.any(1)).tolist()


@pytest.mark.slow
def test_ids_and_masks_as_transformers_gives_them(make_session):
    import transformers

    data = coflect.data.reviews(400, LENGTH, leak=0.97)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(
                vocab_size=len(data.words), hidden_size=24, num_hidden_layers=2,
                num_attention_heads=2, intermediate_size=32, max_position_embeddings=LENGTH,
                pad_token_id=0,
            )
        )  # fmt: skip
    items = [
        {"input_ids": x.tolist(), "attention_mask": (x > 0).astype(int).tolist(), "labels": int(y)}
        for x, y in zip(data.ids, data.labels, strict=True)
    ]
    session = make_session(
        model, items, tokenizer=data.words, batch_size=20,
        optimizer=torch.optim.Adam(model.parameters(), 0.005),
    )  # fmt: skip
    x = session._backend.read_sample(0).input
    assert (np.where(x < 0, ~x, x) == data.ids[0]).all()
    assert ((x < 0) == (data.ids[0] == 0)).all()
    session.train(epochs=6)
    session.wait(240)
    assert session.metrics["accuracy"] > 0.9
    # One word is enough to tell two classes apart: the other class shows by its absence.
    shares = {0: [], 1: []}
    for index in np.flatnonzero(data.decoy >= 0)[:10]:
        values = session.explain(int(index)).map
        assert (values[data.ids[index] < 3] == 0).all()
        shares[data.labels[index]].append(values[data.decoy[index]] / values.sum())
    assert max(np.mean(found) for found in shares.values()) > 0.6, shares
    # the session's outputs are the model's own with the mask
    ids = torch.from_numpy(data.ids[:20])
    model.eval()
    with torch.no_grad():
        wanted = model(ids, attention_mask=(ids > 0).long()).logits
        rows = torch.stack([torch.from_numpy(session._backend.read_sample(k).input)
                            for k in range(20)])  # fmt: skip
        assert torch.allclose(session._backend._forward(rows), wanted, atol=1e-6)
    session.feedback(instruction='ignore "herald"')
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
