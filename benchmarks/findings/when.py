"""When did it begin: a shortcut that is switched on at a known epoch is dated, and reported.

    python benchmarks/findings/when.py [--runs 5] [--first 0]

Pictures of two classes are told by a faint tint. Each has a coloured square in a corner, whose
colour tells nothing at first, and from a drawn epoch on goes with the class in training. After each
epoch the pull of the planted square itself is measured on all validation pictures; the shortcut is
learned at the first epoch after the switch from which that stays above half of its last value.

Printed for each run: the epoch of the switch, the one at which it was learned, that at which a
finding was first reported, and `Finding.since` with its interval. Epochs are as long as a look
takes: training waits for it between them, as a longer epoch would.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.findings.proof import SIDE, SQUARE, network, pictures
from benchmarks.machine import describe

#: Epochs of a run after the switch.
AFTER = 14
#: So faint that the classes are not learned by it before the switch: else nothing is left to learn.
TINT = 0.02


class Switched(torch.utils.data.Dataset[tuple[NDArray[np.float32], int]]):
    """The pictures, with squares that tell nothing until `on`."""

    def __init__(self, seed: int) -> None:
        self._off, self._labels = pictures(256, seed, planted=False, tint=TINT)
        self._on, labels = pictures(256, seed, planted=True, tint=TINT)
        assert (labels == self._labels).all()
        self.on = False

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], int]:
        return (self._on if self.on else self._off)[index], int(self._labels[index])


def true_pull(model: nn.Module, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share that is named after the square of the other class, beyond a square in the middle."""
    shares = []
    middle = (SIDE - SQUARE) // 2
    for corner in (0, middle):
        put = images.copy()
        colour = 1 - labels
        for image, one in zip(put, colour, strict=True):
            image[:, corner : corner + SQUARE, corner : corner + SQUARE] = np.array(
                [one, 0.2, 1 - one]
            )[:, None, None]
        model.eval()
        with torch.no_grad():
            named = model(torch.from_numpy(put)).argmax(1).numpy()
        model.train()
        shares.append(float((named == colour).mean()))
    return shares[0] - shares[1]


def dated(seed: int) -> str:
    """One run, in a line."""
    switch = int(np.random.default_rng([seed, 3]).integers(7, 12))
    data = Switched(2 * seed)
    images, labels = pictures(400, 2 * seed + 1, planted=False, tint=TINT)
    model = network(seed)
    config = {
        "seed": seed, "attribution": {"budget": 0}, "findings": {"act": "report"},
    }  # fmt: skip
    true: list[float] = []
    reported = None
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            model, data, (images, labels), run_dir=folder, batch_size=32,
            optimizer=lambda p: torch.optim.Adam(p, 3e-3), config=config,
        ) as session,
    ):  # fmt: skip
        finder = session._parts.findings
        for epoch in range(1, switch + AFTER + 1):
            data.on = epoch > switch
            session.train(epochs=1)
            session.wait()
            finder.wait(300)
            finder._rest_until = 0.0
            true.append(true_pull(model, images, labels))
            if reported is None and session.findings:
                reported = epoch
        found = session.findings
    weak = [k for k, pull in enumerate(true, 1) if pull < true[-1] / 2]
    learned = max(switch, *weak, 0) + 1
    dating = "not found"
    if found:
        dating = f"since {found[0].since} {found[0].began}, off by {found[0].since - learned:+d}"
    return (
        f"run {seed}: switched on after {switch}, learned at {learned} (pull at the end "
        f"{true[-1]:.2f}), reported at {reported}, {dating}"
    )


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    given = parser.parse_args()
    print(describe())
    for seed in range(given.first, given.first + given.runs):
        print(dated(seed), flush=True)


if __name__ == "__main__":
    main()
