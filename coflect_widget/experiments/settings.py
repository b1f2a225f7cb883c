"""The settings of an experiment: one model for the file, the keyword arguments and the options."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from coflect_widget.config import Section


class Named(Section):
    """Something by its name, with its arguments: ``mlp``, or ``{name: mlp, width: 64}``.

    Attributes
    ----------
    name : str
        As `coflect list` shows, or ``module:function``.
    """

    model_config = ConfigDict(extra="allow")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _of_a_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "name" not in value:
            raise ValueError("give a name, such as mlp, or {name: mlp, width: 64}")
        return value

    @property
    def arguments(self) -> dict[str, Any]:
        """What it is called with."""
        return dict(self.model_extra or {})


class Training(Section):
    """How the model is trained."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=64, ge=1)
    #: "adamw", "adam", "sgd" with its own arguments, or ``module:function`` of the parameters
    optimizer: Named = Named(name="adamw")
    #: learning rate of an optimizer by name
    lr: float = Field(default=1e-3, gt=0)
    #: "cross_entropy", "mse", "l1", "huber" or "bce", or ``module:function``; as in a `Session`
    #: where left out
    loss: Named | None = None
    loop: Named = Named(name="standard")
    #: end after so many epochs without a better `monitor`; None trains all
    patience: int | None = Field(default=None, ge=1)
    #: metric of a validation: "val_loss", "val_accuracy", "val_r2", ...
    monitor: str = "val_loss"


class Tuning(Section):
    """A search over settings: what `coflect.tune` takes, in the file."""

    #: by dotted name a list of choices, ``[low, high]`` with ``log: true`` and ``step`` as a
    #: mapping, or a value alone
    space: dict[str, Any] = Field(default_factory=dict)
    trials: int = Field(default=20, ge=1)
    sampler: str = "tpe"
    pruner: str = "hyperband"
    #: metric of a validation; `training.monitor` where left out
    metric: str | None = None


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Put a value where a dotted name says: ``put(values, "training.lr", 0.1)``."""
    *sections, last = path.split(".")
    for name in sections:
        inner = values.get(name)
        if isinstance(inner, str):  # a name alone, such as "model: mlp"
            inner = {"name": inner}
        values[name] = inner = dict(inner) if isinstance(inner, dict) else {}
        values = inner
    values[last] = value
