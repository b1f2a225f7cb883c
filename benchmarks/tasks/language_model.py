"""What a loss of one's own costs a language model of 50,000 words: time, and memory.

    python benchmarks/tasks/language_model.py --ways loop trainer --pairs 20
    python benchmarks/tasks/language_model.py --ways loop trainer --memory 500

Batches of 16 rows of 128 words. The cost is that of interleaved pairs in one process: two trainings
of the same model take turns step by step, one of them in a session with ``task="own_loss"``, in a
loop of one's own or under transformers' Trainer; printed is the median over pairs of the watched
step's time in parts of the plain one's, less 1, and half the span of the middle half. For the
memory a watched training goes on alone, and its resident memory is printed every 50 steps.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe

WORDS, BATCH, LENGTH = 50_000, 16, 128
ROWS = 512
#: Steps of each training before its times count.
FIRST = 3


def model(width: int) -> transformers.GPT2LMHeadModel:
    """One block, whose cost beside that of the words is small."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=LENGTH, n_embd=width, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def rows() -> list[dict[str, torch.Tensor]]:
    """Sentences that go round in a ring of words."""
    rng = np.random.default_rng(0)
    ids = (rng.integers(0, WORDS, (ROWS, 1)) + np.arange(LENGTH)) % WORDS
    return [{"input_ids": torch.from_numpy(row), "labels": torch.from_numpy(row)} for row in ids]


class Turns:
    """Two trainings, of which one step of each is done in turn.

    Parameters
    ----------
    steps : int
        Of each.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.times: dict[str, list[float]] = {"plain": [], "watched": []}
        self._locks = {name: threading.Semaphore(name == "plain") for name in self.times}
        self._began: float | None = None

    def next(self, name: str) -> None:
        """Called where a step begins: the one before it is over, and it is the other's turn."""
        if self._began is not None and self.times_open == name:
            self.times[name].append(time.perf_counter() - self._began)
            self._hand_on(name)
        self._locks[name].acquire()
        self.times_open, self._began = name, time.perf_counter()

    times_open = ""

    def over(self, name: str) -> None:
        """One of the two has ended."""
        if self.times_open == name and self._began is not None:
            self.times[name].append(time.perf_counter() - self._began)
        self._began = None
        self._hand_on(name)

    def _hand_on(self, name: str) -> None:
        self._locks["watched" if name == "plain" else "plain"].release()


def batches(steps: int, begins: Callable[[], object]) -> Iterator[dict[str, torch.Tensor]]:
    """As many batches as there are steps."""
    data = rows()
    for step in range(steps):
        begins()
        places = [(step * BATCH + k) % ROWS for k in range(BATCH)]
        ids = torch.stack([data[place]["input_ids"] for place in places])
        yield {"input_ids": ids, "index": torch.tensor(places)}


class Batches:
    """What `batches` gives, for a loop over it."""

    def __init__(self, steps: int, begins: Callable[[], object]) -> None:
        self._how = steps, begins

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return batches(*self._how)


def loop(
    steps: int,
    width: int,
    begins: Callable[[], object],
    folder: str | None,
    ready: Callable[[], object],
) -> None:
    """A loop of one's own; with a folder in a session."""
    net = model(width)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    session = None
    given: Any = Batches(steps, begins)
    if folder is not None:
        session = coflect.Session(
            net, rows(), task="own_loss", optimizer=optimizer, batch_size=BATCH, run_dir=folder
        )
    ready()
    for batch in given if session is None else session.loop(given):
        ids = batch["input_ids"]
        logits = net(ids).logits[:, :-1]
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        each = losses.view(BATCH, -1).mean(1)
        if session is not None:
            session.observe(batch["index"].numpy(), loss=each)
        optimizer.zero_grad()
        each.mean().backward()
        optimizer.step()
    if session is not None:
        session.close()


class Begins(transformers.TrainerCallback):
    """Says where a step begins."""

    def __init__(self, begins: Callable[[], object]) -> None:
        self._begins = begins

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._begins()


def trainer(
    steps: int,
    width: int,
    begins: Callable[[], object],
    folder: str | None,
    ready: Callable[[], object],
) -> None:
    """Transformers' Trainer; with a folder in a session."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    net, data = model(width), rows()
    callbacks: list[Any] = [Begins(begins)]
    session = None
    if folder is not None:
        session = coflect.Session(net, data, task="own_loss", batch_size=BATCH, run_dir=folder)
        callbacks.append(session.transformers_callback())
    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            output_dir=out, max_steps=steps, per_device_train_batch_size=BATCH, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, seed=0,
            dataloader_drop_last=True,
        )  # fmt: skip
        made = transformers.Trainer(
            model=net, args=arguments, train_dataset=data, callbacks=callbacks
        )
        # Trainers share what accelerate knows of the process, and a new one begins that anew.
        ready()
        made.train()
    if session is not None:
        session.close()


WAYS = {"loop": loop, "trainer": trainer}


def cost(way: str, pairs: int, width: int) -> None:
    """Print what being watched costs."""
    turns, ready = Turns(pairs + FIRST), threading.Barrier(2, timeout=120)

    def run(name: str, folder: str | None) -> None:
        try:
            WAYS[way](turns.steps, width, lambda: turns.next(name), folder, ready.wait)
        finally:
            turns.over(name)

    with tempfile.TemporaryDirectory() as folder:
        threads = [
            threading.Thread(target=run, args=("plain", None)),
            threading.Thread(target=run, args=("watched", folder)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    plain, watched = (np.array(turns.times[name][FIRST:]) for name in ("plain", "watched"))
    count = min(len(plain), len(watched))
    ratio = watched[:count] / plain[:count] - 1
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    print(
        f"{way}: a step costs {middle:+.1%} (the middle half is within {(high - low) / 2:.1%}) "
        f"over {count} pairs of {np.median(plain):.2f} s",
        flush=True,
    )


def memory(way: str, steps: int, width: int) -> None:
    """Print the resident memory of a watched training."""
    process, seen = psutil.Process(), [0]

    def begins() -> None:
        if seen[0] % 50 == 0 and seen[0]:
            print(f"{way}: step {seen[0]}: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)
        seen[0] += 1

    with tempfile.TemporaryDirectory() as folder:
        WAYS[way](steps + 1, width, begins, folder, lambda: None)


def main() -> None:
    """Print lines for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--memory", type=int, default=0, help="steps; then no cost is measured")
    parser.add_argument("--width", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    words = f"{WORDS:,} words, batches of {BATCH} x {LENGTH}, width {args.width}"
    print(f"{describe()}, {words}", flush=True)
    for way in args.ways:
        if args.memory:
            memory(way, args.memory, args.width)
        else:
            cost(way, args.pairs, args.width)


if __name__ == "__main__":
    main()
