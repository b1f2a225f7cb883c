"""Every kind of stroke, in every kind of torch model, in every way to train one.

It must not only go well: the term that was chosen stays in force, is finite, and changes weights.
"""

import logging
import math
import warnings
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import coflect_widget as coflect
from tests.guidance.guided_models import MODELS, make
from tests.one_worker import quiet
from tests.thinned import thinned

SAMPLES, BATCH, EPOCHS = 48, 16, 1
rng = np.random.default_rng(0)
PICTURES = rng.random((SAMPLES, 3, 32, 32), dtype=np.float32)
LABELS = np.arange(SAMPLES) % 3
REGION = (0.2, 0.2, 0.6, 0.6)

#: What is drawn on sample 5, the loss that is asked for, and what of it must be said.
STROKES = {
    "look": ({"look": REGION}, None, "class activation"),
    "ignore, fill": ({"ignore": REGION}, "fill", "fill"),
    "ignore, gradient": ({"ignore": REGION}, "input_gradient", "input gradient"),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny models wait for each other's threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def session_of(model, run_dir, executor, loss=None, **more):
    guidance = {"replay_share": 1.0, "effect_after": 0}  # a guided pass in each step
    if loss is not None:
        guidance["ignore_loss"] = loss
    config = quiet({"guidance": guidance, "log_every": 1, "device": "cpu"})
    return coflect.Session(
        model, (PICTURES, LABELS), batch_size=BATCH, run_dir=run_dir, executor=executor,
        config=config, **more,
    )  # fmt: skip


def batches(seed=7):
    """The same order at each call; the session follows the loader's indices."""
    data = TensorDataset(torch.from_numpy(PICTURES), torch.from_numpy(LABELS))
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(data, batch_size=BATCH, shuffle=True, generator=generator)


def train(session, draw, epochs=EPOCHS):
    """As `Session.train` does; the first stroke is drawn before the first step."""
    draw()
    session.train(epochs=epochs)
    session.wait(240)


def loop(session, draw, epochs=EPOCHS):
    """A bare loop; the first stroke is drawn in its midst."""
    model = session._backend.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for number, (x, y) in enumerate(session.loop(batches(), epochs=epochs)):
        if number == 1:
            draw()
        output = model(x)
        logits = getattr(output, "logits", output)
        loss = F.cross_entropy(logits, y)
        session.observe(None, logits, y)
        optimizer.zero_grad()
        (loss + session.guidance_loss(x, y, loss)).backward()
        optimizer.step()


def lightning(session, draw, epochs=EPOCHS):
    import lightning  # heavy; only where it is used

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    inner = session._backend.model

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = inner

        def training_step(self, batch, number):
            output = self.model(batch[0])
            return F.cross_entropy(getattr(output, "logits", output), batch[1])

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), 1e-3)

    draw()
    inner.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", max_epochs=epochs,
            callbacks=[session.lightning_callback()],
        )  # fmt: skip
        trainer.fit(Lit(), batches())


class Wrapped(nn.Module):
    """Gives transformers' Trainer the loss of a model that knows none."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, pixel_values, labels=None):
        logits = self.inner(pixel_values)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def hugging_face(session, draw, epochs=EPOCHS):
    import transformers

    inner = session._backend.model
    model = inner if isinstance(inner, transformers.PreTrainedModel) else Wrapped(inner)
    draw()
    rows = [
        {"pixel_values": torch.from_numpy(x), "labels": int(y)}
        for x, y in zip(PICTURES, LABELS, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        str(session.run.path / "trainer"), per_device_train_batch_size=BATCH, report_to=[],
        save_strategy="no", logging_strategy="no", use_cpu=True, seed=5, learning_rate=1e-3,
        num_train_epochs=epochs, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    transformers.Trainer(
        model, arguments, train_dataset=rows, callbacks=[session.transformers_callback()]
    ).train()


WAYS = {"train": train, "loop": loop, "lightning": lightning, "transformers": hugging_face}


def weights(model):
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


@pytest.fixture(scope="module")
def unguided(executor, tmp_path_factory):
    """Weights of the same training without a stroke."""

    @cache
    def run(name, way):
        folder = tmp_path_factory.mktemp("runs")
        with trained(name, way, executor, folder) as (session, _):
            return weights(session._backend.model)

    return run


@contextmanager
def trained(name, way, executor, run_dir, stroke=None, epochs=EPOCHS):
    """The session of one training from start to end, and what was given."""
    given, loss, _ = STROKES[stroke] if stroke else ({}, None, "")
    session = session_of(make(name), run_dir, executor, loss)
    entries = []

    def draw():
        if stroke:
            entries.append(session.feedback(sample=5, **given))

    try:
        torch.manual_seed(3)
        WAYS[way](session, draw, epochs)
        yield session, entries
    finally:
        session.close()


@pytest.mark.parametrize(
    ("name", "way", "stroke"),
    thinned(MODELS, [(way, stroke) for stroke in STROKES for way in WAYS]),
)
def test_a_stroke_is_obeyed(name, way, stroke, executor, unguided, tmp_path):
    with trained(name, way, executor, tmp_path, stroke) as (session, [entry]):
        assert session.state == "finished"
        assert entry.record.loss.startswith(STROKES[stroke][2])
        assert not session.interventions[0].lapsed
        assert not session.events("lapsed")
        assert not [e.data.text for e in session.events("notice") if e.data.level != "info"]
        session.wait(240)
        found = [e.data.values.get("guidance_loss") for e in session.events("metrics")]
        found = [value for value in found if value is not None]
        assert all(math.isfinite(value) for value in found)
        assert sum(found) > 0
        assert weights(session._backend.model).isfinite().all()
        assert not torch.equal(weights(session._backend.model), unguided(name, way))


@pytest.mark.parametrize("way", WAYS)
def test_a_stroke_is_in_force_in_the_next_epoch_too(way, executor, tmp_path):
    with trained("plain", way, executor, tmp_path, "look", epochs=2) as (session, _):
        session.wait(240)
        steps = SAMPLES // BATCH
        found = {e.step: e.data.values.get("guidance_loss") for e in session.events("metrics")}
        assert max(found) == 2 * steps
        assert all((found[step] or 0) > 0 for step in range(steps + 1, 2 * steps + 1))


@pytest.mark.parametrize("stroke", ["look", "ignore, gradient"])
@pytest.mark.parametrize(
    "name", ["in-place resnet", "norm over 1 x 1", "norm of features", "norm of one's own"]
)
def test_statistics_see_no_replayed_row(name, stroke, executor, tmp_path):
    """The weights stand still, so that the statistics are those of the batches alone."""

    def statistics(draws):
        given, loss, _ = STROKES[stroke]
        model = make(name)
        session = session_of(model, tmp_path, executor, loss, scheduler=still)
        if draws:
            session.feedback(sample=5, **given)
        session.train(epochs=1)
        session.wait(240)
        session.close()
        return {key: value.clone() for key, value in model.named_buffers()}

    without, within = statistics(draws=False), statistics(draws=True)
    assert without
    assert all(torch.equal(value, within[key]) for key, value in without.items())


def still(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.0)
