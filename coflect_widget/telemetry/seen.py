"""What steps of another process came to, sample by sample, on its way to that of rank 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput
from coflect_widget.distributed.frames import pack, unpack
from coflect_widget.tasks.base import PerSample, Task, Values

#: The word by which such a message is known.
KIND = "seen"
_OF_STEPS = ("steps", "lengths", "losses", "guidance")
_PLAIN = ("loss", "margin", "right", "predicted", "target")
_OPTIONAL = ("usable", "labelled", "quality")


class Seen(NamedTuple):
    """Steps of one epoch, oldest first, and their rows, one step after the other."""

    epoch: int
    steps: NDArray[np.int64]  #: (S,)
    lengths: NDArray[np.int64]  #: (S,) rows of each
    losses: NDArray[np.float64]  #: (S,) the mean loss of each
    guidance: NDArray[np.float64]  #: (S,) the guidance loss of each; NaN where there was none
    indices: NDArray[np.int64]  #: (R,)
    found: PerSample  #: (R,) in numpy

    @property
    def by_step(self) -> list[NDArray[np.int64]]:
        """The indices of each step."""
        return np.split(self.indices, np.cumsum(self.lengths)[:-1])

    def to_bytes(self) -> bytes:
        """As it travels."""
        arrays = {name: getattr(self, name) for name in _OF_STEPS}
        arrays |= {"indices": self.indices}
        arrays |= {name: getattr(self.found, name) for name in _PLAIN}
        for name in _OPTIONAL:
            if (given := getattr(self.found, name)) is not None:
                arrays[name] = given
        if self.found.values is not None:
            arrays |= {f"values.{k}": array for k, array in enumerate(self.found.values)}
        return pack({"kind": KIND, "epoch": self.epoch}, arrays)

    @classmethod
    def from_message(cls, words: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Seen:
        """What `to_bytes` gave, unpacked.

        Raises
        ------
        ValueError
            If something is missing, or of another length than the rest.
        """
        try:
            values = None
            if "values.0" in arrays:
                values = Values(*(arrays[f"values.{k}"] for k in range(3)))
            known = {name: arrays.get(name) for name in _OPTIONAL}
            known |= {name: arrays[name] for name in _PLAIN}
            seen = cls(
                epoch=int(words["epoch"]),
                indices=arrays["indices"],
                found=PerSample(**known, values=values).on_host(),
                **{name: arrays[name] for name in _OF_STEPS},
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing in what another process has seen") from None
        of_rows = {"indices", *_PLAIN, *_OPTIONAL}
        rows = {len(array) for name, array in arrays.items() if name in of_rows}
        if rows != {int(seen.lengths.sum())} or len(seen.steps) != len(seen.lengths):
            raise ValueError("what another process has seen is of different lengths")
        return seen


def read_seen(message: bytes) -> Seen:
    """The same of one message alone."""
    return Seen.from_message(*unpack(message))


def seen_of(
    outputs: Sequence[StepOutput],
    last: int,
    epoch: int,
    task: Task,
    arrays: Callable[[Sequence[StepOutput]], tuple[Any, Any]],
    scalars: Callable[[Sequence[Any]], list[float]],
) -> Seen:
    """What steps of one epoch came to, the last of them number `last`.

    Parameters
    ----------
    outputs : sequence of StepOutput
    last, epoch : int
    task : Task
    arrays, scalars : callable
        The backend's `telemetry_arrays` and `scalars`.
    """
    each = [task.summarise(*arrays([output])).on_host() for output in outputs]
    guided = [k for k, output in enumerate(outputs) if output.guidance_loss is not None]
    losses = scalars([output.loss for output in outputs])
    guidance = np.full(len(outputs), np.nan)
    guidance[guided] = scalars([outputs[k].guidance_loss for k in guided])
    lengths = np.array([len(output.indices) for output in outputs], np.int64)
    return Seen(
        epoch,
        np.arange(last - len(outputs) + 1, last + 1),
        lengths,
        np.array(losses, np.float64),
        guidance,
        np.concatenate([output.indices for output in outputs]),
        _joined(each, lengths),
    )


def _joined(each: Sequence[PerSample], lengths: NDArray[np.int64]) -> PerSample:
    def flags(name: str) -> NDArray[np.bool_] | None:
        given = [getattr(one, name) for one in each]
        if all(one is None for one in given):
            return None
        return np.concatenate(
            [
                np.ones(length, np.bool_) if one is None else one
                for one, length in zip(given, lengths.tolist(), strict=True)
            ]
        )

    values = [one.values for one in each if one.values is not None]
    qualities = [one.quality for one in each if one.quality is not None]
    return PerSample(
        **{name: np.concatenate([getattr(one, name) for one in each]) for name in _PLAIN},
        usable=flags("usable"),
        labelled=flags("labelled"),
        values=Values(*map(np.concatenate, zip(*values, strict=True)))
        if len(values) == len(each)
        else None,
        quality=np.concatenate(qualities) if len(qualities) == len(each) else None,
    )
