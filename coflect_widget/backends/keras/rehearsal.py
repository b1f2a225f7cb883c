"""One training step before training, after which everything is as it was.

So a loss, weights, metrics or an optimizer that do not fit are found where the person can still
see the line that made them.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, NonFiniteLossError, batch_cuts


def rehearse(
    model: Any,
    source: Any,
    batch_size: int,
    step: Callable[[Batch], object],
    targets: Callable[[NDArray[np.int64]], NDArray[Any]],
) -> None:
    """Do one step of training on the samples that were looked at, and take it back.

    The step is compiled for the batch size of training, which then begins with it at once.

    Parameters
    ----------
    model : keras.Model
    source : Source
        The training data.
    batch_size : int
    step : callable
        Trains on a batch.
    targets : callable
        Class numbers in the form that the loss takes.

    Raises
    ------
    ValueError
        If a step cannot be made; the message says why.
    """
    if not model.trainable_variables:
        raise ValueError(
            "model has no weights to train: "
            + (
                "all layers are frozen; set layer.trainable = True for those to be trained, and "
                "model.trainable = True"
                if model.weights
                else "no layer has any; add one that has, such as keras.layers.Dense"
            )
        )
    first, last = batch_cuts(source.length, batch_size)[0]
    places = np.resize(source.read_so_far(), last - first)
    known = {index: source.sample(index) for index in set(places.tolist())}
    inputs = np.stack([known[int(i)][0] for i in places])
    labels = np.array([known[int(i)][1] for i in places])
    with unchanged(model):
        try:
            step(Batch(places.astype(np.int64), inputs, labels))
        except NonFiniteLossError:
            return  # training holds there, and says which sample it was
        except Exception as error:  # Keras and TensorFlow have many kinds
            raise ValueError(
                f"one step of training was tried, and model fails with the loss {model.loss!r} on "
                f"{len(places)} samples {inputs.shape[1:]} and targets of shape "
                f"{targets(labels).shape}: {short(error)}"
            ) from error


def draws_on(step: Any) -> bool:
    """Whether a compiled step has drawn from a generator that is put back by compiling it again.

    Those are TensorFlow's own stateful generators; layers of Keras have seeds in variables.
    """
    if not hasattr(step, "_list_all_concrete_functions"):
        return False  # not compiled
    for concrete in step._list_all_concrete_functions():
        graph = concrete.graph.as_graph_def()
        nodes = [
            *graph.node,
            *(node for inner in graph.library.function for node in inner.node_def),
        ]
        if any(node.op in _STATEFUL for node in nodes):
            return True
    return False


_STATEFUL = {
    "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomGamma",
    "RandomPoissonV2", "RandomShuffle", "Multinomial", "ParameterizedTruncatedNormal",
}  # fmt: skip


def outputs_of(model: Any, inputs: NDArray[np.float32]) -> Any:
    """What a model gives for some samples, (n, classes)."""
    try:
        outputs = model(inputs, training=False)
    except Exception as error:  # Keras has many kinds
        raise ValueError(
            f"model fails on a batch of shape {inputs.shape} made from train_data: {error}"
        ) from error
    check_outputs(outputs, len(inputs), model)
    return outputs


def try_loss(model: Any, inputs: Any, targets: NDArray[Any], outputs: Any) -> None:
    """Compute loss and metrics once, outside any graph: they make variables, or do not fit."""
    try:
        loss = model.compute_loss(inputs, targets, outputs, None, training=False)
        model.compute_metrics(inputs, targets, outputs, None)
    except Exception as error:
        raise ValueError(
            f"the model's compiled loss {model.loss!r} or metrics cannot be used with outputs "
            f"of shape {tuple(outputs.shape)} and targets of shape {targets.shape}: "
            f"{short(error)}; compile it with a loss, loss_weights and metrics for such"
        ) from error
    check_scalar(loss, model.loss)
    model.reset_metrics()


def check_scalar(loss: Any, compiled: Any) -> None:
    """Raise ValueError where the compiled loss gives more than one number a batch."""
    shape = tuple(loss.shape)
    if shape:
        raise ValueError(
            f"the model's compiled loss {compiled!r} gives values of shape {shape} for a batch, "
            "not one; make it with reduction='sum_over_batch_size'"
        )


@contextlib.contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Within the block a model may be trained; afterwards it, and random numbers, are as before.

    Those are weights, running statistics, seeds, metrics and the optimizer's variables.
    """
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    variables = {id(v): v for v in (*model.variables, *optimizer.variables)}
    before = [(variable, variable.numpy().copy()) for variable in variables.values()]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def check_outputs(outputs: Any, count: int, model: Any) -> None:
    """Raise ValueError unless a model gave (count, classes); it never guesses among several."""
    if isinstance(outputs, dict):
        names = ", ".join(f"{name!r} {_shape(value)}" for name, value in outputs.items())
        how = "model.output['NAME']" if _is_functional(model) else ""
        raise ValueError(_several(f"a dict of {len(outputs)} outputs, {names}", how, "NAME"))
    if isinstance(outputs, tuple | list):
        shapes = ", ".join(_shape(value) for value in outputs)
        how = "model.outputs[PLACE]" if _is_functional(model) else ""
        raise ValueError(
            _several(
                f"a {type(outputs).__name__} of {len(outputs)} outputs, {shapes}", how, "PLACE"
            )
        )
    if not tf.is_tensor(outputs):
        raise ValueError(
            f"model gives a {type(outputs).__name__} for {count} samples; it must give a tensor "
            "(samples, classes)"
        )
    shape = tuple(outputs.shape)
    if len(shape) == 2 and shape[0] == count and shape[1] > 0:
        return
    if len(shape) == 4 and min(shape[1:3]) > 1:
        remedy = (
            "; one output for each place needs task='segmentation'. For one class a picture let "
            "the model end "
            "with keras.layers.GlobalAveragePooling2D()"
        )
    elif len(shape) > 2 and shape[0] == count:
        remedy = "; let the model end with keras.layers.Flatten(), where that leaves the classes"
    elif len(shape) == 1:
        remedy = "; for one output let the model end with keras.layers.Reshape((1,))"
    else:
        remedy = ""
    raise ValueError(
        f"model gives {shape} for {count} samples; it must give (samples, classes){remedy}"
    )


def _several(what: str, how: str, place: str) -> str:
    remedy = (
        f"pass keras.Model(model.inputs[0], {how}), with the {place.lower()} of the logits or "
        "probabilities of the classes as "
        f"{place}, compiled with the loss of that output"
        if how
        else "let its call() return the logits or probabilities of the classes alone"
    )
    return f"model gives {what}, and a session trains on one, (samples, classes): {remedy}"


def _is_functional(model: Any) -> bool:
    return bool(getattr(model, "outputs", None))


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if hasattr(value, "shape") else type(value).__name__


def short(error: Exception) -> str:
    """An error's own words without the list of arguments that Keras adds."""
    text = str(error)
    for mark in ("\n\nArguments received", "\n\nDetected at node", "\nArguments received"):
        text = text.partition(mark)[0]
    return text.strip()
