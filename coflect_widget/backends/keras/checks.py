"""What a Keras model and its session must be, whatever the data are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from coflect_widget.config import Config


def check_engine() -> None:
    """Raise ValueError unless Keras runs on TensorFlow."""
    engine = keras.backend.backend()
    if engine == "tensorflow":
        return
    instead = (
        "backend='torch' trains a Keras model on the torch engine as a torch.nn.Module; or "
        if engine == "torch"
        else ""
    )
    raise ValueError(
        f"Keras runs on {engine!r} here, and backend 'keras' needs TensorFlow: {instead}"
        'set os.environ["KERAS_BACKEND"] = "tensorflow" before the first import of keras'
    )


def check_arguments(model: object, config: Config, class_weight: object) -> None:
    """Raise TypeError or ValueError for what a Keras model or its session cannot be given."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}; pass a keras.Model")
    if config.mixed_precision:
        raise ValueError(
            "config['mixed_precision'] = True is for torch models; call "
            'keras.mixed_precision.set_global_policy("mixed_float16") before you make the '
            "Keras model, and leave the setting out"
        )
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight is a {type(class_weight).__name__}; pass a mapping of class number "
            "to weight, as dict(enumerate(weights)) makes it"
        )


def check_names(named: int | None, classes: int) -> None:
    """Raise ValueError where classes= names another number of classes than the model has."""
    if named is not None and named != classes:
        raise ValueError(
            f"model has outputs for {classes} classes but classes= names {named}; give the last "
            f"layer {named} outputs or name {classes} classes"
        )


def find_device(wanted: str | None) -> str:
    """The device asked for, or the best that is there."""
    kinds = {device.device_type.lower() for device in tf.config.list_logical_devices()}
    if wanted is not None and wanted not in kinds:
        raise ValueError(
            f"config['device'] = {wanted!r} cannot be used here; TensorFlow sees "
            f"{', '.join(sorted(kinds))}: leave it out to take the best device present"
        )
    if wanted is not None:
        return wanted
    return "gpu" if "gpu" in kinds else "cpu"


def check_scheduler(scheduler: Any, optimizer: Any) -> None:
    """Raise TypeError or ValueError for a schedule that cannot set the learning rate."""
    if scheduler is None:
        return
    schedules = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(scheduler, schedules) or not callable(scheduler):
        raise TypeError(
            f"scheduler={scheduler!r} must be a function (epoch, learning rate) -> learning "
            "rate; a keras LearningRateSchedule belongs into the optimizer: "
            "model.compile(keras.optimizers.Adam(learning_rate=schedule), ...)"
        )
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    if isinstance(inner._learning_rate, schedules):
        raise ValueError(
            "scheduler= sets the learning rate at each epoch's end, but the optimizer has a "
            f"{type(inner._learning_rate).__name__}, which sets it at each step; leave out "
            "scheduler=, or give the optimizer a number"
        )


def compile_model(model: Any, loss: Any, optimizer: Any) -> None:
    """Compile a model that is not compiled, and refuse one whose step is not Keras's own."""
    if model.compiled:
        if loss is not None or optimizer is not None:
            raise ValueError(
                "model is compiled with a loss and an optimizer already; leave out loss= and "
                "optimizer=, or pass a model that is not compiled"
            )
    elif loss is None or optimizer is None:
        raise ValueError(
            "model is not compiled; call model.compile(optimizer='adam', "
            "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)) first, or pass "
            "loss= and optimizer= to Session"
        )
    else:
        model.compile(optimizer=optimizer, loss=loss)
    if type(model).train_step is not keras.Model.train_step:
        raise ValueError(
            f"{type(model).__name__} has a train_step of its own, whose logits nobody else "
            "sees; write it as a loop, for batch in session.loop(...): ..., or leave it out. "
            "A session for a loop takes the model without it: keras.Model(inputs, outputs)"
        )
