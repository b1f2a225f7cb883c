"""Texts, series, tables: whether good strokes are told from null ones, and what the forecast sees.

    python benchmarks/kinds/verdicts.py effect   [--kinds text series table] [--seeds 0 1 2 3]
    python benchmarks/kinds/verdicts.py forecast [--kinds text series table] [--seeds 0 1 2]
        [--data-root DIR]

effect: 5 good strokes and 5 null ones for each seed, each in a session of its own that goes on from
the same weights. Good: a network that learned a decoy (a word, a burst, a leaking column), and a
mark on the decoy of a random sample whose map points there. Null: a network that learned the same
data with a decoy that tells nothing, and a mark of the same size at a random place. What the search
finds in other series is confirmed for both. The verdict is the session's.

forecast: average precision of ONSET (right now, wrong `HORIZON` epochs later, both in eval mode)
among the samples that are right now, by the forecast and by the moving average of the loss, and the
forecast's expected calibration error. Mean over the forecasts at the ends of epochs 3 to 8. One
label of ten is flipped. Real data where DIR is given: film reviews, the series ItalyPowerDemand,
and people of a survey of health insurance; else the package's own.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.forecast.replay import average_precision, ece
from benchmarks.kinds import series, tables, texts
from benchmarks.machine import describe
from coflect_widget.data.tables import TableDataset

STROKES, STEPS = 5, 60
#: A mark on a word that the network does not hang on cannot help.
DECIDES = 0.2
HORIZON, WINDOWS = 4, range(3, 9)
Marks = Callable[[Any, int, np.random.Generator], Any]


@dataclass(frozen=True)
class Kind:
    """How a kind of data is made, learned and marked."""

    made: Callable[
        [str, int, int], Any
    ]  #: (what the decoy tells, "class" or "random"; how many; seed)
    network: Callable[[Any, int], nn.Module]
    decoy: Marks  #: the mark on a sample's decoy
    anywhere: Marks  #: a mark of the same size at a random place
    epochs: int
    rate: float
    weight: Callable[[Any, NDArray[Any], Any], float]  #: (data, map, mark): its share of a map
    found_elsewhere: bool = False  #: a person is asked whether a mark holds in other samples too


def words(tells: str, n: int, seed: int) -> Any:
    return coflect.data.reviews(n, leak=0.97 if tells == "class" else 0.0, seed=seed)


def reader(data: Any, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return texts.Convolutions(len(data.words))


def word_of(data: Any, index: int, rng: np.random.Generator) -> tuple[int, int]:
    at = int(data.decoy[index])
    return at, at + 1


def any_word(data: Any, index: int, rng: np.random.Generator) -> tuple[int, int]:
    at = int(rng.integers(1, (data.ids[index] != 0).sum() - 1))
    return at, at + 1


def bursts(tells: str, n: int, seed: int) -> Any:
    return coflect.data.signals(n, decoy=tells, seed=seed)


def convolutional(data: Any, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return series.convolutional(data.series.shape[1], len(data.classes))


def burst_of(data: Any, index: int, rng: np.random.Generator) -> dict[str, Any]:
    start, stop = (data.decoys[index] * data.series.shape[2]).round().astype(int).tolist()
    return {"steps": [start, stop], "channel": 0}


def any_steps(data: Any, index: int, rng: np.random.Generator) -> dict[str, Any]:
    start, stop = burst_of(data, index, rng)["steps"]
    at = int(rng.integers(0, data.series.shape[2] - (stop - start)))
    return {"steps": [at, at + stop - start], "channel": 0}


def patients(tells: str, n: int, seed: int) -> Any:
    return coflect.data.patients(n, invoice=tells, seed=seed)


def layers(data: Any, seed: int) -> nn.Module:
    return tables.network(data.rows.shape[1], seed)


def invoice(data: Any, index: int, rng: np.random.Generator) -> str:
    return "invoice"


def any_feature(data: Any, index: int, rng: np.random.Generator) -> str:
    return str(rng.choice([feature.name for feature in data.modality.features]))


def weight_of_words(data: Any, values: NDArray[Any], mark: tuple[int, int]) -> float:
    return float(values[mark[0] : mark[1]].sum() / max(values.sum(), 1e-9))


def weight_of_steps(data: Any, values: NDArray[Any], mark: dict[str, Any]) -> float:
    start, stop = mark["steps"]
    return float(values[mark["channel"], start:stop].sum() / max(values.sum(), 1e-9))


def weight_of_feature(data: Any, values: NDArray[Any], mark: str) -> float:
    columns = {feature.name: list(feature.columns) for feature in data.modality.features}
    return float(values[columns[mark]].sum() / max(values.sum(), 1e-9))


KINDS = {
    "text": Kind(words, reader, word_of, any_word, 4, 1e-3, weight_of_words),
    "series": Kind(
        bursts, convolutional, burst_of, any_steps, 8, 3e-3, weight_of_steps, found_elsewhere=True
    ),
    "table": Kind(patients, layers, invoice, any_feature, 6, 2e-3, weight_of_feature),
}


def hanging(session: Any, kind: Kind, train: Any, rng: np.random.Generator) -> int:
    """A random sample whose map points at the decoy, as a person would look for one; of 30."""
    found = {}
    for index in rng.choice(len(train), 30, replace=False).tolist():
        mark = kind.decoy(train, index, rng)
        found[index] = kind.weight(train, session.explain(index).map, mark)
        if found[index] > 0.5:
            return int(index)
    return int(max(found, key=found.__getitem__))


def told(kind: Kind, tells: str, seed: int, net: nn.Module | None, number: int) -> Any:
    """The learned network, where `net` is None; else the effect of one stroke on a copy of it."""
    train, val = kind.made(tells, 1200, 2 * seed), kind.made(tells, 600, 2 * seed + 1)
    model = kind.network(train, seed) if net is None else copy.deepcopy(net)
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, train, val, batch_size=32, run_dir=folder,
            optimizer=torch.optim.AdamW(model.parameters(), kind.rate),
            config={"seed": seed + 100 * number, "attribution": {"budget": 0},
                    "forecast_every": 10**6, "xai_every": 10**6,
                    "guidance": {"effect_after": 0 if net is None else STEPS}},
        )  # fmt: skip
        with session:
            if net is None:
                session.train(epochs=kind.epochs)
                session.wait()
                return model
            rng = np.random.default_rng([seed, number, tells == "class"])
            index = int(rng.integers(len(train)))
            if tells == "class":
                index = hanging(session, kind, train, rng)
            mark = (kind.decoy if tells == "class" else kind.anywhere)(train, index, rng)
            stroke = session.feedback(sample=index, ignore=mark)
            if kind.found_elsewhere and session.similar(stroke):
                session.confirm(stroke)
            session.train(steps=STEPS)
            session.wait()
            until = time.monotonic() + 300
            while not session.effects and time.monotonic() < until:
                time.sleep(0.05)
            return session.effects[0]


def effects(names: list[str], seeds: list[int]) -> None:
    for name in names:
        for tells, arm in (("class", "good"), ("random", "null")):
            verdicts: list[str] = []
            decided: list[bool] = []
            for seed in seeds:
                net = told(KINDS[name], tells, seed, None, 0)
                for number in range(1, STROKES + 1):
                    effect = told(KINDS[name], tells, seed, net, number)
                    verdicts.append(effect.verdict)
                    pull = effect.measures[0]
                    decided.append(pull.before >= DECIDES)
                    print(
                        f"  {name}, {arm}, seed {seed}, stroke {number}: "
                        f"{effect.verdict}, {pull.name} {pull.before:.2f} -> {pull.after:.2f}",
                        flush=True,
                    )
            helped = np.array(verdicts) == "helped"
            print(
                f"{name}, {arm}: {helped.sum()} of {len(helped)} helped; of the {sum(decided)} "
                f"whose mark decided (pull {DECIDES} or more) {helped[decided].sum()}",
                flush=True,
            )


def of_reviews(root: Path, seed: int) -> tuple[Any, NDArray[np.int64], nn.Module, dict[str, Any]]:
    found, labels = texts.read(root / "movie_reviews")
    order = np.random.default_rng(seed).permutation(len(found))[:4000]
    seen = sorted({word for k in order for word in found[k]})
    vocabulary = ["[PAD]", "[UNK]", *seen]
    ids, _ = texts.as_ids(
        [found[k] for k in order], {w: k for k, w in enumerate(vocabulary)}, None, seed
    )
    torch.manual_seed(seed)
    net = texts.Convolutions(len(vocabulary))
    return ids, labels[order], net, {"tokenizer": vocabulary}


def of_italy(root: Path, seed: int) -> tuple[Any, NDArray[np.int64], nn.Module, dict[str, Any]]:
    x, y = series.read(root / "series", "ItalyPowerDemand")
    torch.manual_seed(seed)
    return x, y, series.convolutional(x.shape[1], 2), {}


def of_insurance(root: Path, seed: int) -> tuple[Any, NDArray[np.int64], nn.Module, dict[str, Any]]:
    data = tables.of_insurance(root, seed).honest
    return data.rows, data.labels, tables.network(data.rows.shape[1], seed), {"table": data}


REAL = {"text": of_reviews, "series": of_italy, "table": of_insurance}


def made(name: str, seed: int) -> tuple[Any, NDArray[np.int64], nn.Module, dict[str, Any]]:
    data = KINDS[name].made("random", 2000, seed)
    net = KINDS[name].network(data, seed)
    if name == "text":
        return data.ids, data.labels, net, {"tokenizer": data.words}
    if name == "series":
        return data.series, data.labels, net, {}
    return data.rows, data.labels, net, {"table": data}


def forecasts(names: list[str], seeds: list[int], root: Path | None) -> None:
    print(
        "| data | ONSET, forecast | ONSET, moving average of the loss | share | calibration error |"
    )
    print("|---|---|---|---|---|")
    for name in names:
        found = [foretold(name, seed, root) for seed in seeds]
        for seed, figures in zip(seeds, found, strict=True):
            print(f"| {name}, seed {seed} | {' | '.join(f'{f:.3f}' for f in figures)} |")
        means = np.mean(found, 0)
        print(f"| **{name}** | {' | '.join(f'{f:.3f}' for f in means)} |", flush=True)


def foretold(name: str, seed: int, root: Path | None) -> NDArray[np.float64]:
    """AP of the forecast and of the loss, the share that turns wrong, and the calibration error."""
    x, labels, net, more = made(name, seed) if root is None else REAL[name](root, seed)
    rng = np.random.default_rng([seed, 77])
    given = labels.copy()
    flipped = rng.choice(len(given), len(given) // 10, replace=False)
    given[flipped] = (given[flipped] + 1) % (int(labels.max()) + 1)
    said, wrong = [], []
    with tempfile.TemporaryDirectory() as folder:
        table = more.pop("table", None)
        train = (
            (x, given) if table is None else TableDataset(x, given, table.classes, table.modality)
        )
        session = coflect.Session(
            net, train, batch_size=64, run_dir=folder,
            optimizer=torch.optim.AdamW(net.parameters(), KINDS[name].rate),
            config={"seed": seed}, **more,
        )  # fmt: skip
        with session:
            forecaster = session._parts.forecaster
            everyone = np.arange(len(given))
            for _ in range(WINDOWS[-1] + HORIZON):
                session.train(epochs=1)
                session.wait()
                chance = forecaster.foresight.probability(everyone, right=True)
                said.append((forecaster.store.loss.copy(), chance))
                net.eval()
                with torch.no_grad():
                    answers = torch.cat([net(part) for part in torch.from_numpy(x).split(200)])
                wrong.append(answers.argmax(1).numpy() != given)
    figures = []
    for epoch in WINDOWS:
        loss, chance = said[epoch - 1]
        right = ~wrong[epoch - 1]
        late = wrong[epoch - 1 + HORIZON][right]
        if late.any():
            figures.append((
                average_precision(chance[right], late), average_precision(loss[right], late),
                late.mean(), ece(chance[right], late),
            ))  # fmt: skip
    return np.mean(figures, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("effect", "forecast"))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument(
        "--data-root", type=Path, help="where movie_reviews/, series/ and tabular/ are"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    if given.what == "effect":
        effects(given.kinds, given.seeds or [0, 1, 2, 3])
    else:
        forecasts(given.kinds, given.seeds or [0, 1, 2], given.data_root)


if __name__ == "__main__":
    main()
