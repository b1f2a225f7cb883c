"""What a person asks of a session and tells it, without a browser."""

import threading

import numpy as np
import pytest
import torch

from tests.conftest import eventually, make_session, tiny_cnn

__all__ = ["make_session"]  # of sessions with workers of their own


def test_explain_before_during_and_after_training(make_session):
    session = make_session(classes=["a", "b", "c", "d"])
    first = session.explain(7)
    assert first.model_step == 0
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 5)
    during = session.explain(np.int64(7))
    assert during.model_step > 0
    session.stop()
    after = session.explain(7)
    assert after.model_step == session.metrics["step"]
    for explanation in (first, during, after):
        assert explanation.map.shape == (32, 32)
        assert explanation.map.dtype == np.float32
        assert 0 <= explanation.map.min() <= explanation.map.max() <= 1
        assert sum(explanation.modality_focus.values()) == pytest.approx(1)
    overlays = session.events("overlay")
    assert {7} <= {e.data["index"] for e in overlays}
    assert (session.run.path / overlays[0].data["picture"]).is_file()


def test_explaining_gives_the_models_own_probabilities(make_session, shapes):
    session = make_session()
    session.train(epochs=1)
    session.wait(240)
    explanation = session.explain(11)
    model = session._backend.model.eval()
    with torch.no_grad():
        probabilities = model(torch.from_numpy(shapes.images[11:12])).softmax(1)[0].numpy()
    assert explanation.predicted == probabilities.argmax()
    assert explanation.top_probs[0] == pytest.approx(probabilities.max(), abs=1e-5)


def test_explaining_changes_nothing_in_the_kernel(make_session):
    session = make_session()
    model = session._backend.model
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.random.get_rng_state()
    session.explain(0)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_that_cannot_be_sent_trains_without_overlays(make_session):
    model = tiny_cnn()
    model.lock = threading.Lock()  # no process can be sent this
    session = make_session(model=model)
    session.train(epochs=1)
    assert session.wait(240)
    assert "overlays do not" in session.events("notice")[0].data["text"]
    with pytest.raises(RuntimeError, match="cannot be sent"):
        session.explain(0)


def test_feedback_changes_the_loss_and_undo_takes_it_back(make_session):
    session = make_session(config={"log_every": 1})
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    entry = session.feedback(sample=5, ignore=(0.0, 0.0, 0.3, 0.3), strength=0.8)
    assert entry.step == session.metrics["step"]
    record = session.events("intervention")[0]
    assert record.step == entry.step
    assert record.data["strokes"][0].kind == "ignore"
    assert "sample 5" in record.data["understood"]
    assert record.data["loss"]
    session.resume()
    eventually(lambda: session.metrics.get("guidance_loss"))
    session.pause()
    session.undo(entry)
    undone_at = session.metrics["step"]
    assert session.interventions[0].undone
    session.resume()
    eventually(lambda: session.metrics["step"] > undone_at + 3)
    session.stop()
    guided = [e.step for e in session.events("metrics") if "guidance_loss" in e.data["values"]]
    assert entry.step < min(guided)
    assert max(guided) <= undone_at


def test_guided_and_unguided_runs_end_in_different_weights(make_session):
    def weights(guide):
        session = make_session()
        if guide:
            session.feedback(sample=5, ignore=[(0, 0, 0.4, 0.4), (0.6, 0.6, 1, 1)])
        session.train(epochs=2)
        session.wait(240)
        return torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])

    plain = weights(guide=False)
    assert torch.equal(plain, weights(guide=False))
    assert not torch.equal(plain, weights(guide=True))


def test_an_instruction_is_echoed_and_anything_else_changes_nothing(make_session):
    session = make_session()
    entry = session.feedback(instruction="increase focus by 10%")
    assert "0.30 -> 0.40" in entry.understood
    with pytest.raises(ValueError, match="increase focus"):
        session.feedback(instruction="make it better")
    assert len(session.interventions) == 1
    assert len(session.events("intervention")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample": 256, "look": (0, 0, 1, 0.5)}, "indices go from 0 to 255"),
        ({"sample": 1, "look": (0, 0, 1.2, 1)}, "look"),
        ({"sample": 1, "ignore": (0.5, 0.5, 0.5, 0.9)}, "ignore"),
        ({"sample": 1, "look": (0, 0, 1, 0.5), "strength": 2}, "strength=2"),
        ({}, "feedback is empty"),
    ],
)
def test_bad_feedback_is_refused_and_leaves_no_trace(make_session, arguments, words):
    session = make_session()
    with pytest.raises(ValueError, match=words):
        session.feedback(**arguments)
    assert session.interventions == []
    assert session.events("intervention") == []


def test_a_failed_undo_changes_nothing(make_session, monkeypatch):
    session = make_session()
    entry = session.feedback(sample=5, ignore=(0, 0, 0.3, 0.3))

    def broken(state):
        raise OSError("the disk of the data is gone")

    with monkeypatch.context() as patch:
        patch.setattr(session._backend, "set_guidance", broken)
        with pytest.raises(OSError, match="disk of the data"):
            session.undo(entry)
    assert not session.interventions[0].undone
    session.undo(entry)
    assert session.interventions[0].undone
