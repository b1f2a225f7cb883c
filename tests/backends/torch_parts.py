"""What tests of the Torch backend share: a model, pictures, a backend made with few words."""

import numpy as np
import torch
from torch import nn

from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config

N = 96


def cnn(outputs=4, channels=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, outputs),
    )  # fmt: skip


def pictures(classes=4, side=16, channels=3):
    rng = np.random.default_rng(0)
    images = rng.random((N, channels, side, side), dtype=np.float32)
    return images, rng.integers(0, classes, N)


def backend(train, val=None, model=None, *, num_classes=None, config=None, **arguments):
    options = {"loss": None, "optimizer": None, "scheduler": None, "batch_size": 16, **arguments}
    return TorchBackend(
        cnn() if model is None else model, train, val, num_classes=num_classes,
        config=Config.from_mapping(config), **options,
    )  # fmt: skip


class Items:
    """A map-style data set of a list, or of a function of the index."""

    def __init__(self, items, length=None):
        self.items = items
        self.length = len(items) if length is None else length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.items(index) if callable(self.items) else self.items[index]


def losses_of(engine, epochs=1):
    """The losses of so many epochs, and the weights after them."""
    engine.begin()
    losses = [
        float(engine.train_step(batch).loss)
        for epoch in range(epochs)
        for batch in engine.train_batches(epoch)
    ]
    return losses, [p.detach().clone() for p in engine.model.state_dict().values()]
