"""Whether a compiled loss fits a model's outputs, and in which form it takes targets."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.model import Head
from coflect_widget.backends.label_forms import Form
from coflect_widget.backends.targets import SEVERAL_LABELS

#: What a loss is given: (B,) or (B, 1) of numbers, or one-hot rows (B, classes).
TargetForm = Literal["numbers", "column", "one-hot"]

_REGRESSION = {
    "mse", "meansquarederror", "mae", "meanabsoluteerror", "mape", "meanabsolutepercentageerror",
    "msle", "meansquaredlogarithmicerror", "huber", "logcosh", "poisson",
}  # fmt: skip
#: Losses of Keras that take logits where they are made so.
_WITH_LOGITS = {
    name.lower(): name
    for name in (
        "SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy",
        "CategoricalFocalCrossentropy", "BinaryFocalCrossentropy",
    )
}  # fmt: skip
#: Activations whose values are no probabilities.
_NO_PROBABILITY = {
    "linear", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish",
    "mish", "softplus", "softsign",
}  # fmt: skip
_KL = {"kldivergence", "kullbackleiblerdivergence"}


def loss_name(loss: Any) -> str:
    """Name of a loss, or of what it is made from, in small letters without underscores."""
    if isinstance(loss, list | tuple | dict) and len(loss) == 1:
        [loss] = loss.values() if isinstance(loss, dict) else loss
    if isinstance(loss, str):
        name = loss
    else:
        kind = type(loss)
        if kind.__module__.startswith("keras."):
            inner = getattr(loss, "fn", None)  # a function that Keras wraps
            name = getattr(inner, "__name__", kind.__name__)
        else:
            name = getattr(loss, "__name__", kind.__name__)
    return name.lower().replace("_", "")


def takes_logits(loss: Any) -> bool | None:
    """The loss's own ``from_logits``; None where it has none, or nobody can tell."""
    if isinstance(loss, list | tuple | dict) and len(loss) == 1:
        [loss] = loss.values() if isinstance(loss, dict) else loss
    said = getattr(loss, "from_logits", None)
    if said is None and "crossentropy" in loss_name(loss) and _is_keras_own(loss):
        return False
    return None if said is None else bool(said)


def _is_keras_own(loss: Any) -> bool:
    return isinstance(loss, str) or getattr(loss, "__module__", "").startswith("keras.")


def last_activation(model: Any) -> str:
    """Name of the activation that a model's output comes from, "" where nobody can tell."""
    outputs = getattr(model, "outputs", None)
    tensor = outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else None
    while tensor is not None:
        layer, node, _ = tensor._keras_history
        if isinstance(layer, keras.Model):
            return last_activation(layer)
        name = getattr(getattr(layer, "activation", None), "__name__", "")
        if not isinstance(layer, keras.layers.Activation) or name != "linear":
            return str(name)
        tensor = layer._inbound_nodes[node].input_tensors[0]  # it only changes the dtype
    return ""


def find_head(outputs: Any, loss: Any, last: str = "") -> Head:
    """What a model's outputs (B, classes) on some samples are.

    A single output between 0 and 1 may be either; then the compiled loss says what it takes,
    where the name of the `last` activation does not.
    Samples on which an output is NaN or infinite tell nothing.
    """
    values = finite_rows(outputs)
    inside = hasattr(outputs, "_keras_logits")  # of a softmax or a sigmoid
    if outputs.shape[1] == 1:
        if "hinge" in loss_name(loss) or last in _NO_PROBABILITY:
            return "logit"
        between = bool(((values > 0) & (values < 1)).all()) and not takes_logits(loss)
        return "sigmoid" if inside or between else "logit"
    if not len(values):
        return "softmax" if inside or takes_logits(loss) is False else "logits"
    tolerance = 1e-2 if outputs.dtype in (tf.bfloat16, tf.float16) else 1e-3
    positive = bool((values >= 0).all())
    if positive and np.allclose(values.sum(1), 1, atol=tolerance):
        return "softmax"
    shares = inside or (positive and bool((values <= 1).all()) and takes_logits(loss) is False)
    return "sigmoids" if shares else "logits"


