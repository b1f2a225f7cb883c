"""Maps of whole numbers are by what a model looks them up as, whatever else it looks up."""

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.torch.entry import Entry
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.methods import TorchWorkerModel
from coflect_widget.modalities.text import Text

WORDS = ["[PAD]", "[CLS]", *"abcdef"]
IDS = np.array([[1, 2, 5, 3, 0, 0]])


class Mean(nn.Module):
    """A linear one: what each word adds is known."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.places = nn.Embedding(6, 4)
        self.kinds = nn.Embedding(2, 4)
        self.words = nn.Embedding(len(WORDS), 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids):
        at = self.places(torch.arange(ids.shape[1]).expand(len(ids), -1))
        return self.head((self.words(ids) + at + self.kinds(torch.zeros_like(ids))).mean(1))


def added(model, target):
    """What each word of `IDS` adds to the logit."""
    words = model.words(torch.from_numpy(IDS))[0]
    return (words @ model.head.weight[target] / IDS.shape[1]).detach().numpy()


def test_the_module_is_found_whose_rows_the_numbers_are():
    model = Mean()
    x = torch.from_numpy(IDS)
    assert Entry(model).find(x, model) is model.words
    assert Entry(model).rows(x, model) == len(WORDS)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    # also where a number has no row, so that this can be said
    assert Entry(model).find(x + 99, model) is model.words


@pytest.mark.parametrize("target", [0, 2])
def test_a_map_is_what_each_word_adds_and_nothing_for_what_is_no_word(target):
    model = Mean().eval()
    explainer = ModelExplainer(TorchWorkerModel(model, {}, set()))
    for seed in (0, 1):
        found = explainer.explain(
            IDS, target, ["integrated", "smoothgrad"], 16, 0.15, None, seed, Text(WORDS)
        )
        wanted = np.maximum(added(model, target), 0) * (IDS[0] > 1)
        assert wanted.any()
        # of a linear model the gradient is the same everywhere, whatever the noise
        assert np.allclose(found["integrated"], wanted, atol=1e-6)
        assert np.allclose(found["smoothgrad"], wanted, atol=1e-6)
        assert found["integrated"].dtype == np.float32
    assert found["probabilities"].shape == (3,)


def test_a_gradient_by_what_is_given_in_the_place_of_what_is_looked_up():
    model = Mean().eval()
    gradients = TorchGradients(model)
    x = torch.from_numpy(IDS)
    entered = gradients.entered(x)
    assert torch.equal(entered, model.words(x))
    logits, gradient = gradients.entry_gradient(
        x, torch.cat([entered, 0 * entered]), lambda logits: logits[:, 1].sum()
    )
    assert torch.allclose(logits[:1], model(x))
    assert not torch.allclose(logits[1:], model(x))
    assert torch.allclose(gradient, (model.head.weight[1] / IDS.shape[1]).expand(2, 6, 4))
    assert torch.equal(gradients.logits(x), model(x))  # nothing stays
