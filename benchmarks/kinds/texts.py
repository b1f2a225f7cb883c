"""Real texts with a planted word: how well maps find it, and how well strokes cure a model of it.

    python benchmarks/kinds/texts.py --data DIR --seeds 0 1 2 --nets convolutions transformer

DIR has ``movieReviewSnippets_GroundTruth.txt``: snippets of reviews rated from -4 to 4 (C. Hutto
and E. Gilbert, ICWSM 2014). Those above 0.4 are good and those below -0.4 bad. One of two words of
no meaning is put into each training snippet, at a random place: which one gives the class away.

Localisation: share of a map's mass on the planted word, and how often it is the strongest, over 200
test snippets with the word of their class, of a model that was trained with the words and of one
that was not. Rescue: accuracy on test snippets with either of the two words at random, and with
none, after six epochs; strokes come after two of them, each on the planted word of a snippet or,
wrong, on another of its words.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.attribution.consensus import normalise
from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.torch.methods import TorchWorkerModel

LENGTH, TRAIN, EPOCHS, FIRST = 50, 7000, 6, 2
WORDS = 8000
PLANTED = ("qvist", "zorbel")  # for bad and good
STROKES = 5
Ids = NDArray[np.int64]


class Convolutions(nn.Module):
    """Words three at a time, and the strongest of them."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 64, padding_idx=0)
        self.layer = nn.Conv1d(64, 96, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(96, 2))

    def forward(self, ids: torch.Tensor) -> Any:
        seen = torch.relu(self.layer(self.embedding(ids).transpose(1, 2)))
        return self.head(seen.amax(2))


