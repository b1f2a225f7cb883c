"""Step time of a training that is served with a client connected, against one that is not.

``python benchmarks/serving/cost.py`` prints it. One session trains; in each pair of blocks one
block has the served session's client connected and asking for updates as a dashboard does, the
other has the serving closed; which comes first changes from pair to pair.
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


def block(session: coflect.Session, seconds: float) -> float:
    """Milliseconds a step while the training runs for so long."""
    began, first = time.perf_counter(), session.metrics["step"]
    time.sleep(seconds)
    return 1000 * (time.perf_counter() - began) / (session.metrics["step"] - first)


def served(session: coflect.Session, seconds: float) -> float:
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a block")
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
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
        for number in range(given.pairs):
            if number % 2:
                plain = block(session, given.seconds)
                with_client = served(session, given.seconds)
            else:
                with_client = served(session, given.seconds)
                time.sleep(2)
                plain = block(session, given.seconds)
            pairs.append((plain, with_client))
        session.close()
    ratios = sorted(100 * (b / a - 1) for a, b in pairs)
    low, high = np.percentile(ratios, [25, 75])
    print(describe())
    print(f"step alone: {statistics.median(a for a, _ in pairs):.1f} ms")
    print(
        f"served with a client connected: {statistics.median(ratios):+.1f} % "
        f"(quartiles {low:+.1f} to {high:+.1f}, {len(pairs)} interleaved pairs)"
    )


if __name__ == "__main__":
    main()
