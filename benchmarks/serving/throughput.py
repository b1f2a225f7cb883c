"""Requests a second, and the slowest of a hundred, beside a plain endpoint of FastAPI and torch.

``python benchmarks/serving/throughput.py`` prints them. Quickstart trains its small residual
network on pictures; ``coflect serve`` and 30 lines of FastAPI answer with the same weights, each
a process with one thread of torch. 1, 8 and 32 clients, each with a connection of its own, ask one
after another; the two services take turns, and which comes first changes from pair to pair. The
service remembers no outputs here (``--cache 0``).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe

CLIENTS = (1, 8, 32)
#: What most would write.
PLAIN = """
import base64, io, sys
import numpy as np, torch, uvicorn
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel
from coflect_widget.projects.quickstart.pipeline import Pipeline

pipeline = Pipeline.of(sys.argv[1])
model, classes, side = pipeline.model.eval(), pipeline.goal.classes, pipeline.inputs.side
app = FastAPI()

class Row(BaseModel):
    picture: str

class Asked(BaseModel):
    row: Row

@app.post("/predict")
def predict(asked: Asked):
    file = io.BytesIO(base64.b64decode(asked.row.picture))
    picture = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255)
    with torch.no_grad():
        shares = model(x).softmax(1)[0]
    return {"prediction": {
        "class": classes[int(shares.argmax())],
        "probabilities": dict(zip(classes, shares.tolist())),
    }}

@app.get("/health")
def health():
    return {"status": "healthy"}

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


def trained(folder: Path) -> tuple[Path, list[bytes]]:
    """A run, and bodies of requests."""
    shapes = coflect.data.synthetic(n=512)
    data = {"picture": shapes.images, "shape": shapes.labels.astype(float)}
    with coflect.quickstart(
        data, "shape", "classification", kind="image", leave_out=(), run_dir=folder
    ) as session:
        session.train(1)
        session.wait()
        run = session.run.path
    bodies = []
    for pixels in shapes.images[:256]:
        values = np.asarray(pixels, np.float32)
        values = values if values.max() > 1.5 else values * 255
        file = io.BytesIO()
        Image.fromarray(values.astype(np.uint8).transpose(1, 2, 0)).save(file, "PNG")
        row = {"picture": base64.b64encode(file.getvalue()).decode()}
        bodies.append(json.dumps({"row": row}).encode())
    return run, bodies


@contextmanager
def service(arguments: list[str], port: int, log: Path) -> Iterator[int]:
    """A service that answers; ended afterwards."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as told, subprocess.Popen(
        [sys.executable, *arguments], env=environment, stderr=told
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise RuntimeError(log.read_text()) from None
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def client(port: int, bodies: list[bytes], first: int, until: float) -> list[float]:
    """Seconds of each request of one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, number = [], first
    while time.perf_counter() < until:
        body = bodies[number % len(bodies)]
        number += 1
        began = time.perf_counter()
        await post(reader, writer, body)
        found.append(time.perf_counter() - began)
    writer.close()
    return found


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> Any:
    """One answer."""
    writer.write(
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise RuntimeError(head.decode())
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


async def block(port: int, bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """Seconds of each request of all clients, sorted."""
    until = time.perf_counter() + seconds
    told = await asyncio.gather(
        *(client(port, bodies, 37 * k, until) for k in range(clients))
    )  # fmt: skip
    return sorted(took for one in told for took in one)


async def same(ports: list[int], bodies: list[bytes]) -> float:
    """The largest difference of a probability between the services."""
    found = []
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told = [json.loads(await post(reader, writer, body)) for body in bodies[:32]]
        found.append([[*one["prediction"]["probabilities"].values()] for one in told])
        writer.close()
    return float(np.abs(np.subtract(*found)).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        run, bodies = trained(Path(made))
        mine, plain = free_port(), free_port()
        serve = ["-m", "coflect_widget.cli", "serve", str(run), "--cache", "0", "--port", str(mine)]
        with (
            service(serve, mine, Path(made) / "mine.log"),
            service(["-c", PLAIN, str(run), str(plain)], plain, Path(made) / "plain.log"),
        ):
            print(describe())
            off = asyncio.run(same([mine, plain], bodies))
            print(f"largest difference of a probability: {off:.1e}\n")
            print("| clients | requests a second | plain | ratio | p99, ms | plain | ratio |")
            print("|---|---|---|---|---|---|---|")
            for clients in CLIENTS:
                asyncio.run(block(mine, bodies, clients, 1))
                asyncio.run(block(plain, bodies, clients, 1))
                pairs = []
                for number in range(given.pairs):
                    told = {}
                    for port in (mine, plain) if number % 2 else (plain, mine):
                        took = asyncio.run(block(port, bodies, clients, given.seconds))
                        told[port] = (len(took) / given.seconds, 1000 * took[-1 - len(took) // 100])
                    pairs.append((told[mine], told[plain]))
                print(line(clients, pairs))


def line(clients: int, pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> str:
    """A row of the table: medians, and medians of the ratios of pairs with their range."""
    cells = [str(clients)]
    for k, digits in ((0, 0), (1, 1)):
        ratios = [mine[k] / plain[k] for mine, plain in pairs]
        cells += [f"{statistics.median(one[k] for one in side):.{digits}f}"
                  for side in zip(*pairs, strict=True)]  # fmt: skip
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