class Transformer(nn.Module):
    """Two layers of attention, and the mean over the words."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, 64), nn.Embedding(LENGTH, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 2)

    def forward(self, ids: torch.Tensor) -> Any:
        empty = ids == 0
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        x = self.layers(x, src_key_padding_mask=empty)
        kept = (~empty)[..., None].float()
        return self.head((x * kept).sum(1) / kept.sum(1))


NETS: dict[str, Any] = {"convolutions": Convolutions, "transformer": Transformer}


def read(folder: Path) -> tuple[list[list[str]], Ids]:
    """Snippets as words, and their classes."""
    texts, labels = [], []
    file = folder / "movieReviewSnippets_GroundTruth.txt"
    for line in file.read_text(encoding="latin-1").splitlines():
        _, rating, text = line.split("\t", 2)
        words = re.findall(r"[a-z']+", text.lower())
        if abs(float(rating)) > 0.4 and len(words) > 2:
            texts.append(words[: LENGTH - 1])
            labels.append(int(float(rating) > 0))
    return texts, np.array(labels)


def as_ids(
    texts: list[list[str]], known: dict[str, int], planted: list[str] | None, seed: int
) -> tuple[Ids, Ids]:
    """Ids (n, LENGTH), and where the planted word stands (n,)."""
    rng = np.random.default_rng(seed)
    ids, where = np.zeros((len(texts), LENGTH), np.int64), np.zeros(len(texts), np.int64)
    for k, text in enumerate(texts):
        words = list(text)
        if planted is not None:
            where[k] = rng.integers(len(words) + 1)
            words.insert(int(where[k]), planted[k])
        ids[k, : len(words)] = [known.get(word, 1) for word in words]
    return ids, where


def other_words(ids: Ids, planted: int) -> NDArray[np.bool_]:
    """Which places (LENGTH,) hold a word that is not the planted one."""
    others = ids != 0
    others[planted] = False
    return others


def accuracy(model: nn.Module, ids: Ids, labels: Ids) -> float:
    """Of a model in eval mode."""
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(torch.from_numpy(part)) for part in np.array_split(ids, 10)])
    return float((found.argmax(1).numpy() == labels).mean())


def trained(
    net: str, words: list[str], ids: Ids, labels: Ids, seed: int, strokes: list[dict[str, Any]]
) -> nn.Module:
    """A model after all epochs, with these strokes from the third on."""
    torch.manual_seed(seed)
    model: nn.Module = NETS[net](len(words))
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, (ids, labels), tokenizer=words, batch_size=64, run_dir=folder,
            optimizer=torch.optim.Adam(model.parameters(), 1e-3),
            config={"seed": seed, "guidance": {"effect_after": 0}},
        )  # fmt: skip
        session.train(epochs=FIRST)
        session.wait()
        for stroke in strokes:
            session.feedback(**stroke)
        session.train(epochs=EPOCHS - FIRST)
        session.wait()
        session.close()
    return model


def maps(
    model: nn.Module, words: list[str], ids: Ids, where: Ids, labels: Ids
) -> dict[str, tuple[float, float]]:
    """Of each map the share of its mass on the planted word, and how often it is the strongest."""
    text = coflect.Text(words)
    explainer = ModelExplainer(TorchWorkerModel(model.eval(), {}, set()))
    found: dict[str, list[tuple[float, bool]]] = {}
    for x, at, label in zip(ids, where, labels, strict=True):
        said = explainer.explain(
            x[None], int(label), ["integrated", "smoothgrad"], 32, 0.15, None, 0, text
        )
        one, two = normalise(said["integrated"]), normalise(said["smoothgrad"])
        drawn = {"integrated": one, "smoothgrad": two, "product": one * two,
                 "the default": one**1.5 * two**0.5}  # fmt: skip
        for name, values in drawn.items():
            share = float(values[at] / values.sum()) if values.any() else 0.0
            found.setdefault(name, []).append((share, bool(values.argmax() == at)))
    return {name: tuple(np.mean(each, axis=0)) for name, each in found.items()}


def main() -> None:
    """Print what each net and seed gives, and at the end the means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    chosen = parser.parse_args()
    print(describe())
    texts, labels = read(chosen.data)
    order = np.random.default_rng(0).permutation(len(texts))
    train, test = order[:TRAIN], order[TRAIN:]
    counts = Counter(word for k in train for word in texts[k])
    common = [word for word, _ in counts.most_common(WORDS)]
    words = ["[PAD]", "[UNK]", *PLANTED, *common]
    known = {word: k for k, word in enumerate(words)}
    learned, asked = [texts[k] for k in train], [texts[k] for k in test]
    accuracies: dict[tuple[str, str], list[list[float]]] = {}
    shares: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for net in chosen.nets:
        for seed in chosen.seeds:
            rng = np.random.default_rng(seed)
            ids, where = as_ids(learned, known, [PLANTED[y] for y in labels[train]], seed)
            plain, _ = as_ids(learned, known, None, seed)
            either = [PLANTED[k] for k in rng.integers(2, size=len(test))]
            random, _ = as_ids(asked, known, either, seed)
            without, _ = as_ids(asked, known, None, seed)
            own, places = as_ids(asked, known, [PLANTED[y] for y in labels[test]], seed)
            drawn = rng.choice(len(ids), STROKES, replace=False)
            strokes = [
                {"sample": int(k), "ignore": (int(where[k]), int(where[k]) + 1)} for k in drawn
            ]
            wrong = [
                {"sample": int(k), "ignore": (place, place + 1)}
                for k in drawn
                for place in [int(rng.choice(np.flatnonzero(other_words(ids[k], where[k]))))]
            ]
            print(f"{net}, seed {seed}")
            for name, given, told in (
                ("no plant", plain, []), ("not guided", ids, []),
                ("five strokes", ids, strokes), ("five wrong strokes", ids, wrong),
            ):  # fmt: skip
                model = trained(net, words, given, labels[train], seed, told)
                scores = [accuracy(model, x, labels[test]) for x in (random, without)]
                accuracies.setdefault((net, name), []).append(scores)
                print(f"  {name}: random {scores[0]:.3f}, without {scores[1]:.3f}", flush=True)
                if name in ("no plant", "not guided"):
                    shown = maps(model, words, own[:200], places[:200], labels[test][:200])
                    for method, (mass, strongest) in shown.items():
                        shares.setdefault((net, name, method), []).append((mass, strongest))
                        print(f"    {method}: mass {mass:.2f}, strongest {strongest:.2f}")
    if len(chosen.seeds) > 1:
        print(f"means of {len(chosen.seeds)} seeds")
        for (net, name), each in accuracies.items():
            random, without = np.mean(each, axis=0)
            print(f"  {net}, {name}: random {random:.3f}, without {without:.3f}")
        for (net, name, method), found in shares.items():
            mass, strongest = np.mean(found, axis=0)
            print(f"  {net}, {name}, {method}: mass {mass:.2f}, strongest {strongest:.2f}")


if __name__ == "__main__":
    main()
