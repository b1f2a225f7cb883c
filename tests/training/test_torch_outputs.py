"""Models that give more than their logits: which tensor counts, and what is said of the rest."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coflect_widget.backends.torch_outputs import logits_of

LOGITS, OTHER = torch.ones(2, 4), torch.zeros(2, 8)


@dataclass
class Named:
    logits: torch.Tensor


@dataclass
class Nameless:
    scores: torch.Tensor


Segmented = namedtuple("Segmented", ["aux", "out"])


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        Named(LOGITS),
        Segmented(OTHER, LOGITS),
        (LOGITS, OTHER),
        {"embedding": OTHER, "logits": LOGITS},
        {"aux": OTHER, "out": LOGITS},
        {"maps": torch.zeros(2, 8, 7, 7), "mask": torch.zeros(2, 8, dtype=torch.long), "y": LOGITS},
    ],
)
def test_the_logits_are_found_by_name_or_place(output):
    assert logits_of(output) is LOGITS


def test_what_could_be_meant_twice_or_not_at_all_is_named_with_the_remedy():
    with pytest.raises(ValueError, match=r'embedding, head.*call the right one "logits"'):
        logits_of({"embedding": OTHER, "head": LOGITS})
    with pytest.raises(TypeError, match=r'Nameless.*attribute "logits"'):
        logits_of(Nameless(LOGITS))


class Auxiliary(nn.Module):
    """Gives (main, auxiliary) in train mode, as Inception does."""

    def __init__(self):
        super().__init__()
        self.main, self.other = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, x):
        x = x.mean((2, 3))
        return (self.main(x), self.other(x)) if self.training else self.main(x)


def test_a_loss_of_ones_own_that_gets_the_logits_alone_is_told_so_once(make_session):
    def said(**arguments):
        session = make_session(Auxiliary(), config={"attribution": {"method": "smoothgrad"}},
                               **arguments)  # fmt: skip
        session.train(epochs=2)
        session.wait(60)
        texts = [event.data["text"] for event in session.events("notice")]
        return sum("more than logits" in text for text in texts)

    assert said(loss=lambda logits, targets: F.cross_entropy(logits, targets)) == 1
    assert said() == 0
