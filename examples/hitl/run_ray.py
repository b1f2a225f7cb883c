"""Ray Train: two workers train one model, steered from a notebook or another script.

    pip install 'coflect-widget[torch,serve,ray]'
    python run_ray.py [--workers 2] [--epochs 20] [--run-dir runs]

It prints what to call where you want to look: coflect.connect(...).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ray
import torch
from ray.train import ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model

import coflect_widget as coflect
from coflect_widget.projects.demo_model import small_resnet


def train(given: dict[str, object]) -> None:
    """In each worker; that of rank 0 has the run folder and is served."""
    torch.manual_seed(0)
    model = prepare_model(small_resnet(num_classes=10))  # in a DistributedDataParallel
    digits = coflect.data.decoy_digits("train")
    test = coflect.data.decoy_digits("test", square="none")
    with coflect.Session(model, digits, test, batch_size=32, run_dir=given["run_dir"]) as session:
        if session.rank == 0:
            place = coflect.serve(session).parent
            print(f'coflect.connect("{place}")', flush=True)
        session.train(epochs=given["epochs"])  # each worker goes over its share of the data
        session.wait()
        if session.rank == 0:  # None where it was stopped before the first epoch's end
            print("accuracy without the squares:", session.metrics.get("val_accuracy"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=True)
    trainer = TorchTrainer(
        train,
        train_loop_config={
            "epochs": options.epochs,
            "run_dir": str(Path(options.run_dir).resolve()),  # a worker has a folder of its own
        },
        torch_config=TorchConfig(backend="gloo"),  # "nccl" on GPUs
        scaling_config=ScalingConfig(num_workers=options.workers),
    )
    trainer.fit()
    ray.shutdown()


if __name__ == "__main__":
    main()
