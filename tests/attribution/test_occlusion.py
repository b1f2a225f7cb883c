"""Occlusion of words: as computed by hand, and as a session's method."""

import numpy as np
import torch

import coflect_widget as coflect
from coflect_widget.attribution.occlusion import occlusion
from tests.modalities.text_models import made

LENGTH = 12


def test_each_word_is_taken_out_alone():
    data = coflect.data.reviews(8, LENGTH)
    kind = coflect.Text(data.words).numbered(len(data.words))
    weights = np.random.default_rng(0).normal(size=len(data.words)).astype(np.float32)

    def outputs(rows):
        score = weights[rows].sum(1)
        return np.stack([-score, score], 1)

    for x in data.ids.astype(np.int64):
        found = occlusion(outputs, x[None], 1, kind)
        wanted = np.maximum(weights[x] - weights[kind.words.nothing], 0)
        wanted[np.isin(x, kind.special)] = 0
        assert np.allclose(found, wanted, atol=1e-5)
        assert found.any()


def test_a_session_shows_it(make_session):
    data = coflect.data.reviews(400, LENGTH, leak=0.97)
    model = made("convolutions", data)
    session = make_session(
        model, (data.ids, data.labels), tokenizer=data.words, batch_size=40,
        optimizer=torch.optim.Adam(model.parameters(), 0.005),
        config={"attribution": {"method": "occlusion"}},
    )  # fmt: skip
    session.train(epochs=4)
    session.wait(240)
    at = [int(k) for k in np.flatnonzero(data.decoy >= 0)[:4]]
    found = [session.explain(k) for k in at]
    assert {each.method for each in found} == {"occlusion"}
    assert all(np.array_equal(each.map, each.livecam) for each in found)
    assert (
        np.mean([each.map.argmax() == data.decoy[k] for k, each in zip(at, found, strict=True)])
        > 0.7
    )
