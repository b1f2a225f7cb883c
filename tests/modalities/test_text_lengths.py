"""Texts of several lengths: filled up for a session, and to the batch by the loops of others."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

import coflect_widget as coflect
from tests.conftest import eventually
from tests.modalities.text_models import made

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH = 16
CLS, SEP = 1, 2


def cut(data):
    """The ids of each text without padding, of several lengths."""
    return [row[row > 0] for row in data.ids]


def bert(data):
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(
            transformers.BertConfig(
                vocab_size=len(data.words), hidden_size=24, num_hidden_layers=2,
                num_attention_heads=2, intermediate_size=32, max_position_embeddings=LENGTH,
                pad_token_id=0,
            )
        )  # fmt: skip


def tokenizer_of(data):
    import tokenizers
    import transformers

    words = tokenizers.models.WordLevel({w: k for k, w in enumerate(data.words)}, data.words[3])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words),
        pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip


@pytest.mark.slow
def test_a_bert_of_hugging_faces_trainer_that_pads_each_batch(make_session, tmp_path):
    import transformers

    data = coflect.data.reviews(300, LENGTH, leak=0.97)
    other = coflect.data.reviews(100, LENGTH, seed=1)
    tokenizer = tokenizer_of(data)
    items = [
        {"input_ids": x.tolist(), "attention_mask": [1] * len(x), "labels": int(y)}
        for x, y in zip(cut(data), data.labels, strict=True)
    ]
    val = [
        {"input_ids": x.tolist(), "attention_mask": [1] * len(x), "labels": int(y)}
        for x, y in zip(cut(other), other.labels, strict=True)
    ]
    longest = max(len(item["input_ids"]) for item in items + val)
    assert min(len(item["input_ids"]) for item in items) < longest
    model = bert(data)
    session = make_session(
        model, items, val, tokenizer=tokenizer, batch_size=20, classes=data.classes,
        config={"guidance": {"effect_after": 10}},
    )  # fmt: skip
    assert any("filled up to" in said for said in session._backend.assumptions)
    widths = set()

    class Widths(transformers.DataCollatorWithPadding):
        def __call__(self, features):
            batch = super().__call__(features)
            widths.add(batch["input_ids"].shape[1])
            return batch

    def trained(epochs):
        arguments = transformers.TrainingArguments(
            str(tmp_path), per_device_train_batch_size=20, learning_rate=5e-3, use_cpu=True,
            report_to=[], disable_tqdm=True, logging_strategy="no", save_strategy="no",
            num_train_epochs=epochs,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=items, data_collator=Widths(tokenizer),
            callbacks=[session.transformers_callback()],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()

    trained(6)
    assert len(widths) > 1  # padding was to the batch
    assert session.metrics["accuracy"] > 0.85
    assert "val_accuracy" in session.metrics
    assert session.candidates
    shortest = int(np.argmin([len(item["input_ids"]) for item in items]))
    found = session.explain(shortest).map
    ids = np.array(items[shortest]["input_ids"])
    assert found.shape == (longest,)
    assert (found[len(ids) :] == 0).all()
    assert (found[: len(ids)][ids <= SEP] == 0).all()
    assert found.any()
    stroke = session.feedback(instruction=f'ignore "{data.decoys[0]}"')
    at = next(k for k in np.flatnonzero(data.decoy >= 0) if data.ids[k, 0] == CLS)
    place = int(data.decoy[at])
    drawn = session.feedback(sample=int(at), ignore=(place, place + 1))
    assert session.similar(drawn)
    trained(2)
    assert any(e.data.values.get("guidance_loss") for e in session.events("metrics"))
    assert not session.events("lapsed")
    effects = eventually(lambda: len(session.effects) == 2 and session.effects, what="effects")
    assert "harmed" not in {effect.verdict for effect in effects}, effects
    assert session.undo(stroke).undone


@pytest.mark.parametrize("masks", [False, True])
def test_a_loop_whose_loader_pads_to_the_batch(make_session, masks):
    data = coflect.data.reviews(200, LENGTH, leak=0.97)
    items = list(zip(map(torch.from_numpy, cut(data)), data.labels.tolist(), strict=True))
    model = made("convolutions", data)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    given = items
    if masks:  # as mappings; the model takes no mask
        given = [
            {"input_ids": x.tolist(), "attention_mask": [1] * len(x), "labels": y} for x, y in items
        ]
    session = make_session(model, given, tokenizer=data.words, optimizer=optimizer)
    session.feedback(instruction=f'ignore "{data.decoys[0]}"')

    def padded(rows):
        x, y = zip(*rows, strict=True)
        return pad_sequence(list(x), batch_first=True), torch.tensor(y)

    torch.manual_seed(0)
    loader = DataLoader(items, batch_size=8, shuffle=True, collate_fn=padded)
    added = []
    for x, y in session.loop(loader, epochs=2):
        logits = model(x)
        session.observe(None, logits, y)
        loss = torch.nn.functional.cross_entropy(logits, y)
        term = session.guidance_loss(x, y, loss)
        added.append(float(torch.as_tensor(term).detach()))
        optimizer.zero_grad()
        (loss + term).backward()
        optimizer.step()
    assert any(added)
    assert not session.events("lapsed")
    session.train(epochs=1)  # and the session's own loop
    session.wait(240)
    assert session.state != "failed"
    longest = max(len(x) for x, _ in items)
    assert session.explain(0).map.shape == (longest,)


def test_longer_validation_texts_and_exchange_between_lengths(make_session):
    data = coflect.data.reviews(120, LENGTH)
    x = cut(data)
    short = [(torch.from_numpy(row[:9]), int(y)) for row, y in zip(x, data.labels, strict=True)]
    short[1] = (short[1][0][:6], short[1][1])
    val = [(torch.from_numpy(row), int(y)) for row, y in zip(x, data.labels, strict=True)]
    session = make_session(made("convolutions", data), short, val, tokenizer=data.words)
    longest = max(map(len, x))
    backend = session._backend
    assert backend.train_source.input_shape == backend.val_source.input_shape == (longest,)
    rows = np.stack([backend.read_sample(k).input for k in range(20)])
    kind = backend.modality
    everywhere = np.ones(rows.shape, bool)
    mixed = kind.exchange(everywhere, rows, kind.laid_out(rows[::-1].copy(), rows))
    kept = (rows < 0) | np.isin(rows, kind.special)
    assert (mixed[kept] == rows[kept]).all()  # lengths and special tokens stay
    assert not np.isin(mixed[~kept], kind.special).any()
    assert (mixed[~kept] >= 0).all()
    assert (mixed != rows).any()


def test_padding_goes_to_the_end_on_whichever_side_it_was():
    kind = coflect.Text(["[PAD]", "[CLS]", "a", "b"])
    rows = np.array([[-1, -1, 1, 2, 3], [1, 2, 3, 2, 2], [0, 0, 0, 1, 3], [1, 3, -1, -1, -1]])
    wanted = [[1, 2, 3, -1, -1, -1], [1, 2, 3, 2, 2, -1], [1, 3, -1, 0, 0, 0], [1, 3] + 4 * [-1]]
    found = kind.filled(rows, 6)
    assert (found[[0, 1, 3]] == np.array(wanted)[[0, 1, 3]]).all()
    assert found[2, :2].tolist() == [1, 3]
    assert (kind.to_units(np.ones((1, 6)), found[2:3])[0] == [0, 1, 0, 0, 0, 0]).all()
    assert (kind.filled(torch.from_numpy(rows), 6).numpy() == found).all()
    assert kind.filled(rows[0], 6).tolist() == wanted[0]
    assert (kind.filled(rows, 5)[1] == rows[1]).all()
