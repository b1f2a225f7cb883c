"""Series of several lengths: filled up with 0 at their ends, in which no map lies."""

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.data import signals
from coflect_widget.modalities import SERIES
from tests.modalities.test_series import LENGTH


class Masked(nn.Module):
    """Recurrence, or attention on single steps, averaged over the steps that are there."""

    def __init__(self, attention):
        super().__init__()
        torch.manual_seed(0)
        self.attention = attention
        if attention:
            self.first = nn.Conv1d(2, 16, 7, padding=3)
            layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
            self.inner = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        else:
            self.inner = nn.LSTM(2, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        there = (x != 0).any(1)
        if self.attention:
            steps = torch.relu(self.first(x)).transpose(1, 2)
            steps = self.inner(steps, src_key_padding_mask=~there)
        else:
            steps = self.inner(x.transpose(1, 2))[0]
        there = there[..., None].float()
        return self.head((steps * there).sum(1) / there.sum(1).clamp(1))


@pytest.mark.parametrize("attention", [False, True])
def test_each_is_trained_shown_and_marked_as_long_as_it_is(make_session, attention):
    data = signals(120)
    lengths = np.random.default_rng(0).integers(70, LENGTH, 120)
    lengths[7] = LENGTH
    items = [
        (torch.from_numpy(x[:, :n]), int(y))
        for x, y, n in zip(data.series, data.labels, lengths, strict=True)
    ]
    shorter = [(x[:, :70], y) for x, y in items[:40]]
    session = make_session(Masked(attention), items, shorter, batch_size=30)
    assert session._parts.modality.name == "series"
    said = " ".join(session._backend.assumptions)
    assert f"Series of train_data have {lengths.min()} to {LENGTH} places" in said
    assert session._backend.read_val_sample(0).input.shape == (2, LENGTH)
    assert "fill" in session.feedback(sample=7, ignore=(20, 37)).record.loss
    session.feedback(sample=3, look=(0.1, 0.3))
    session.train(epochs=2)
    session.wait(240)
    assert not session.events("lapsed")
    assert "val_accuracy" in session.metrics
    found = session.explain(3)
    assert found.map.shape == (2, LENGTH)
    assert found.map.any()
    assert (found.smoothgrad[:, lengths[3] :] == 0).all()


def test_what_fills_a_series_up_has_no_part_in_a_map():
    x = np.random.default_rng(0).normal(size=(3, 2, 20)).astype(np.float32) + 5
    ones = np.ones_like(x)
    filled = np.array(SERIES.filled(x, 30))
    assert filled.shape == (3, 2, 30)
    assert (filled[..., 20:] == 0).all()
    found = SERIES.to_units(np.ones_like(filled), filled)
    assert np.allclose(found[..., :20], SERIES.to_units(ones, x), atol=1e-5)
    assert (found[..., 20:] == 0).all()
    inside = x.copy()
    inside[:, :, 4:9] = 0  # a pause within is none of it
    assert (SERIES.to_units(ones, inside)[..., 4:9] > 0).all()
    tensor = torch.from_numpy(filled)
    assert np.allclose(SERIES.to_units(torch.ones_like(tensor), tensor).numpy(), found, atol=1e-5)
