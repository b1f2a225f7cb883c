"""Step time of a training that is served with a client connected, against one that is not.

``python benchmarks/serving/cost.py`` prints it. One session trains; in each pair of blocks one
block has the served session's client connected and asking for updates as a dashboard does, the
other has the serving closed; which comes first changes from pair to pair. Beside the time that
passes it prints the processor time of the training's process, which other programs disturb less.

``python benchmarks/serving/cost.py --ranks`` does the same of two processes that train one model
with DistributedDataParallel: blocks of steps that meet at each boundary, and blocks in a session,
whose steps are told to rank 0 too, each against blocks that do neither; and how much processor
time a meeting takes by itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.projects.demo_model import small_resnet

#: In a row, for the processor time of one.
MEETINGS = 5000

CLIENT = """
import sys, time
import coflect_widget as coflect
session = coflect.connect(sys.argv[1])
shown = []
session._link.listen(lambda data, buffers: shown.append(data.get("content", {}).get("seq")),
                     lambda why: None)
session._link.say({"kind": "page", "content": {"kind": "hello", "id": "page", "page": ""}})
print("there", flush=True)
while session.lost is None:
    time.sleep(5)
    newest = max((seq for seq in shown if seq is not None), default=0)
    session._link.say({"kind": "page", "content": {
        "kind": "ack", "id": "page", "seq": newest, "seen": True, "attended": True}})
"""


def block(session: coflect.Session, seconds: float) -> tuple[float, float]:
    """Milliseconds a step, and those of the processors, while the training runs for so long."""
    loop = session._parts.loop
    began, used, first = time.perf_counter(), time.process_time(), loop.step
    time.sleep(seconds)
    steps = loop.step - first
    passed, used = time.perf_counter() - began, time.process_time() - used
    return 1000 * passed / steps, 1000 * used / steps


def said(what: str, plain: list[float], other: list[float]) -> str:
    """How much longer `other` is, pair by pair."""
    ratios = [100 * (b / a - 1) for a, b in zip(plain, other, strict=True)]
    low, high = np.percentile(ratios, [25, 75])
    return (
        f"{what}: {statistics.median(ratios):+.1f} % "
        f"(quartiles {low:+.1f} to {high:+.1f}, {len(ratios)} interleaved pairs)"
    )


def served(session: coflect.Session, seconds: float) -> tuple[float, float]:
    """A block with a client connected."""
    path = coflect.serve(session)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert client.stdout is not None
        client.stdout.readline()
        time.sleep(2)
        return block(session, seconds)
    finally:
        client.kill()
        client.communicate()
        session._served.close()
        session._served = None


def ranks(pairs: int, batch: int) -> None:
    """One of two processes; that of rank 0 prints."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from coflect_widget.backends.torch.ranks import TorchGroup

    dist.init_process_group("gloo")
    rank, steps = dist.get_rank(), 17
    model = DistributedDataParallel(small_resnet(10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(rank)
    x = torch.from_numpy(rng.random((steps, batch, 3, 32, 32), np.float32))
    y = torch.from_numpy(rng.integers(0, 10, (steps, batch)))
    places = torch.arange(rank, 2 * steps * batch, 2).reshape(steps, batch)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(x)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
        return logits

    def timed(kind: str) -> float:
        """Milliseconds a step, from the end of the first to that of the last."""
        time.sleep(0.3)  # what the end of the block before has left to do
        dist.barrier()
        batches = zip(x, y, places, strict=True)
        if kind == "session":
            batches = session.loop(batches, validate=False)
        ends = []
        for inputs, targets, indices in batches:
            logits = step(inputs, targets)
            if kind == "meeting":
                group.agree(False)
            elif kind == "session":
                session.observe(indices, logits, targets)
            ends.append(time.perf_counter())
        return 1000 * (ends[-1] - ends[0]) / (steps - 1)

    data = (np.zeros((2 * steps * batch, 3, 32, 32), np.float32), np.arange(2 * steps * batch) % 10)
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, data, batch_size=batch, optimizer=optimizer, run_dir=folder,
            config={"xai_every": 10**6, "checkpoint_minutes": 0},
        )  # fmt: skip
        group = TorchGroup()
        kinds = ["alone", "meeting", "session"]
        taken: dict[str, list[float]] = {kind: [timed(kind)][1:] for kind in kinds}  # warm
        order = np.random.default_rng(0)  # the same in both
        for _ in range(pairs):
            for kind in order.permutation(kinds).tolist():
                taken[kind].append(timed(kind))
        session.close()
        used = time.process_time()
        for _ in range(MEETINGS):
            group.agree(False)
        used = 1e6 * (time.process_time() - used) / MEETINGS
    if rank:
        return
    print(describe())
    print(f"a meeting alone: {used:.0f} microseconds of each process's processor time")
    print(f"step of two processes: {statistics.median(taken['alone']):.1f} ms")
    for kind in kinds[1:]:
        print(said(kind, taken["alone"], taken[kind]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, help="12, of ranks 40")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a block")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--ranks", action="store_true", help="of two processes meeting")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.ranks and "RANK" not in os.environ:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        sys.exit(subprocess.run([sys.executable, *torchrun, *sys.argv], check=False).returncode)
    if given.ranks:
        ranks(given.pairs or 40, given.batch)
        return
    rng = np.random.default_rng(0)
    data = (rng.random((2048, 3, 32, 32), np.float32), rng.integers(0, 10, 2048))
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            small_resnet(10), data, batch_size=given.batch, run_dir=folder,
            config={"xai_every": 10**6},
        )  # fmt: skip
        session.train(steps=10**8)
        block(session, given.seconds)  # warm
        pairs = []
        for number in range(given.pairs or 12):
            if number % 2:
                plain = block(session, given.seconds)
                with_client = served(session, given.seconds)
            else:
                with_client = served(session, given.seconds)
                time.sleep(2)
                plain = block(session, given.seconds)
            pairs.append((plain, with_client))
        session.close()
    print(describe())
    print(f"step alone: {statistics.median(plain for (plain, _), _ in pairs):.1f} ms")
    for k, what in enumerate(("served with a client connected", "its processor time")):
        print(said(what, [one[k] for one, _ in pairs], [other[k] for _, other in pairs]))


if __name__ == "__main__":
    main()
