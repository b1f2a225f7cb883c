"""The last layer fitted again on held-out samples: a remedy, an entry of the ledger, and proved."""

import numpy as np
import pytest
import torch

import coflect_widget as coflect
from coflect_widget.backends.last_layer import Linear
from coflect_widget.backends.torch.last_layer import TorchLastLayer
from coflect_widget.records.checkpoint_files import read_checkpoint
from coflect_widget.studies.refit import Rows, figures, fitted, halves, importance, shuffled
from tests.conftest import tiny_cnn
from tests.studies.test_proof import cheating


def tempted(count, seed):
    """Rows of a weak cue that is right and a strong one that is right in 95 of 100."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    hints = np.where(rng.random(count) < 0.95, labels, 1 - labels)
    weak, strong = 2 * labels - 1 + 0.5 * rng.normal(size=count), 4.0 * (2 * hints - 1)
    noise = rng.normal(size=count)
    return Rows(np.stack([weak, strong, noise], 1).astype(np.float32), labels)


@pytest.mark.parametrize("bias", [np.zeros(2, np.float32), None], ids=["bias", "no bias"])
def test_rows_that_contradict_a_shortcut_cure_the_layer(bias):
    layer = Linear(np.array([[-0.1, -2, 0], [0.1, 2, 0]], np.float32), bias)
    some, rest = halves(layer, tempted(600, 0), 0)
    assert len(some) == len(rest) == 300
    weights = importance(layer, some)
    wrong = (some.features[:, 1] > 0) != some.labels
    assert weights[wrong].sum() == pytest.approx(150, abs=1)  # half of all weight
    assert weights.mean() == pytest.approx(1)
    cured = fitted(layer, some, weights)
    assert (cured.bias is None) == (bias is None)
    assert cured.weight[1, 0] > abs(cured.weight[1, 1])  # the weak cue is gone by now
    misled = rest.taken(np.flatnonzero((rest.features[:, 1] > 0) != rest.labels))
    assert figures(layer, misled)[0] == 0
    assert figures(cured, misled)[0] > 0.7
    other = shuffled(weights, some, 0)
    assert sorted(other) == pytest.approx(sorted(weights))
    assert not np.allclose(other, weights)


def test_where_nothing_contradicts_it_a_refit_is_refused():
    layer = Linear(np.array([[-5, 0, 0], [5, 0, 0]], np.float32), None)
    rows = Rows(np.array([[1.0, 0, 0], [-1, 0, 0]] * 40, np.float32), np.array([1, 0] * 40))
    with pytest.raises(ValueError, match="of 80 held-out samples the model has 0 wrong"):
        importance(layer, rows)
    rows.labels[:9] = 1 - rows.labels[:9]
    for seed in range(20):  # of few that contradict it no half has too few by chance
        some, rest = halves(layer, rows, seed)
        assert len(importance(layer, some)) + len(rest) == 80


def session_of(folder, **more):
    return coflect.Session(
        tiny_cnn(2), cheating(192, 1), cheating(240, 2, planted=False), run_dir=folder,
        batch_size=24, optimizer=lambda p: torch.optim.Adam(p, 3e-3),
        config={"attribution": {"budget": 0}, "guidance": {"effect_after": 0}}, **more,
    )  # fmt: skip


def state_of(session):
    return {k: v.clone() for k, v in session._backend.model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_refit_is_in_the_ledger_taken_back_and_gone_on_with(tmp_path):
    torch.manual_seed(0)
    with session_of(tmp_path) as session:
        session.train(epochs=4)
        assert session.wait(240)
        before, drawn = state_of(session), torch.get_rng_state()
        told = session.refit()
        after = state_of(session)
        moved = [name for name in before if not torch.equal(before[name], after[name])]
        layer = told.record.refit.layer
        assert moved == [f"{layer}.weight", f"{layer}.bias"]
        assert torch.equal(torch.get_rng_state(), drawn)
        assert told.understood.startswith("fit the last layer again on 120 held-out samples: acc")
        recorded = coflect.open_run(session.run.path).ledger.interventions
        assert [one.record.refit.layer for one in recorded] == [layer]  # on disk

        said = []
        proof = session.prove(told, seeds=3, say=said.append)
        with pytest.raises(ValueError, match="is a refit, whose proof trains no branches"):
            proof.keep("treated")
        assert said[0] == f"Proof of {told.id}: 3 last layers x 3 seeds; no step is trained."
        untreated, treated, _ = proof.branches
        assert (untreated.name, treated.name) == ("untreated", "treated")
        assert np.mean(treated.quality) > np.mean(untreated.quality)
        assert equal(state_of(session), after)

        session.undo(told)
        assert equal(state_of(session), before)
        assert session._parts.checkpoints.drain()
        newest = read_checkpoint(session.run.checkpoints.last).weights
        assert np.array_equal(newest[f"{layer}.weight"], before[f"{layer}.weight"].numpy())
        again = session.refit(data=cheating(240, 3, planted=False))
        now, run = state_of(session), session.run.path
        with pytest.raises(ValueError, match="at least 40"):
            session.refit(data=cheating(20, 3, planted=False))
        with pytest.raises(ValueError, match="there is no finding 'f9'"):
            session.refit("f9")
        assert equal(state_of(session), now)
    with session_of(tmp_path, resume=run) as session:
        assert equal(state_of(session), now)
        session.train(steps=1)
        assert session.wait(240)
        further = state_of(session)
        x, y = cheating(192, 1)
        for _ in session.loop([(x[:24], y[:24])], validate=False):  # of one's own
            session.observe(np.arange(24), torch.zeros(24, 2), torch.from_numpy(y[:24]))
        told = session.refit(data=(x, 1 - y))
        assert session.prove(told, seeds=2, say=lambda text: None).cost == 0
    # From before it, and made again at its step.
    start = coflect.open_run(run).checkpoints[f"before-{again.id}"]
    with session_of(tmp_path, resume=start) as session:
        assert equal(state_of(session), before)
        session.train(steps=1)
        assert session.wait(240)
        made_again = state_of(session)
        session.train(steps=10**6)
        with pytest.raises(RuntimeError, match="this session trains"):
            session.refit()
        session.stop()
        assert [one.undone for one in session.ledger.taken] == [True, False]
        with pytest.raises(ValueError, match=f"the training has gone on since {again.id}"):
            session.undo(again)
        with pytest.raises(ValueError, match=f"undo\\('{again.id}'\\) there"):
            session.prove(again)
    assert equal(made_again, further)  # bit for bit
    start = coflect.open_run(run).checkpoints[f"before-{again.id}"]
    with session_of(tmp_path, resume=start) as session:  # from before it, and without
        kept = [one.seq for one in session.run.checkpoints]
        session.undo(again.id)
        assert session._parts.checkpoints.drain()
        # One of now would not know of the undo.
        assert [one.seq for one in session.run.checkpoints] == kept
        session.train(steps=1)
        assert session.wait(240)
        name = f"{layer}.weight"
        moved = (state_of(session)[name] - before[name]).abs().max()
        assert moved < (further[name] - before[name]).abs().max() / 5
        assert [one.undone for one in session.ledger.taken] == [True, True]


@pytest.mark.slow
def test_a_refit_against_a_finding_answers_it_and_its_pull_falls(tmp_path):
    torch.manual_seed(0)
    with session_of(tmp_path) as session:
        session.train(epochs=6)
        assert session.wait(240)
        [finding, *_] = session.find_shortcuts()
        told = session.refit(finding)
        assert session.findings[0].answer == "wrong reason"
        assert session.findings[0].intervention == told.id == session.interventions[0].id
        assert told.record.refit.finding == finding.id
        untreated, treated, _ = session.prove(told, seeds=3, say=lambda text: None).branches
        assert np.mean(treated.pull) < np.mean(untreated.pull)


def test_a_model_without_a_last_linear_layer_is_refused(tmp_path):
    class Halved(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny_cnn(2)

        def forward(self, x):
            return self.inner(x) / 2

    with (
        coflect.Session(
            Halved(), cheating(64, 1), cheating(64, 2, planted=False), run_dir=tmp_path
        ) as session,
        pytest.raises(ValueError, match="no linear layer of the model gives its logits"),
    ):
        session.refit()


def tied(model):
    first = torch.nn.Linear(6, 6)
    first.weight = model[1].weight
    return torch.nn.Sequential(first, model)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda m: torch.nn.utils.weight_norm(m[1]), "are computed from other"),
        (lambda m: torch.nn.utils.parametrizations.weight_norm(m[1]), "are computed from other"),
        (lambda m: torch.nn.utils.spectral_norm(m[1]), "are computed from other"),
        (tied, "'1.1', shares its weights with '0'"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch, which finds weight_norm old
def test_weights_that_are_not_the_layers_own_are_refused(made, text):
    model = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Linear(6, 6))
    other = made(model)
    model = other if isinstance(other, torch.nn.Sequential) else model
    with pytest.raises(ValueError, match=text):
        TorchLastLayer(model, model, torch.from_numpy, np.ones((3, 6), np.float32))
