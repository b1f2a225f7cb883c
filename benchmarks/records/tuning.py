"""A search that prunes beside one that does not: ``python benchmarks/records/tuning.py``.

A small network on made patients, trained for up to nine epochs, with Optuna's sampler twice from
the same seed: once every trial trains to its end, once Hyperband ends trials early. A result is the
best accuracy on validation data.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import coflect_widget as coflect
from benchmarks.machine import describe

SPACE = {
    "training.lr": (1e-5, 0.3, "log"),
    "training.batch_size": [32, 64, 128],
    "model.width": (4, 128, "log"),
}


def search(folder: Path, pruner: str, trials: int, seed: int) -> tuple[coflect.Sweep, float]:
    """The search, and its seconds."""
    experiment = coflect.Experiment(
        data={"name": "patients", "n": 4000, "invoice": "random"},
        model="mlp",
        training={"epochs": 9, "monitor": "val_accuracy"},
        config={"seed": seed, "attribution": {"budget": 0}, "checkpoint_minutes": 0},
    )
    began = time.monotonic()
    found = coflect.tune(experiment, SPACE, n_trials=trials, pruner=pruner, folder=folder)
    return found, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe())
    print(f"{options.trials} trials, seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        for pruner in ("none", "hyperband"):
            found, seconds = search(Path(folder) / pruner, pruner, options.trials, options.seed)
            states = [trial.state for trial in found.trials]
            epochs = sum(trial.epochs for trial in found.trials)
            print(
                f"{pruner:10} best {found.best.result:.4f}  pruned {states.count('pruned'):2} of "
                f"{len(states)}  epochs {epochs:4}  seconds {seconds:.0f}"
            )


if __name__ == "__main__":
    main()
