"""Libraries that save checkpoints of their own: what is the session's goes with them."""

import warnings

import numpy as np
import pytest
import torch

from tests.conftest import tiny_cnn
from tests.integrations.test_callbacks import lit_module, loader_of, pairs, tiny_vit, trainer_of

__all__ = ["pairs"]  # a fixture


def test_lightning_goes_on_from_its_own_checkpoint_and_the_session_from_the_same_step(
    make_session, pairs, tmp_path
):
    import lightning

    def fit(session, module, epochs, **more):
        trainer = lightning.Trainer(
            logger=False, default_root_dir=tmp_path / "lit", enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", max_epochs=epochs,
            callbacks=[
                session.lightning_callback(),
                lightning.pytorch.callbacks.ModelCheckpoint(tmp_path / "lit", save_top_k=-1),
            ],
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(module, loader_of(pairs), **more)
        return trainer

    module = lit_module(tiny_cnn())
    session = make_session(model=module.model)
    fit(session, module, 2)
    session.feedback(sample=3, ignore=(0, 0, 0.3, 0.3))
    session.close()
    steps = {one.step for one in session.run.checkpoints}
    assert steps == {8, 16}  # with each of Lightning's
    again = lit_module(tiny_cnn(seed=5))
    resumed = make_session(model=again.model, resume=session.run)
    assert resumed.metrics["step"] == 16
    [file] = (tmp_path / "lit").glob("epoch=0*.ckpt")
    trainer = fit(resumed, again, 3, ckpt_path=file, weights_only=False)
    # Lightning was told to go back to its first epoch's end, and the session has gone with it.
    assert trainer.global_step == resumed.metrics["step"] == 24
    assert resumed.metrics["epoch"] == 3
    assert [event.step for event in resumed.events("resumed")] == [16, 8]
    assert resumed._parts.steering.ledger.state().strokes
    resumed._parts.forecaster.drain(30)
    assert (resumed._parts.forecaster.store.times_seen == 3).all()


@pytest.mark.slow
def test_transformers_goes_on_from_its_own_checkpoint_with_what_is_known(
    make_session, pairs, tmp_path
):
    model = tiny_vit()
    session = make_session(model=model)
    more = {"save_strategy": "steps", "save_steps": 4, "num_train_epochs": 2}
    folder = tmp_path / "hf"

    def trainer(session, model, **more):
        return trainer_of(model, pairs, [session.transformers_callback()], folder, **more)

    torch.manual_seed(0)
    trainer(session, model, **more).train()
    known = session._parts.forecaster.store.times_seen.copy()
    session.close()
    fresh = tiny_vit()
    resumed = make_session(model=fresh, resume=session.run)
    assert np.array_equal(resumed._parts.forecaster.store.times_seen, known)
    torch.manual_seed(0)
    trainer(resumed, fresh, **{**more, "num_train_epochs": 3}).train(resume_from_checkpoint=True)
    assert (resumed.metrics["step"], resumed.metrics["epoch"]) == (24, 3)
    resumed._parts.forecaster.drain(30)
    assert (resumed._parts.forecaster.store.times_seen == 3).all()
