"""The part of a `Session` for what a person changes of a running training: knobs and data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coflect_widget.events import Event, Spike
from coflect_widget.guidance.knobs import inputs_of
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.session.arguments import whole_number
from coflect_widget.session.held import Held


class Changes(Held):
    """Mixed into `Session`: knobs, and samples added, left out and labelled anew."""

    def set(
        self,
        *,
        lr: float | Sequence[float | None] | str | None = None,
        weight_decay: float | Sequence[float | None] | str | None = None,
        momentum: float | Sequence[float | None] | str | None = None,
        freeze: str | Sequence[str] | None = None,
        unfreeze: str | Sequence[str] | None = None,
        batch_size: int | str | None = None,
        **values: Any,
    ) -> Intervention:
        """Turn knobs of the training, all at one step boundary; returns once that is on disk.

        ``session.undo`` of what is returned restores exactly what was. A schedule goes on from
        the new value: what it gives is in the same ratio from then on.

        Parameters
        ----------
        lr, weight_decay, momentum : float, list of float, or str
            A number; one number for each group of the optimizer, None where a group keeps its
            own; or a factor, ``"x 0.5"``. Of Adam and its kind `momentum` is beta1.
        freeze, unfreeze : str or list of str
            Layers by name, as in ``model.named_modules()`` or ``layer.name``. The weights of a
            frozen layer are not trained, and its batch normalisation keeps its statistics.
        batch_size : int or str
            From the next epoch on.
        **values
            Any other number of the optimizer's groups, such as ``eps=1e-6`` or
            ``betas=(0.9, 0.99)``.

        Raises
        ------
        ValueError, TypeError
            If one of them cannot be used; nothing has changed then.
        """
        given = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "freeze": freeze,
            "unfreeze": unfreeze, "batch_size": batch_size, **values,
        }  # fmt: skip
        knobs = inputs_of(given)
        return self._wait_for(self._led().knobs.set(knobs), 60, "set()")

    def add(self, x: Any, y: Any) -> Intervention:
        """Add samples to the training data, after the last one; trained on from the next epoch on.

        Parameters
        ----------
        x : array or tensor (C, H, W) or (n, C, H, W)
            One sample or several, in the form and scale of the training data.
        y : int, or (n,) of int
            Class numbers; in regression values (D,) or (n, D).

        Raises
        ------
        ValueError
            If they do not fit, the data cannot grow, or several processes train; nothing has
            changed then.
        """
        return self._wait_for(self._led().data.add(x, y), 60, "add()")

    def drop(self, index: int | Iterable[int] | Spike | Event) -> Intervention:
        """Leave samples out of the training from the next step on; their indices stay.

        Parameters
        ----------
        index : int, or several, or a spike
            Places in the training data; of an event ``session.events("spike")[-1]`` those that it
            names.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        return self._wait_for(self._led().data.drop(_indices(index)), 60, "drop()")

    def relabel(self, index: int | Iterable[int], label: int | Iterable[int]) -> Intervention:
        """Train samples under another label from the next step on.

        Parameters
        ----------
        index : int, or several
        label : int, or several
            One for all, or one for each.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        labels = _whole(label, "label")
        return self._wait_for(self._led().data.relabel(_indices(index), labels), 60, "relabel()")


def _indices(given: Any) -> list[int]:
    if isinstance(given, Event):
        given = given.data
    if isinstance(given, Spike):
        if not given.index:
            raise ValueError("the spike names no samples: most of its batch carries it")
        return list(given.index)
    return _whole(given, "index")


def _whole(given: Any, argument: str) -> list[int]:
    several = isinstance(given, Iterable) and getattr(given, "ndim", 1) != 0
    return [whole_number(one, argument) for one in (given if several else [given])]
