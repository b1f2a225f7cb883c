"""Whole numbers as inputs: which ones a model is given, and what that costs a step."""

import inspect
from dataclasses import dataclass
from types import MethodType

import pytest
import torch
from torch import nn

from coflect_widget.backends.torch import outputs
from coflect_widget.backends.torch.numbers import apart, call, numbers_of, takes_mask


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)

    def forward(self, ids):
        return self.embedding(ids).mean(1)


class MaskedReader(Reader):
    def forward(self, ids, attention_mask=None):
        return (self.embedding(ids) * attention_mask[..., None]).sum(1)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_numbers_that_are_left_out_are_kept_as_their_complement(dtype):
    wanted = torch.tensor([[0, 1, 127], [5, 0, 127]], dtype=dtype)
    counts = torch.tensor([[1, 1, 0], [1, 0, 0]])
    kept = torch.where(counts.bool(), wanted, ~wanted)
    numbers, mask = apart(kept)
    assert torch.equal(numbers, wanted)
    assert numbers.dtype == dtype
    assert torch.equal(mask, counts)


@pytest.mark.parametrize("given", [torch.tensor([3, 255], dtype=torch.uint8), torch.tensor([True])])
def test_numbers_without_a_sign_are_all_given(given):
    assert torch.equal(numbers_of(given), given)


def test_a_model_that_takes_a_mask_is_given_it():
    kept = torch.tensor([[1, 2, ~0], [3, ~0, ~0]])
    numbers, mask = torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[1, 1, 0], [1, 0, 0]])
    masked, plain = MaskedReader(), Reader()
    assert torch.equal(call(masked, kept), masked(numbers, mask))
    assert torch.equal(call(plain, kept), plain(numbers))


def test_a_step_reads_no_signature(monkeypatch):
    """That would take as long as a small layer."""
    model, ids = MaskedReader(), torch.zeros(2, 3, dtype=torch.int64)
    call(model, ids)
    read = []
    monkeypatch.setattr(
        outputs.inspect, "signature", lambda f: read.append(f) or inspect.Signature()
    )
    call(model, ids)
    assert takes_mask(MaskedReader())
    assert not read


def test_a_forward_of_the_instance_is_read_as_it_is():
    model = Reader()
    assert not takes_mask(model)
    model.forward = lambda ids, attention_mask: ids
    assert takes_mask(model)
    assert not takes_mask(Reader())


@dataclass
class Bound:
    """Without a hash, because it can be compared."""

    names: str = ""

    def __call__(self, ids, attention_mask):
        return ids


def test_a_forward_bound_to_an_object_is_read_too():
    model = Reader()
    model.forward = MethodType(Bound(), model)
    assert takes_mask(model)
