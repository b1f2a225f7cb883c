"""Which samples of a batch made its loss NaN or infinite, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import Task

#: Samples that a sentence names.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Culprits:
    """What is known of the samples behind a loss that is not finite.

    Attributes
    ----------
    samples : tuple of int
        Indices in the training data, the most suspect first; empty where nothing is known.
    sentence : str
        Names them and says what is wrong with each; may be empty.
    in_data : bool
        Whether the fault is in what was read: the same samples will do it again.
    """

    samples: tuple[int, ...] = ()
    sentence: str = ""
    in_data: bool = False
    in_outputs: bool = False


def find_culprits(
    indices: NDArray[np.int64],
    inputs: Any = None,
    targets: Any = None,
    logits: Any = None,
    *,
    task: Task,
) -> Culprits:
    """The samples of one batch that most likely made its loss NaN or infinite.

    Those with values that are not finite, else those with outputs that are not, else those
    with the largest loss.

    Parameters
    ----------
    indices : ndarray (B,) of int
        Places in the training data.
    inputs : array or tensor (B, ...), or a sequence of such, optional
        What the model got.
    targets : array or tensor (B,) of class numbers, or (B, D) of float, optional
    logits : array or tensor (B, C), optional
        What the model gave for them.
    task : Task
        Which loss each sample has.
    """
    rows = len(indices)
    several = inputs if isinstance(inputs, tuple | list) else (inputs,)
    arrays = [a for each in several if (a := _array(each, rows)) is not None]
    wrong = sum((_not_finite(a) for a in arrays), np.zeros(rows, np.int64))
    if wrong.any():
        size = sum(a[0].size for a in arrays)
        found = _first(np.flatnonzero(wrong), indices)
        return Culprits(
            found,
            f"{_named(found)} input values that are NaN or infinite"
            + (f" ({int(wrong.max())} of {size})" if len(found) == 1 else ""),
            in_data=True,
        )
    aims, outputs = _array(targets, rows), _array(logits, rows)
    if aims is not None and (odd := _not_finite(aims)).any():
        found = _first(np.flatnonzero(odd), indices)
        return Culprits(found, f"{_named(found)} targets that are NaN or infinite", in_data=True)
    if outputs is None:
        return Culprits()
    broken = _not_finite(outputs) > 0
    if broken.all():
        return Culprits(
            sentence=f"{task.words.all_outputs} are NaN or infinite for every sample of the batch, "
            "and the samples themselves are not: most likely the model's weights no longer are "
            "finite"
        )
    if broken.any():
        found = _first(np.flatnonzero(broken), indices)
        text = f"{_named(found)} {task.words.outputs} that are NaN or infinite"
        return Culprits(found, text, in_outputs=True)
    if aims is None:
        return Culprits()
    try:
        losses = task.losses(outputs, aims)
    except ValueError:  # such as probabilities in the place of class numbers
        return Culprits()
    order = np.argsort(-losses, kind="stable")[: min(NAMED, rows)]
    order = order[losses[order] > np.median(losses)] if rows > 1 else order
    if not len(order):
        return Culprits()
    listed = ", ".join(f"{int(indices[k])} ({losses[k]:.3g})" for k in order)
    return Culprits(
        tuple(int(indices[k]) for k in order),
        f"No sample has values or outputs that are NaN or infinite; the largest losses of the "
        f"batch are those of samples {listed}",
    )


def alone(samples: Sequence[int]) -> str:
    """What to say of samples whose loss is not finite by itself."""
    return f"{_named(samples)} a loss that is NaN or infinite by itself"


def remedy(found: Culprits, *, may_judge: bool) -> str:
    """What to do, in a sentence; `may_judge` says whether single samples can be left out."""
    go_on = "session.resume() or the Resume button goes on without this batch"
    if found.in_data:
        names = found.samples[:NAMED]
        one = len(names) == 1 and len(found.samples) == 1
        which = "it" if one else "them"
        if not may_judge:
            return f"Mend {which} in the data and make a new session; {go_on}, until its next turn."
        leave = (
            f'session.judge({names[0]}, "leave out")'
            if one
            else f'session.judge(index, "leave out") for each of {list(found.samples)[:50]}'
        )
        return f"Mend {which} in the data, or leave {which} out with {leave}; then {go_on}."
    if found.samples:
        return f"Look at these samples, or begin again with a lower learning rate; {go_on}."
    return f"Begin again from earlier weights, with a lower learning rate; {go_on}."


def _array(value: Any, rows: int) -> NDArray[Any] | None:
    """A tensor of any framework as an array with one entry for each of `rows`, or None."""
    if value is None:
        return None
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value  # numpy has no bfloat16
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array if array.ndim and len(array) == rows and array.dtype.kind in "fiub" else None


def _not_finite(array: NDArray[Any]) -> NDArray[np.int64]:
    """How many values of each row are NaN or infinite: (B,)."""
    if array.dtype.kind != "f":
        return np.zeros(len(array), np.int64)
    odd: NDArray[np.int64] = (~np.isfinite(array.reshape(len(array), -1))).sum(1, dtype=np.int64)
    return odd


def _first(rows: NDArray[np.int64], indices: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(indices[k]) for k in rows)


def _named(samples: Sequence[int]) -> str:
    """As "Sample 17 has" or "Samples 3, 17 and 40 more have"."""
    if len(samples) == 1:
        return f"Sample {samples[0]} has"
    names = ", ".join(str(k) for k in samples[:NAMED])
    more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
    return f"Samples {names}{more} have"
