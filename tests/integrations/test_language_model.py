"""A language model that transformers' Trainer trains by its own loss."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import coflect_widget as coflect
from coflect_widget.backends.torch import token_losses
from coflect_widget.backends.torch.token_losses import (
    losses_of_graph,
    losses_of_output,
    losses_of_tokens,
)

WORDS, LENGTH, ROWS, SPOILT = 64, 12, 48, 4


def model():
    import transformers  # heavy; only where it is used

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def rows():
    """Numbers that count up, but for the first few, which are noise."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, WORDS, (ROWS, 1))
    ids = (start + np.arange(LENGTH)) % WORDS
    ids[:SPOILT] = rng.integers(0, WORDS, (SPOILT, LENGTH))
    return [{"input_ids": torch.from_numpy(row), "labels": torch.from_numpy(row)} for row in ids]


def test_losses_of_samples_are_those_of_the_model(monkeypatch):
    net, batch = model().eval(), rows()[:6]
    ids = torch.stack([row["input_ids"] for row in batch])
    labels = ids.clone()
    labels[1, 5:] = -100
    output = net(input_ids=ids, labels=labels)
    found = losses_of_output(net, {"labels": labels}, output)
    tokens = (labels[:, 1:] != -100).sum(1)
    assert float((found * tokens).sum() / tokens.sum()) == pytest.approx(
        float(output.loss.detach()), abs=1e-5
    )
    read = losses_of_graph(output.loss / 3 * 3, labels, WORDS)
    assert torch.equal(read, found)
    with torch.no_grad():
        output = net(input_ids=ids, labels=labels)
    assert losses_of_graph(output.loss, labels, WORDS) is None
    monkeypatch.setattr(token_losses, "TOKENS", 5)  # of 12, and the last slice is a part of one
    assert torch.allclose(losses_of_output(net, {"labels": labels}, output), found, atol=1e-5)
    whole = losses_of_tokens(output.logits, labels, shifted=False)
    own = F.cross_entropy(output.logits.mT, labels, ignore_index=-100, reduction="none")
    assert torch.allclose(whole[0], own[0].mean(), atol=1e-5)
    with pytest.raises(ValueError, match=r"has no labels; write the loop with session.loop"):
        losses_of_output(net, {}, output)
    with pytest.raises(ValueError, match=r"labels \(6,\)"):
        losses_of_output(net, {"labels": labels[:, 0]}, output)


@pytest.mark.parametrize("pieces", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_trainer_tells_each_samples_loss(pieces, tmp_path):
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)
    net, data = model(), rows()
    session = coflect.Session(
        net, data, task="own_loss", run_dir=tmp_path, config={"log_every": 1, "forecast_every": 2},
        score=lambda net, ids: net(input_ids=ids).logits[:, -1].max(1).values,
    )  # fmt: skip
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=24, per_device_train_batch_size=16 // pieces,
        gradient_accumulation_steps=pieces, learning_rate=0.02, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, use_cpu=True, seed=0,
    )  # fmt: skip
    with session:
        session.feedback(5, ignore=(0, 2))
        trainer = transformers.Trainer(
            model=net, args=arguments, train_dataset=data,
            callbacks=[session.transformers_callback()],
        )  # fmt: skip
        trainer.train()
        told = [one.data.text for one in session.events("notice")]
        assert sum("Strokes add nothing" in text for text in told) == 1
        assert session.state == "finished"
        assert session._parts.forecaster.drain(60)
        store = session._parts.forecaster.store
        assert store.seen.all()
        assert store.loss[:SPOILT].min() > np.median(store.loss[SPOILT:])
        assert 0 < session.metrics["loss"] < np.log(WORDS)
        assert set(range(SPOILT)) <= {one.index for one in session.candidates}


@pytest.mark.slow
def test_a_trainer_whose_losses_cannot_be_told_trains_all_the_same(tmp_path):
    import transformers

    class OwnLoss(transformers.Trainer):
        def compute_loss(self, net, inputs, *given, **more):
            labels = inputs.pop("labels")
            logits = net(**inputs).logits
            return F.cross_entropy(logits[:, :-1].mT, labels[:, 1:])

    net, data = model(), rows()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=3, per_device_train_batch_size=16,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    with coflect.Session(net, data, task="own_loss", run_dir=tmp_path) as session:
        callbacks = [session.transformers_callback()]
        trainer = OwnLoss(model=net, args=arguments, train_dataset=data, callbacks=callbacks)
        with pytest.warns(RuntimeWarning, match="Nothing of this training was recorded"):
            trainer.train()
        assert session.state == "finished"
        assert trainer.state.global_step == 3
    said = [one.data.text for one in session.events("notice") if "not observed" in one.data.text]
    assert len(said) == 1
    assert "no labels" in said[0]
