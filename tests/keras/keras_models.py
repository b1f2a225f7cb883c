"""Keras models of every kind, and the Torch twin of one with the same weights."""

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

CLASSES = 4


def compiled(model, loss=None, optimizer=None, metrics=None):
    model.compile(
        metrics=metrics,
        optimizer=optimizer or keras.optimizers.SGD(0.05),
        loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def sequential(seed=0, side=32, last=None, outputs=CLASSES, norm=True):
    keras.utils.set_random_seed(seed)
    normalised = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    return keras.Sequential([
        keras.Input((side, side, 3)),
        layers.Conv2D(8, 3, padding="same", name="first"),
        normalised if norm else layers.Identity(),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, padding="same", activation="relu", name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(outputs, activation=last),
    ])  # fmt: skip


def functional(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((32, 32, 3))
    a = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="down")(inputs)
    b = layers.Conv2D(8, 3, padding="same", activation="relu", name="branch")(a)
    c = layers.Add(name="joined")([a, b])
    d = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(c))
    return keras.Model(inputs, layers.Dense(CLASSES)(d))


def nested(seed=0):
    keras.utils.set_random_seed(seed)
    body = keras.Sequential(
        [layers.Conv2D(8, 3, padding="same", activation="relu", name="inner"),
         layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="deep")],
        name="body",
    )  # fmt: skip
    inputs = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(body(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES)(pooled))


class Subclassed(keras.Model):
    """With an argument of its own and no get_config."""

    def __init__(self, width):
        super().__init__()
        self.conv = layers.Conv2D(width, 3, padding="same", activation="relu")
        self.norm = layers.BatchNormalization()
        self.blocks = [layers.Conv2D(width, 3, strides=2, padding="same") for _ in range(2)]
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(CLASSES)

    def call(self, x, training=False):
        x = self.norm(self.conv(x), training=training)
        for block in self.blocks:
            x = keras.ops.relu(block(x))
        return self.head(self.pool(x))


def subclassed(seed=0):
    keras.utils.set_random_seed(seed)
    return Subclassed(8)


def channels_first(seed=0):
    """TensorFlow convolves channels first on no CPU, so the layers turn the axes themselves."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((3, 32, 32))
    x = layers.Permute((2, 3, 1))(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Permute((3, 1, 2), name="turned")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def vision_transformer(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((64, 16))(x)
    for number in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add(name=f"attended_{number}")([x, layers.MultiHeadAttention(2, 8)(y, y)])
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add(name=f"block_{number}")([x, y])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def torch_twin(model):
    """The Torch model of `sequential`, with the same weights."""
    twin = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=0.1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, CLASSES),
    )  # fmt: skip
    weights = [np.array(w.numpy()) for w in model.weights]
    if len(weights) < 10:
        twin[1] = nn.Identity()
    k1, b1, *norm, k2, b2, k3, b3 = weights
    with torch.no_grad():
        if norm:
            names = ("weight", "bias", "running_mean", "running_var")
            for name, value in zip(names, norm, strict=True):
                getattr(twin[1], name).copy_(torch.from_numpy(value))
        for target, value in [
            (twin[0].weight, k1.transpose(3, 2, 0, 1)), (twin[0].bias, b1),
            (twin[4].weight, k2.transpose(3, 2, 0, 1)), (twin[4].bias, b2),
            (twin[8].weight, k3.T), (twin[8].bias, b3),
        ]:  # fmt: skip
            target.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return twin