def check_loss(loss: Any, head: Head, outputs: Any, last: str = "") -> None:
    """Raise ValueError for a compiled loss that means something else than classes.

    Parameters
    ----------
    outputs : tensor (B, D)
        What the model gives on some samples.
    last : str
        Name of its last activation, where it is known.
    """
    name, logits = loss_name(loss), takes_logits(loss)
    count = int(outputs.shape[1])
    inside = hasattr(outputs, "_keras_logits")
    values = finite_rows(outputs)
    shown = _shown(loss)
    likely = bool(((values >= 0) & (values <= 1 + 1e-3)).all()) and last not in _NO_PROBABILITY
    if count == 1:
        _check_one_output(name, head, values, shown)
    elif ("binary" in name and "crossentropy" in name and head != "softmax") or (
        "hinge" in name and "categorical" not in name
    ):
        raise ValueError(
            f"model is compiled with {shown} over {count} outputs, which asks of each class alone "
            f"whether it is there, and {SEVERAL_LABELS}; for one class a sample "
            f"{_with_classes(head)}"
        )
    if name in _REGRESSION and head in ("logits", "logit"):
        raise ValueError(
            f"model is compiled with {shown} and its outputs are no probabilities, which is "
            "regression: pass task='regression'; for classes "
            + (_with_classes(head) if count > 1 else _BINARY)
        )
    if len(values) and not likely and not inside and (logits is False or name in _KL):
        raise ValueError(
            f"model is compiled with {shown}, which takes probabilities, but its outputs run from "
            f"{values.min():.3g} to {values.max():.3g}; give its last layer "
            f"activation={'softmax' if count > 1 else 'sigmoid'!r}"
            + (f", or compile with {_made_with_logits(name)}" if name in _WITH_LOGITS else "")
        )
    if head == "softmax" and logits and not inside:
        raise ValueError(
            f"model is compiled with {shown}, made with from_logits=True, but its outputs are "
            "probabilities that sum to 1; make the loss with from_logits=False"
        )


def _check_one_output(name: str, head: Head, values: NDArray[np.float32], shown: str) -> None:
    if len(values) > 1 and head == "sigmoid" and (abs(values - 1) < 1e-6).all():
        raise ValueError(
            "model has one output, and it is 1 for every sample, as of a softmax over one value; "
            "give the last layer activation='sigmoid'"
        )
    if "categorical" in name:
        raise ValueError(
            f"model is compiled with {shown}, which takes one output a class, but has one output; "
            "give the last layer 2 outputs, or compile with "
            f"keras.losses.BinaryCrossentropy(from_logits={head == 'logit'})"
        )


def _made_with_logits(name: str) -> str:
    return f"keras.losses.{_WITH_LOGITS[name]}(from_logits=True)"


_BINARY = "compile with keras.losses.BinaryCrossentropy(from_logits=True)"


def _with_classes(head: Head) -> str:
    if head == "softmax":
        return "compile with 'sparse_categorical_crossentropy'"
    if head == "sigmoids":
        return (
            "give the last layer activation='softmax' and compile with "
            "'sparse_categorical_crossentropy'"
        )
    return "compile with keras.losses.SparseCategoricalCrossentropy(from_logits=True)"


def finite_rows(outputs: Any) -> NDArray[np.float32]:
    """Outputs (n, D) of the samples on which all of them are finite."""
    values: NDArray[np.float32] = np.asarray(outputs, dtype=np.float32)
    return values[np.isfinite(values).all(1)]


def target_form(loss: Any, head: Head, given: Form) -> TargetForm:
    """How the compiled loss takes its targets, where labels are `given` in this form.

    A function of the user's own gets them as they are given, as in ``fit``.
    """
    name = loss_name(loss)
    if "sparse" in name:
        return "numbers"
    if head in ("logit", "sigmoid"):
        return "column"
    known = "categorical" in name or name in _KL or name in _REGRESSION
    return "one-hot" if known or "binary" in name else given


def said_of_outputs(
    head: Head, loss: Any, outputs: Any, given: Form, form: TargetForm
) -> list[str]:
    """What was guessed about a model's outputs and the targets of its loss."""
    said = []
    certain = hasattr(outputs, "_keras_logits")  # of a softmax or a sigmoid
    if head == "softmax" and not certain:
        said.append(
            "The model's outputs were taken for probabilities: they sum to 1 on the samples that "
            "were looked at."
        )
    elif head == "sigmoid" and not certain:
        said.append(
            "The model's one output was taken for the probability of class 1: it is between 0 and "
            "1 on the samples that were looked at."
        )
    elif head == "sigmoids":
        said.append(
            "The model's outputs are between 0 and 1 and do not sum to 1; their shares were taken "
            "for the probabilities of classes that exclude each other."
        )
    elif head == "logits" and takes_logits(loss) is None:
        said.append("The model's outputs were taken for logits.")
    elif head == "logit" and takes_logits(loss) is None:
        said.append("The model's one output was taken for the logit of class 1.")
    if form == "one-hot" and given != "one-hot":
        said.append(f"Class numbers are given to the loss {_shown(loss)} as one-hot rows.")
    return said


def _shown(loss: Any) -> str:
    if isinstance(loss, str):
        return f"loss={loss!r}"
    if isinstance(loss, list | tuple | dict):
        return f"loss={loss!r}"
    return f"the loss {getattr(loss, '__name__', None) or type(loss).__name__!s}"
