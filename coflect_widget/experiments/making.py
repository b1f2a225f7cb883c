"""From an experiment's settings to what a session is made of: data, model, optimizer, loss."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget.backends.registry import BACKENDS, find_backend, resolve
from coflect_widget.config import nearest
from coflect_widget.experiments.settings import Named, Training
from coflect_widget.registry import call, find

#: What data by a name or by a function of one's own may say of itself.
_OF_DATA = (
    "train_data", "val_data", "classes", "class_weight", "inputs", "task", "tokenizer",
)  # fmt: skip

#: What an architecture may want to know of the data, and the seed.
OFFERED = {"input_shape", "outputs", "words", "seed"}


@dataclass(frozen=True, slots=True)
class Made:
    """What an experiment's session is made of; loops of one's own get it.

    Attributes
    ----------
    model, train_data, val_data
    arguments : dict
        The other arguments of `Session`.
    settings : Training
        ``training`` of the experiment.
    resumed : bool
        Whether a run is gone on with, which has steps left.
    """

    model: Any
    train_data: Any
    val_data: Any
    arguments: dict[str, Any]
    settings: Training
    resumed: bool = False


def make(
    data: Named, model: Named, settings: Training, seed: int, *, resumed: bool = False
) -> Made:
    """Make data and model by their names, from one seed.

    Raises
    ------
    ValueError
        If a name or an argument is not known; the message has the nearest.
    """
    maker = find("architecture", model.name)  # which imports its framework
    given = _data(call(find("data", data.name), data.arguments, "data", {}), data.name)
    offered = _offered(given) | {"seed": seed}
    _begin_chance(seed)
    made = call(maker, model.arguments, "model", offered)
    arguments = {k: v for k, v in given.items() if k not in ("train_data", "val_data")}
    arguments |= {"batch_size": settings.batch_size, **_trained_by(made, settings)}
    return Made(
        made, given["train_data"], given.get("val_data"), arguments, settings, resumed=resumed
    )


def _data(given: Any, name: str) -> dict[str, Any]:
    if isinstance(given, tuple) and len(given) == 2:
        return {"train_data": given[0], "val_data": given[1]}
    if isinstance(given, Mapping) and "train_data" in given:
        for one in given:
            if one not in _OF_DATA:
                raise ValueError(
                    f"data {name!r} gives {one!r}; {nearest(str(one), list(_OF_DATA))}"
                )
        return dict(given)
    raise ValueError(
        f"data {name!r} gives {type(given).__name__}; expected the pair (train_data, val_data), or "
        'a mapping of arguments of a Session, such as {"train_data": ..., "classes": [...]}'
    )


def _offered(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an architecture may want to know of the data, as far as it shows."""
    train = given["train_data"]
    offered: dict[str, Any] = {}
    pair = train if isinstance(train, tuple | list) and len(train) == 2 else None
    first = pair[0][0] if pair is not None and hasattr(pair[0], "shape") else None
    labels = pair[1] if pair is not None else getattr(train, "labels", None)
    if first is None and pair is None and hasattr(train, "__getitem__"):
        item = train[0]
        first = item[0] if isinstance(item, tuple | list) else None
    if first is not None and hasattr(first, "shape"):
        offered["input_shape"] = tuple(int(size) for size in first.shape)
    outputs = _outputs(given.get("classes"), labels)
    if outputs is not None:
        offered["outputs"] = outputs
    if hasattr(given.get("tokenizer"), "__len__"):
        offered["words"] = len(given["tokenizer"])
    return offered


def _outputs(classes: Any, labels: Any) -> int | None:
    if classes is not None:
        return len(classes)
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.ndim == 2:
        return int(values.shape[1])
    return int(values.max()) + 1 if np.issubdtype(values.dtype, np.integer) else 1


def _begin_chance(seed: int) -> None:
    """Begin the chance of Python, of numpy and of each framework that is there anew."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the user's own code may draw from it
    for parts in BACKENDS.values():
        if parts.package in sys.modules:
            resolve(f"{parts.by_name}:seed")(seed)


def _trained_by(model: Any, settings: Training) -> dict[str, Any]:
    """Optimizer and loss, made by the model's own framework."""
    by_name = find_backend(model, None).by_name
    chosen: dict[str, Any] = {}
    optimizer, loss = settings.optimizer, settings.loss
    if by_name and resolve(f"{by_name}:brings_its_own")(model):
        usual = Training()
        said = [n for n in ("optimizer", "lr", "loss") if getattr(settings, n) != getattr(usual, n)]
        if said:
            raise ValueError(
                f"training.{said[0]}: the model is compiled, and brings optimizer and loss along; "
                "leave it out, or give a model that is not compiled"
            )
        return chosen
    if ":" in optimizer.name or not by_name:
        if ":" in optimizer.name:
            made = _imported(optimizer)
            chosen["optimizer"] = lambda parameters: made(parameters, **optimizer.arguments)
    else:
        known = resolve(f"{by_name}:OPTIMIZERS")
        kind = _named(known, optimizer.name, "training.optimizer")
        arguments = {"lr": settings.lr, **optimizer.arguments}
        chosen["optimizer"] = resolve(f"{by_name}:optimizer")(kind, arguments)
    if loss is not None:
        if ":" in loss.name or not by_name:
            chosen["loss"] = _imported(loss)
        else:
            known = resolve(f"{by_name}:LOSSES")
            chosen["loss"] = _named(known, loss.name, "training.loss")(**loss.arguments)
    return chosen


def _imported(named: Named) -> Any:
    try:
        return resolve(named.name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{named.name!r} cannot be imported: {error}") from error


def _named(known: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in known:
        raise ValueError(
            f"{where} = {name!r}: {nearest(name, list(known))}; your own: 'module:function'"
        )
    return known[name]
