"""Small models of the architectures that people use, and weights to send."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.base import WeightSpec


class PlainCNN(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        return self.head(self.pool(self.features(x)).flatten(1))


class Block(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)  # called twice
        self.down = nn.Conv2d(channels, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.down(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
        self.layer3 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1))
        self.layer4 = nn.Sequential(Block(32, 32, 2))
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.head(x.mean((2, 3)))


class MobileNetLike(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(inplace=True), nn.Conv2d(8, 16, 3, 2, 1)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.tail = nn.Sequential(nn.Conv2d(16, 32, 1), nn.Hardswish(), nn.Conv2d(32, classes, 1))

    def forward(self, x):
        return self.tail(self.pool(self.features(x))).flatten(1)


class ViT(nn.Module):
    """Class token by default; the mean over patches otherwise."""

    def __init__(self, classes=4, class_token=True, width=24):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        tokens = 64 + class_token
        self.position = nn.Parameter(torch.randn(1, tokens, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 48, 0.0, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = x + self.position
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, 0] if self.token is not None else x.mean(1))


class ChannelsLastBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        return x + self.mlp(self.norm(x))


class SwinLike(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 4, 4)
        self.block1 = ChannelsLastBlock(12)
        self.block2 = ChannelsLastBlock(12)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, classes)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)  # (B, 8, 8, 12)
        x = self.norm(self.block2(self.block1(x)))
        return self.head(x.mean((1, 2)))


class MLP(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3072, 16), nn.ReLU())
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        return self.head(self.body(x))


class Corner(nn.Module):
    """Class 1 is the red of the top left quarter, class 0 the red of the rest."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.register_buffer("mask", torch.zeros(2, 16, 16))
        self.mask[1, :8, :8] = 1
        self.mask[0] = 1 - self.mask[1]
        self.features.weight.data.zero_()
        self.features.weight.data[:, 0] = 1

    def forward(self, x):
        return (self.features(x) * self.mask).sum((2, 3))


ARCHITECTURES = {
    "plain": PlainCNN,
    "resnet": ResNet,
    "mobilenet": MobileNetLike,
    "vit": ViT,
    "vit_mean": lambda: ViT(class_token=False),
    "swin": SwinLike,
}


def specs(model):
    return [
        WeightSpec(name, tuple(t.shape), str(t.dtype).removeprefix("torch."))
        for name, t in model.state_dict().items()
    ]


def copier(model):
    def copy(arrays):
        for array, tensor in zip(arrays, model.state_dict().values(), strict=True):
            np.copyto(array, tensor.numpy())

    return copy


def snapshots_of(model):
    snapshots = Snapshots(specs(model))
    snapshots.write(0, copier(model))
    return snapshots


def views(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}
