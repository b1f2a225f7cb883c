"""Models that give more than their logits: which tensor counts, and what is said of the rest."""

import copy
import re
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.backends.torch.tap import ForwardTap
from tests.backends.torch_parts import backend, losses_of, pictures

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
        session.wait(240)
        texts = [event.data["text"] for event in session.events("notice")]
        return sum("more than logits" in text for text in texts)

    assert said(loss=lambda logits, targets: F.cross_entropy(logits, targets)) == 1
    assert said() == 0


# --- which member of an output is the logits -----------------------------------------------------

IMAGES, LABELS = pictures(classes=3)
Pair = namedtuple("Pair", ["embedding", "scores"])


class Members(nn.Module):
    """Gives features and logits in the form that `form` makes of them."""

    def __init__(self, form, features=32, outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, features, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(features, outputs)
        self.form = form

    def forward(self, x):
        features = self.body(x)
        return self.form(self, features, self.head(features))


PLAIN = Members(lambda _, features, logits: logits)
FORMS = {
    "(features, logits)": lambda _, f, z: (f, z),
    "[logits, features]": lambda _, f, z: [z, f],
    "(features, logits, map)": lambda _, f, z: (f, z, f[:, :, None, None]),
    "named tuple": lambda _, f, z: Pair(f, z),
    "mapping": lambda _, f, z: {"embedding": f, "scores": z},
    "(features, logits) in train mode alone": lambda m, f, z: (f, z) if m.training else z,
    "softmax first": lambda _, f, z: (z.softmax(1), z),
    "logits and log_softmax": lambda _, f, z: (z, z.log_softmax(1), f),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_logits_are_trained_whichever_member_they_are(form):
    expected = losses_of(backend((IMAGES, LABELS), model=copy.deepcopy(PLAIN)))
    engine = backend((IMAGES, LABELS), model=Members(form))
    assert engine.num_classes == 3
    losses, weights = losses_of(engine)
    assert losses == expected[0]
    assert all(torch.equal(a, b) for a, b in zip(weights, expected[1], strict=True))


def test_what_was_taken_for_the_logits_is_said_where_it_could_have_been_another():
    [said] = backend((IMAGES, LABELS), model=Members(FORMS["(features, logits)"])).assumptions
    assert "[0] with 32 columns, [1] with 3 columns; [1] with 3 columns was taken" in said
    only = Members(lambda _, f, z: (z, f[:, :, None, None]))
    assert backend((IMAGES, LABELS), model=only).assumptions == []


@pytest.mark.parametrize(
    ("form", "features"),
    [
        (lambda _, f, z: (f, z), 3),  # both could be it
        (lambda _, f, z: (z, z.flip(1)), 32),
        (lambda _, f, z: {"a": f, "b": z}, 3),
        (lambda _, f, z: [f, f.repeat(1, 2)], 32),  # neither is as wide as the labels
    ],
)
def test_what_could_be_either_is_refused_with_a_way_that_works(form, features):
    model = Members(form, features)
    with pytest.raises(ValueError, match=r"more than one of them could.*wrap the model") as refused:
        backend((IMAGES, LABELS), model=model)
    member = eval(re.search(r"return self\.model\(x\)(\[.*\])", str(refused.value))[1])[0]

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x)[member]

    assert losses_of(backend((IMAGES, LABELS), model=Wrapped()))[0]


def test_classes_decide_between_members():
    wide = Members(FORMS["(features, logits)"], outputs=10)
    with pytest.raises(ValueError, match=r"name the classes, classes=\[\.\.\.\], or wrap"):
        backend((IMAGES, LABELS), model=wide)
    assert backend((IMAGES, LABELS), model=wide, num_classes=10).num_classes == 10
    with pytest.raises(ValueError, match="none of them has 7 outputs"):
        backend((IMAGES, LABELS), model=wide, num_classes=7)


def test_the_values_of_a_regression_decide_too():
    targets = IMAGES.mean((1, 2, 3))
    model = Members(FORMS["(features, logits)"], outputs=1)
    engine = backend((IMAGES, targets), model=model, loss=nn.MSELoss())
    before = model.head.weight.clone()
    losses_of(engine)
    assert not torch.equal(before, model.head.weight)


def test_guidance_maps_and_other_loops_read_the_same_member(make_session):
    model = Members(FORMS["(features, logits)"])
    session = make_session(model, (IMAGES, LABELS))
    explanation = session.explain(2)
    with torch.no_grad():
        wanted = model.eval()(torch.from_numpy(IMAGES[2:3]))[1].softmax(1)
    assert explanation.top_probs[0] == pytest.approx(wanted.max().item(), abs=1e-5)
    assert explanation.map.any()
    tap = ForwardTap(model)
    model.train()(torch.from_numpy(IMAGES[:4]))
    assert tap.logits.shape == (4, 3)
    tap.remove()
    session.feedback(sample=2, look=(0.2, 0.2, 0.8, 0.8))
    session.train(epochs=2)
    assert session.wait(240)


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 16)), "Flatten"),
        (nn.Conv2d(3, 3, 1), r"task='segmentation'.*AdaptiveAvgPool2d\(1\)"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(256, 5)), "class token or their mean"),
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 1), nn.Flatten(0)), "leave out squeeze"),
    ],
)
def test_outputs_of_other_dimensions_come_with_what_mends_them(model, remedy):
    with pytest.raises(ValueError, match=rf"must give logits \(1, classes\).*{remedy}"):
        backend((IMAGES, LABELS), model=model)
