"""Makes a small folder in the layout of CIFAR-10's binary archive, where the real one is not.

    python tests/standin_data.py DIR        prints DIR, to be used as COFLECT_DATA

The pictures are synthetic shapes in two classes; they stand in for cats (3) and dogs (5) so that
the notebook runs from end to end. What it prints of accuracies then says nothing of photographs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from coflect_widget.data import synthetic


def write(folder: Path, train: int = 1000, test: int = 200) -> None:
    """Write five training files and one test file under `folder`/cifar10_catsdogs."""
    shapes = synthetic(n=train + test, classes=2)
    rows = np.concatenate(
        [
            np.array([3, 5], np.uint8)[shapes.labels][:, None],
            (shapes.images.reshape(len(shapes), -1) * 255).round().astype(np.uint8),
        ],
        axis=1,
    )
    batches = folder / "cifar10_catsdogs" / "cifar-10-batches-bin"
    batches.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(rows[:train], 5), start=1):
        (batches / f"data_batch_{number}.bin").write_bytes(part.tobytes())
    (batches / "test_batch.bin").write_bytes(rows[train:].tobytes())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target)
    print(target.resolve())
