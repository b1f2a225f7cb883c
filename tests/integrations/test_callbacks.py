"""Callbacks against the real libraries: a pause, a stroke and a stop in mid-training."""

import logging
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from tests.conftest import eventually, tiny_cnn
from tests.one_worker import BUSY
from tests.training.test_own_loop import Person


@pytest.fixture(scope="module")
def pairs(shapes):
    return TensorDataset(torch.from_numpy(shapes.images), torch.from_numpy(shapes.labels))


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny models wait for each other's threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def steer(session):
    """What a person does in mid-training; ends it."""
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    assert session.state == "paused"
    held = session.metrics["step"]
    given = session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3))
    assert "fill" in given.record.loss
    assert session.explain(3).map.shape == (32, 32)
    assert session.metrics["step"] == held
    session.resume()
    eventually(lambda: (session.metrics.get("guidance_loss") or 0) > 0)
    session.stop()


def check_steered(session):
    assert session.state == "stopped"
    states = [e.data["state"] for e in session.events("state")]
    assert states == ["training", "paused", "training", "stopped"]


def check_whole(session, shapes, steps, epochs):
    assert session.state == "finished"
    assert (session.metrics["step"], session.metrics["epoch"]) == (steps, epochs)
    session.wait(240)
    store = session._parts.forecaster.store
    assert store.seen.all()
    assert np.array_equal(store.target, shapes.labels)  # so the indices were right
    assert len(session.candidates) == 10
    assert "val_accuracy" in session.metrics


# --- Lightning ---------------------------------------------------------------------------------


def lit_module(model):
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, number):
            loss = F.cross_entropy(self.model(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return Lit()


def fit(module, loader, callbacks, **more):
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", callbacks=callbacks, **more,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader)
    return trainer


def loader_of(pairs, **more):
    return DataLoader(pairs, batch_size=32, shuffle=True, **more)


def test_lightning_has_metrics_a_forecast_and_validation(make_session, shapes, pairs):
    module = lit_module(tiny_cnn())
    session = make_session(model=module.model, val=shapes, config={"forecast_every": 4})
    loader = loader_of(pairs)
    sampler = loader.batch_sampler
    fit(module, loader, [session.lightning_callback()], max_epochs=2)
    check_whole(session, shapes, 16, 2)
    assert loader.batch_sampler is sampler
    assert not module.model._forward_hooks


def test_lightning_is_held_guided_and_stopped(make_session, pairs):
    module = lit_module(tiny_cnn())
    session = make_session(model=module.model)
    person = Person(session, lambda: steer(session))
    trainer = fit(module, loader_of(pairs), [session.lightning_callback()], max_epochs=10_000)
    person.done()
    check_steered(session)
    assert trainer.global_step < 10_000


def test_lightning_trains_the_same_with_a_session_as_without(make_session, pairs):
    def weights(with_session):
        torch.manual_seed(3)
        module = lit_module(tiny_cnn())
        callbacks = []
        if with_session:
            session = make_session(model=module.model, config=BUSY)
            callbacks = [session.lightning_callback()]
        torch.manual_seed(4)
        fit(module, loader_of(pairs), callbacks, max_epochs=2)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    assert torch.equal(weights(True), weights(False))


def test_lightnings_guidance_is_that_of_a_bare_loop(make_session, pairs):
    """One step from the same weights on the same rows."""
    loader = DataLoader(Subset(pairs, range(32)), batch_size=32)
    weights = []
    for library in (True, False):
        module = lit_module(tiny_cnn())
        session = make_session(model=module.model)
        session.feedback(sample=3, ignore=(0, 0, 0.3, 0.3), look=(0.4, 0.4, 0.9, 0.9))
        if library:
            fit(module, loader, [session.lightning_callback()], max_epochs=1)
        else:
            optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
            for x, y in session.loop(loader):
                logits = module.model(x)
                loss = F.cross_entropy(logits, y)
                session.observe(None, logits, y)
                (loss + session.guidance_loss(x, y, loss)).backward()
                optimizer.step()
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.allclose(*weights, atol=1e-6)


def test_an_exception_under_lightning_is_recorded(make_session, pairs):
    module = lit_module(tiny_cnn())
    session = make_session(model=module.model)
    module.on_train_batch_end = lambda *_: 1 // 0
    with pytest.raises(ZeroDivisionError):
        fit(module, loader_of(pairs), [session.lightning_callback()], max_epochs=1)
    assert session.state == "failed"
    assert "ZeroDivisionError" in session.events("failure")[0].data["error"]


def test_another_model_than_the_sessions_is_refused(make_session, pairs):
    session = make_session()
    with pytest.raises(ValueError, match="session's model is neither"):
        fit(lit_module(tiny_cnn()), loader_of(pairs), [session.lightning_callback()], max_epochs=1)
    assert session.state == "idle"


# --- transformers ------------------------------------------------------------------------------


class Items(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        x, y = self.pairs[index]
        return {"pixel_values": x, "labels": y}


def tiny_vit():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48,
            image_size=32, patch_size=4, num_labels=4,
        )
    )  # fmt: skip


def trainer_of(model, pairs, callbacks, folder, **more):
    from transformers import PrinterCallback, Trainer, TrainingArguments

    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=32, learning_rate=1e-3, use_cpu=True,
        report_to=[], disable_tqdm=True, logging_strategy="no",
        **{"save_strategy": "no", **more},
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Items(pairs), callbacks=callbacks)
    trainer.remove_callback(PrinterCallback)
    return trainer


def test_transformers_has_metrics_a_forecast_and_validation(make_session, shapes, pairs, tmp_path):
    model = tiny_vit()
    session = make_session(model=model, val=shapes, config={"forecast_every": 4})
    callback = session.transformers_callback()
    trainer_of(model, pairs, [callback], tmp_path, num_train_epochs=2).train()
    check_whole(session, shapes, 16, 2)
    assert not model._forward_hooks


def test_transformers_is_held_guided_and_stopped(make_session, pairs, tmp_path):
    model = tiny_vit()
    session = make_session(model=model)
    callback = session.transformers_callback()
    trainer = trainer_of(model, pairs, [callback], tmp_path, num_train_epochs=10_000)
    person = Person(session, lambda: steer(session))
    trainer.train()
    person.done()
    check_steered(session)
    assert trainer.state.global_step == session.metrics["step"]


def test_transformers_trains_the_same_with_a_session_and_accumulates(make_session, pairs, tmp_path):
    def weights(with_session):
        model = tiny_vit()
        session = make_session(model=model, config=BUSY)
        callbacks = [session.transformers_callback()] if with_session else []
        trainer_of(
            model, pairs, callbacks, tmp_path, num_train_epochs=1, gradient_accumulation_steps=2
        ).train()
        if with_session:
            assert session.metrics["step"] == 8  # each small batch counts
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(True), weights(False))
