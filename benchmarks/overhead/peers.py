"""What people use today for a part of the same job, hooked into the plain loop.

Each factory gives ``after(loop, logits)``, called after every step. Overlays: Grad-CAM and a
SmoothGrad of 16 samples of one image each 100 steps, on the training thread. Logging: three
scalars a step and, each epoch, a table with loss, confidence and correctness of each sample.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.overhead.workloads import PlainLoop, Workload

After = Callable[[PlainLoop, torch.Tensor], None]
EVERY = 100


def last_convolution(model: nn.Module) -> nn.Module:
    found = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    if not found:
        raise SystemExit("this peer needs a convolution; leave this workload out for it")
    return found[-1]


def captum_in_the_loop(workload: Workload, folder: Path) -> After:
    from captum.attr import LayerGradCam, NoiseTunnel, Saliency

    def after(loop: PlainLoop, logits: torch.Tensor) -> None:
        if loop.step % EVERY:
            return
        loop.model.eval()
        x, target = loop.x[loop.rows[:1]], int(logits[0].argmax())
        LayerGradCam(loop.model, last_convolution(loop.model)).attribute(x, target)
        NoiseTunnel(Saliency(loop.model)).attribute(
            x, nt_samples=16, nt_samples_batch_size=16, stdevs=0.15, target=target
        )
        loop.model.train()

    return after


def torchcam_in_the_loop(workload: Workload, folder: Path) -> After:
    from torchcam.methods import GradCAM, SmoothGradCAMpp

    def after(loop: PlainLoop, logits: torch.Tensor) -> None:
        if loop.step % EVERY:
            return
        loop.model.eval()
        x, target = loop.x[loop.rows[:1]], int(logits[0].argmax())
        layer = last_convolution(loop.model)
        with GradCAM(loop.model, target_layer=layer) as cam:
            cam(target, loop.model(x))
        with SmoothGradCAMpp(loop.model, target_layer=layer, num_samples=16) as cam:
            cam(target, loop.model(x))
        loop.model.zero_grad(set_to_none=True)
        loop.model.train()

    return after


class _Table:
    """Per-sample telemetry as a user of a logger collects it: one row a sample and epoch."""

    def __init__(self, workload: Workload) -> None:
        self.size = workload.samples
        self.rows = np.zeros((workload.samples, 3), np.float32)
        self.per_epoch = -(-workload.samples // workload.batch)

    def add(self, loop: PlainLoop, logits: torch.Tensor) -> bool:
        """Note one batch; True at the end of an epoch."""
        probabilities = logits.detach().softmax(1)
        own = probabilities[torch.arange(len(loop.rows)), loop.y[loop.rows]]
        right = probabilities.argmax(1) == loop.y[loop.rows]
        self.rows[loop.rows.numpy()] = torch.stack(
            [-own.clamp_min(1e-12).log(), own, right.float()], 1
        ).numpy()
        return loop.step % self.per_epoch == 0


def _scalars(loop: PlainLoop, logits: torch.Tensor) -> dict[str, float]:
    right = (logits.detach().argmax(1) == loop.y[loop.rows]).float().mean()
    return {
        "loss": float(loop.loss.detach()),
        "accuracy": float(right),
        "learning_rate": loop.optimizer.param_groups[0]["lr"],
    }


def tensorboard(workload: Workload, folder: Path) -> After:
    from torch.utils.tensorboard import SummaryWriter

    writer, table = SummaryWriter(str(folder)), _Table(workload)

    def after(loop: PlainLoop, logits: torch.Tensor) -> None:
        for name, value in _scalars(loop, logits).items():
            writer.add_scalar(name, value, loop.step)
        if table.add(loop, logits):
            writer.add_tensor("samples", torch.from_numpy(table.rows), loop.step)

    return after


def wandb_offline(workload: Workload, folder: Path) -> After:
    import wandb

    run = wandb.init(mode="offline", dir=str(folder), project="overhead")
    table = _Table(workload)

    def after(loop: PlainLoop, logits: torch.Tensor) -> None:
        values: dict[str, object] = dict(_scalars(loop, logits))
        if table.add(loop, logits):
            values["samples"] = wandb.Table(
                columns=["loss", "confidence", "correct"], data=table.rows.tolist()
            )
        run.log(values, step=loop.step)

    return after


def mlflow_files(workload: Workload, folder: Path) -> After:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    # Without a place of their own the tables come to lie in the folder one stands in.
    artifacts = (folder / "artifacts").as_uri()
    mlflow.start_run(experiment_id=mlflow.create_experiment("overhead", artifacts))
    table = _Table(workload)

    def after(loop: PlainLoop, logits: torch.Tensor) -> None:
        mlflow.log_metrics(_scalars(loop, logits), step=loop.step, synchronous=False)
        if table.add(loop, logits):
            columns = dict(
                zip(("loss", "confidence", "correct"), table.rows.T.tolist(), strict=True)
            )
            mlflow.log_table(columns, f"samples_{loop.step}.json")

    return after


PEERS: dict[str, Callable[[Workload, Path], After]] = {
    "Captum in the loop": captum_in_the_loop,
    "TorchCAM in the loop": torchcam_in_the_loop,
    "TensorBoard": tensorboard,
    "wandb offline": wandb_offline,
    "MLflow": mlflow_files,
}
