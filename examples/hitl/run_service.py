"""From data to a service: a look, a training, the test part once, and requests over HTTP.

    python run_service.py [--epochs 6]

The table of insured people is read where COFLECT_DATA names the folder that holds
tabular/health_insurance.csv; elsewhere a table is made. The notebook 10_from_data_to_service.ipynb
does the same under a dashboard.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import coflect_widget as coflect


def people() -> tuple[Any, str]:
    """A file of people and the column to tell; made-up columns where there is no file."""
    file = Path(os.environ.get("COFLECT_DATA", "data")) / "tabular" / "health_insurance.csv"
    if file.is_file():
        return file, "whi"
    rng = np.random.default_rng(0)
    n = 1500
    age, hours = rng.normal(42, 11, n).round(), rng.normal(36, 9, n).round()
    region = rng.choice(["north", "south", "west"], n)
    odds = (hours - 36) / 6 + 0.03 * (age - 42) + (region == "north") + rng.normal(0, 0.8, n)
    insured = np.where(odds > 0, "yes", "no")
    return {"age": age, "hours": hours, "region": region, "insured": insured}, "insured"


@contextlib.contextmanager
def served(run: Path) -> Iterator[int]:
    """The port of a service that answers with a run; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "coflect_widget.cli", "serve", str(run), "--port", str(port)]
    service = subprocess.Popen(words, stderr=subprocess.DEVNULL)  # noqa: S603 - our own words
    try:
        while service.poll() is None:
            with contextlib.suppress(OSError):
                ask(port, "GET", "/health")
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the service has ended; coflect serve RUN says why")
        yield port
    finally:
        service.terminate()
        service.wait()


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """What the service answers to a request in JSON."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        line.request(method, path, json.dumps(body), {"content-type": "application/json"})
        return json.load(line.getresponse())
    finally:
        line.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    data, target = people()
    with coflect.quickstart(data, target, yes=True, run_dir=options.run_dir) as session:
        session.train(options.epochs)
        session.wait()
        found = session.test()
        print("test accuracy:", round(found["figures"]["accuracy"], 3), "beside", found["plain"])
        print(session.pipeline.worth_of_columns(session.sheet.rows(session.split.validation)))
        row = one_row(session)
    with served(session.run.path) as port:
        print(ask(port, "POST", "/predict", {"row": row}))


def one_row(session: Any) -> dict[str, Any]:
    """The first row that was not trained on, as a request has it."""
    cells = session.sheet.rows(session.split.test[:1]).cells
    values = {name: cells[name][0] for name in session.pipeline.inputs.sources}
    return {n: None if v is None or v != v else v for n, v in values.items()}


if __name__ == "__main__":
    main()
