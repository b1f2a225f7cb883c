"""Segmentation and several labels, with a coloured square that gives the classes away.

    python run_segmentation.py [--epochs 12]

The notebook 08_segmentation_and_labels.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

import coflect_widget as coflect
from coflect_widget.data.blobs import Blobs


def layers(inputs: int, outputs: int) -> nn.Module:
    """A convolution, normalised."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class UNet(nn.Module):
    """A small U-Net: 32 x 32 pixels, down to 8 x 8 and back."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.middle, self.coarse = layers(3, 12), layers(12, 24), layers(24, 36)
        self.up, self.out = layers(60, 24), layers(36, 12)
        self.head = nn.Conv2d(12, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> logits (B, classes, H, W)."""
        fine = self.fine(x)
        middle = self.middle(max_pool2d(fine, 2))
        coarse = self.coarse(max_pool2d(middle, 2))
        coarse = coarse + coarse.mean((2, 3), keepdim=True)  # what the whole picture shows
        x = self.up(torch.cat([interpolate(coarse, scale_factor=2.0), middle], 1))
        x = self.out(torch.cat([interpolate(x, scale_factor=2.0), fine], 1))
        logits: torch.Tensor = self.head(x)
        return logits


def classifier(labels: int) -> nn.Module:
    """Convolutions and the mean over all places."""
    torch.manual_seed(0)
    return nn.Sequential(
        layers(3, 12), nn.MaxPool2d(2), layers(12, 24), nn.MaxPool2d(2), layers(24, 36),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(36, labels),
    )  # fmt: skip


def train(task: str, model: nn.Module, metric: str, options: argparse.Namespace) -> None:
    """A third of the epochs, five strokes on squares, and the rest."""
    data: Blobs = coflect.data.blobs(task=task)  # type: ignore[arg-type]  # one of two words
    val = coflect.data.blobs("test", task=task, square="none")  # type: ignore[arg-type]
    with coflect.Session(
        model,
        data,
        val,
        classes=data.classes,
        task=task,
        batch_size=32,
        optimizer=torch.optim.Adam(model.parameters(), 3e-3),
        run_dir=options.run_dir,
    ) as session:
        session.train(epochs=options.epochs // 3)
        session.wait()
        print(f"{task}: {metric} without squares:", round(session.metrics[f"val_{metric}"], 3))
        explanation = session.explain(4, target="disc")
        print("the map is of", session.classes[explanation.explained or 0], explanation.top_probs)
        for sample in range(5):
            session.feedback(sample, ignore=tuple(data.squares[sample].tolist()))
        session.train(epochs=options.epochs - options.epochs // 3)
        session.wait()
        print(f"{task}: {metric} without squares:", round(session.metrics[f"val_{metric}"], 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train("segmentation", UNet(4), "iou", options)
    train("multi_label", classifier(3), "label_accuracy", options)


if __name__ == "__main__":
    main()
