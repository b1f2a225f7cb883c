"""Step time of a training whose run four trackers are told, against one that nobody is told of.

    make sinks  # the environment of their clients
    .venv-sinks/bin/python benchmarks/records/sinks.py

prints it, in less than six minutes. One session trains; in each pair of blocks one has TensorBoard,
MLflow (SQLite), wandb (offline) and trackio as sinks, the other has none; which comes first changes
from pair to pair. Below it the same figures go to the same trackers by calls in a plain loop, every
tenth step as a session's metrics and every step, against that loop without the calls.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.projects.demo_model import small_resnet
from coflect_widget.records.sinks.feed import Sinks
from coflect_widget.records.sinks.tracker import Tracker

BATCH = 16


def trackers(folder: Path) -> list[Tracker]:
    """The four, told from now on alone."""
    made: list[Tracker] = [
        coflect.sinks.TensorBoard(folder / "tensorboard"),
        coflect.sinks.MLflow("bench", f"sqlite:///{folder}/mlflow.db"),
        coflect.sinks.Wandb("bench", mode="offline", dir=str(folder)),
        coflect.sinks.Trackio("bench"),
    ]
    for one in made:
        one.whole = False
    return made


def block(session: coflect.Session, seconds: float) -> float:
    """Milliseconds a step while the training runs for so long."""
    began, first = time.perf_counter(), session.metrics["step"]
    time.sleep(seconds)
    return 1000 * (time.perf_counter() - began) / (session.metrics["step"] - first)


def with_sinks(session: coflect.Session, folder: Path, seconds: float) -> float:
    """A block with four sinks, once all of them are open."""
    parts, opened, said = session._open(), [], []
    sinks = Sinks(
        trackers(folder),
        session.run,
        lambda notice, *_: said.append(notice.text),
        parts.stream.flush,
        lambda: opened.append(1),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # trackio says what it does
        sinks.start()
        while len(opened) < 4 and not said:
            time.sleep(0.1)
        try:
            time.sleep(1)
            return block(session, seconds)
        finally:
            sinks.close()
            assert not said, said


def loop(model: torch.nn.Module, data: tuple[np.ndarray, np.ndarray]) -> Callable[..., float]:
    """A plain loop; it calls `log(values, step)` every so many steps."""
    inputs, labels = map(torch.from_numpy, data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    done = [0]

    def train(seconds: float, log: Callable[..., None] | None, every: int) -> float:
        began, first = time.perf_counter(), done[0]
        while time.perf_counter() - began < seconds:
            rows = torch.arange(done[0] * BATCH, (done[0] + 1) * BATCH) % len(labels)
            outputs = model(inputs[rows])
            loss = F.cross_entropy(outputs, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done[0] += 1
            if log is not None and done[0] % every == 0:
                right = (outputs.argmax(1) == labels[rows]).float().mean()
                log({"train/loss": float(loss.detach()), "train/accuracy": float(right)}, done[0])
        return 1000 * (time.perf_counter() - began) / (done[0] - first)

    return train


def in_loop(run: coflect.sinks.base.RunFolder, folder: Path) -> Callable[..., None]:
    """Calls of the same four clients, one after the other, as in a loop of one's own."""
    import datetime as dt

    there = trackers(folder)
    for one in there:
        one.open(run)

    def log(values: dict[str, float], step: int) -> None:
        for one in there:
            one.metrics(values, step, dt.datetime.now())
            one.flush()

    return log


def compared(name: str, pairs: int, off: Callable[[], float], on: Callable[[], float]) -> None:
    """Print the ratio of interleaved pairs."""
    ratios = []
    for k in range(pairs):
        if k % 2:
            without, told = off(), on()
        else:
            told, without = on(), off()
        ratios.append(told / without)
        print(f"  {name}: {without:6.2f} -> {told:6.2f} ms a step", flush=True)
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, pairs)), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    print(
        f"{name}: {100 * (statistics.median(ratios) - 1):+.1f} % "
        f"({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f}), {pairs} pairs\n",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=7.0, help="length of a block")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    data = rng.random((2048, 3, 32, 32), np.float32), rng.integers(0, 10, 2048)
    print(describe())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:  # trackio still writes
        folder = Path(made)
        os.environ |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TRACKIO_DIR": str(folder / "trackio"),
            "WANDB_SILENT": "true",
        }
        model = small_resnet(10)
        with coflect.Session(
            model, data, batch_size=BATCH, run_dir=folder / "runs", config={"xai_every": 10**6}
        ) as session:
            session.train(steps=10**7)
            with_sinks(session, folder, 5)  # imports, and the tables of the databases
            compared(
                "session, four sinks",
                given.pairs,
                lambda: block(session, given.seconds),
                lambda: with_sinks(session, folder, given.seconds),
            )
            session.stop()
            session.wait(60)
            run = session.run
        train, log = loop(small_resnet(10), data), in_loop(run, folder)
        train(3, log, 1)
        for every in (10, 1):
            compared(
                f"plain loop, calls each {every} step(s)",
                max(2, given.pairs // 2),
                lambda: train(given.seconds, None, 1),
                lambda every=every: train(given.seconds, log, every),
            )


if __name__ == "__main__":
    main()
