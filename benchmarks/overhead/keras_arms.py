"""The Keras arms of the overhead benchmark: `fit` on the small network, and a session over it."""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import coflect_widget as coflect
from benchmarks.overhead.arms import Watched, settings
from benchmarks.overhead.workloads import Ends, Workload


def small_resnet(workload: Workload) -> keras.Model:
    """`coflect_widget.projects.demo_model.small_resnet` in Keras, compiled."""
    keras.utils.set_random_seed(0)

    def normalised(x: Any, channels: int, size: int, stride: int) -> Any:
        x = layers.Conv2D(channels, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def block(x: Any, channels: int, stride: int) -> Any:
        y = layers.ReLU()(normalised(x, channels, 3, stride))
        y = normalised(y, channels, 3, 1)
        plain = stride == 1 and x.shape[-1] == channels
        return layers.ReLU()(y + (x if plain else normalised(x, channels, 1, stride)))

    inputs = keras.Input((workload.side, workload.side, 3))
    x = layers.ReLU()(normalised(inputs, 16, 3, 1))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        x = block(x, channels, stride)
    outputs = layers.Dense(workload.classes)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class PlainFit:
    """`model.fit` over arrays in memory, with nothing round it."""

    def __init__(
        self,
        workload: Workload,
        data: tuple[np.ndarray, np.ndarray],
        model: keras.Model,
        ends: Ends,
    ) -> None:
        self.model = model
        self.ends = ends
        batches = tf.data.Dataset.from_tensor_slices(data).shuffle(len(data[0]))
        self._batches = batches.batch(workload.batch).prefetch(2).repeat()

    def train(self, steps: int) -> None:
        """Do `steps` steps."""
        ends = self.ends

        class Note(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                ends.append(time.perf_counter_ns())

        self.model.fit(self._batches, steps_per_epoch=steps, verbose=0, callbacks=[Note()])


class WatchedKeras(Watched):
    """A Session with everything on, over the same model and data."""

    def __init__(
        self, workload: Workload, folder: str, *, bank: int = 0, overlays: bool = True
    ) -> None:
        x, y = workload.data()
        data = x.transpose(0, 2, 3, 1).copy(), y
        model = small_resnet(workload)
        self.ends = Ends()
        self.plain = PlainFit(workload, data, model, self.ends)
        self.session = coflect.Session(
            model,
            data,
            batch_size=workload.batch,
            run_dir=folder,
            config=settings(workload, overlays=overlays),
        )
        backend = self.session._made().backend
        step = backend.train_step

        def timed(batch: Any) -> Any:
            output = step(batch)
            self.ends.append(time.perf_counter_ns())
            if len(self.ends) == self.ends.turn_at:
                self.ends.turn()
            return output

        backend.train_step = timed  # type: ignore[method-assign]
        self.begin(bank)
