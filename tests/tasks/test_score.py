"""A score of the user's own beside a loss of the user's own: what maps and strokes are of."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from coflect_widget.tasks import OwnLoss
from tests.backends.torch_parts import Items
from tests.tasks.test_own_loss import BATCH, Language, losses_of, session_of, tokens

COUNT, SIDE = 96, 12


class Locator(nn.Module):
    """How far right the square is, as a detector says a box: in a dict."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(216, 1),
        )  # fmt: skip

    def forward(self, images):
        return {"left": self.body(images)[:, 0]}


def located():
    """A bright square, its place as a dict, and a corner that says the same."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (COUNT, 1, SIDE, SIDE)).astype(np.float32)
    left, top = rng.integers(0, 9, COUNT), rng.integers(0, 5, COUNT)
    for picture, a, b in zip(x[:, 0], left, top, strict=True):
        picture[b : b + 4, a : a + 4] += 1
        picture[10:, 10:] = a / 4 - 1
    return x, (left / 4 - 1).astype(np.float32)


def left_of(model, inputs):
    return model(inputs)["left"]


def test_maps_are_of_the_score_and_strokes_keep_it(tmp_path):
    x, left = located()
    items = [(torch.from_numpy(p), {"left": torch.tensor(y)}) for p, y in zip(x, left, strict=True)]
    data, model = Items(items), Locator()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    plain = x.copy()
    plain[:, 0, 10:, 10:] = 0

    def moved():
        """How far the score hangs on the corner, in parts of what it says."""
        with torch.no_grad():
            said, other = (left_of(model, torch.from_numpy(each)) for each in (x, plain))
        return float((said - other).abs().mean() / said.std())

    with session_of(tmp_path, data, model, optimizer=optimizer, score=left_of) as session:

        def train(epochs):
            loader = DataLoader(
                data, BATCH, shuffle=True, collate_fn=lambda rows: list(zip(*rows, strict=True))
            )
            for xs, ys in session.loop(loader, epochs=epochs):
                inputs = torch.stack(xs)
                wanted = torch.stack([y["left"] for y in ys])
                losses = (model(inputs)["left"] - wanted).square()
                session.observe(None, loss=losses)
                optimizer.zero_grad()
                loss = losses.mean()
                (loss + session.guidance_loss(inputs, None, loss)).backward()
                optimizer.step()

        train(10)
        before = moved()
        found = session.explain(5, 240)
        assert found.map.shape == (SIDE, SIDE)
        assert found.map[10:, 10:].mean() > 3 * found.map[:9].mean()
        assert found.top_probs == ()
        made = session.feedback(5, ignore=(0.8, 0.8, 1, 1), scope="everywhere")
        assert "fill" in made.record.loss
        train(10)
        assert session.metrics["guidance_loss"] > 0
        assert not session.events("failure") + session.events("lapsed")
        assert moved() < 0.4 * before
        with pytest.raises(ValueError, match="scope='class'"):
            session.feedback(5, ignore=(0, 0, 0.2, 0.2), scope="class")
        with pytest.raises(ValueError, match=r"torch\.stack\(inputs\)"):
            session._backend.guidance_term(
                list(torch.from_numpy(x[:4])), None, loss=1.0, indices=None
            )


def test_a_language_model_shows_the_words_that_its_score_hangs_on(tmp_path):
    torch.manual_seed(0)
    model = Language(1000)

    def surest(model, ids):  # of the last word
        return model(ids)[:, -1].max(1).values

    with session_of(tmp_path, tokens(1000), model, score=surest) as session:
        for batch in session.loop(DataLoader(tokens(1000), BATCH)):
            session.observe(None, loss=losses_of(model, batch["input_ids"]))
        found = session.explain(3, 240)
        assert found.map.shape == (33,)
        assert found.map.argmax() == 32  # the model reads one word at a time


def test_a_loss_below_zero_gives_strokes_their_strength(tmp_path):
    x, left = located()
    model = Locator()
    inputs, wanted = torch.from_numpy(x[:BATCH]), torch.from_numpy(left[:BATCH])
    with session_of(tmp_path, Items([{"image": one} for one in x]), model, score=left_of) as made:
        backend = made._backend
        first = (left_of(model, inputs) - wanted).square().detach() - 5  # a log-density, say
        backend.observed(BATCH, None, None, torch.full((BATCH,), torch.inf))
        assert backend._at_first is None
        backend.observed(BATCH, None, None, first)
        backend.observed(BATCH, None, None, 9 * first)
        assert backend._at_first == pytest.approx(-float(first.mean()))
        made.feedback(5, ignore=(0.8, 0.8, 1, 1), scope="everywhere")
        added = [torch.as_tensor(made.guidance_loss(inputs, None, first.mean())) for _ in range(4)]
        assert max(added) > 0
        assert backend.state({}).rest["at_first"] == backend._at_first


def test_first_losses_of_0_are_no_scale_for_strokes(tmp_path):
    x, left = located()
    model = Locator()
    inputs, wanted = torch.from_numpy(x[:BATCH]), torch.from_numpy(left[:BATCH])
    with session_of(tmp_path, Items([{"image": one} for one in x]), model, score=left_of) as made:
        backend = made._backend
        made.feedback(5, ignore=(0.8, 0.8, 1, 1), scope="everywhere")
        losses = (left_of(model, inputs) - wanted).square().detach()
        strengths = []
        for weight in (0, 0, 1, 0.001):  # as of a weight that warms up
            backend.observed(BATCH, None, None, weight * losses)
            strengths.append(backend.guided().ops.ignorance(None))
        assert strengths == pytest.approx([0, 0, *[float(losses.mean())] * 2])
        nothing = torch.tensor(0.0)
        added = [torch.as_tensor(made.guidance_loss(inputs, None, nothing)) for _ in range(4)]
        assert max(added) > 0


def test_a_scored_loss_of_ones_own_goes_on_as_if_it_had_never_been_interrupted(tmp_path):
    x, left = located()
    data = Items([{"image": one, "left": y} for one, y in zip(x, left, strict=True)])
    config = {"forecast": {"probes": 0, "horizon_epochs": 1}, "log_every": 2}

    def begun(folder, **more):
        model = Locator()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        more |= {"config": config, "optimizer": optimizer, "score": left_of}
        return session_of(tmp_path / folder, data, model, **more)

    def train(session, epochs):
        model, optimizer = session._backend.model, session._backend.optimizer
        for batch in session.loop(DataLoader(data, BATCH), epochs=epochs):
            inputs = batch["image"]
            losses = (model(inputs)["left"] - batch["left"]).square()
            session.observe(None, loss=losses)
            optimizer.zero_grad()
            loss = losses.mean()
            (loss + session.guidance_loss(inputs, None, loss)).backward()
            optimizer.step()

    def half(session):
        train(session, 2)
        session.feedback(5, ignore=(0.8, 0.8, 1, 1), scope="everywhere")
        train(session, 1)

    def outcome(session):
        forecaster, backend = session._parts.forecaster, session._backend
        forecaster.drain(30)
        return {
            "weights": [w.tolist() for w in backend.model.state_dict().values()],
            "moments": [backend.optimizer.state[w]["exp_avg"].tolist()
                        for w in backend.model.parameters()],
            "at first": backend._at_first,
            "usual": backend.task.recent.threshold,
            "margins": forecaster.store.margin_mean.tolist(),
            "queue": [(one.index, one.risk, one.reason) for one in session.candidates],
            "said": [(one.id, one.step, one.understood) for one in session.interventions],
            "logged": np.nan_to_num(session.run.scalars()["guidance_loss"]).tolist(),
            "at": (session.metrics["step"], session.metrics["epoch"]),
        }  # fmt: skip

    with begun("whole") as whole:
        half(whole)
        train(whole, 2)
        wanted = outcome(whole)
    assert wanted["at first"] > 0
    assert max(wanted["logged"]) > 0
    with begun("cut") as first:
        half(first)
    with begun("cut", resume=first.run) as resumed:
        assert resumed._backend._at_first == wanted["at first"]
        train(resumed, 2)
        found = outcome(resumed)
        assert {k: v for k, v in found.items() if v != wanted[k]} == {}


def broken(model, inputs):
    raise RuntimeError("no head called boxes")


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (broken, r"raises RuntimeError: no head called.*score\(model, inputs\) with the model"),
        (lambda model, x: model(x)["left"][:, None], r"gave a tensor of shape \(2, 1\).*\[:, 0\]"),
        (lambda model, x: model(x)["left"].mean(), r"shape \(\) for inputs of shape \(2, 1, "),
        (lambda model, x: model(x), "gave a dict for inputs"),
        (lambda model, x: (model(x)["left"] > 0).long(), "give floats"),
        (lambda model, x: model(x)["left"].detach(), r"no gradient by its inputs.*without detach"),
    ],
)  # fmt: skip
def test_a_score_that_cannot_be_had_is_refused_before_anything_starts(tmp_path, score, words):
    x, _ = located()
    model = Locator()
    model.body[0].eval()
    with pytest.raises(ValueError, match=words):
        session_of(tmp_path, Items([{"image": one} for one in x]), model, score=score)
    assert not (tmp_path / "runs").exists()
    assert model.training
    assert not model.body[0].training


def test_a_score_is_for_what_is_drawn_and_for_losses_alone(tmp_path, make_session):
    with pytest.raises(ValueError, match="score= is for samples that can be drawn"):
        session_of(tmp_path, Items([{"size": k} for k in range(9)]), score=left_of)
    with pytest.raises(TypeError, match="cannot be called; pass a function"):
        session_of(tmp_path, tokens(300), score="left")
    with pytest.raises(TypeError, match=r"score= is not for this model.*task='own_loss'"):
        make_session(score=left_of)
    task = pickle.loads(pickle.dumps(OwnLoss(0.7, 90, scored=True)))
    assert (task.guidable, task.samples, task.recent.quantile) == (True, 90, 0.7)
