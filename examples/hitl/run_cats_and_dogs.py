"""Cats and dogs of CIFAR-10 from a script: accuracy, overlays, forecasts, gates, hit rate.

    python run_cats_and_dogs.py --data-root DIR [--epochs 24]

DIR holds the official binary archive's folder, cifar-10-batches-bin; with --download it is
fetched there first. The notebook 02_cats_and_dogs.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse
import time

from torch.optim.lr_scheduler import MultiStepLR

import coflect_widget as coflect
from coflect_widget.projects.demo_model import small_resnet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()

    root, download = options.data_root, options.download
    train = coflect.data.cifar10_catsdogs(root, "train", download=download)
    test = coflect.data.cifar10_catsdogs(root, "test", download=download)
    model = small_resnet(num_classes=2, seed=options.seed)

    with coflect.Session(
        model, train, test, classes=["cat", "dog"], run_dir=options.run_dir,
        config={"seed": options.seed},
        scheduler=lambda o: MultiStepLR(o, milestones=[max(1, options.epochs * 4 // 5)]),
    ) as session:  # fmt: skip
        session.train(epochs=options.epochs)
        shown = 0
        while not session.wait(timeout=5):
            now = session.metrics
            if now["epoch"] > shown:
                shown = now["epoch"]
                print(f"epoch {shown:3d}  {describe(now)}", flush=True)
        report(session)


def describe(metrics: dict) -> str:
    return (
        f"loss {metrics['loss']:.3f}  accuracy {metrics['accuracy']:.3f}  "
        f"test accuracy {metrics['val_accuracy']:.3f}"
    )


def report(session: coflect.Session) -> None:
    """The run in figures, all of them read back from the recorded events."""
    accuracy = [e.data["values"]["accuracy"] for e in session.events("metrics") if e.split == "val"]
    print(f"test accuracy      {accuracy[-1]:.4f} (best {max(accuracy):.4f})")
    cost = session.events("cost")[-1].data
    print(
        f"overlays           {cost.overlays_made} made, {cost.overlays_skipped} skipped, "
        f"{cost.overlays_failed} failed, {cost.overlay_seconds:.1f} s of processor time"
    )
    print(f"forecasts          {len(session.events('forecast'))}")
    windows = session.events("window")
    for number, gate in enumerate(windows[-1].data.gates):
        epochs = [event.epoch for event in windows if event.data.gates[number].passed]
        passed = f"first passed at epoch {epochs[0]}" if epochs else "never passed"
        print(f"gate {gate.name:<13} {passed}")
    opened = next((event.epoch for event in windows if event.data.open), None)
    print(f"review window      {'never open' if opened is None else f'open at epoch {opened}'}")
    scores = [event.data for event in session.events("forecast_scored")]
    shown = {
        "first forecast": scores[:1],
        "first in window": [score for score in scores if score.window_open][:1],
    }
    for name, score in shown.items():
        for s in score:
            print(
                f"{name:<18} {s.hits} of {s.named} named at epoch {s.epoch_named} were wrong at "
                f"epoch {s.epoch_due} (hit rate {s.hits / s.named:.2f}, "
                f"chance {s.chance / s.named:.2f})"
            )


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took               {time.monotonic() - started:.0f} s")
