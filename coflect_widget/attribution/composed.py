"""Maps of samples with several inputs: one map for each, and what share of the output it has.

Shares are measured by exchange, because no gradient tells what a question of ids decides beside a
picture: how much of the output's variance hangs on each input. A Shapley effect (A. B. Owen,
"Sobol' indices and Shapley value", 2014), of which the two ends are computed: the input alone
becomes another sample's, and all others do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.differentiable import Held
from coflect_widget.modalities.base import Map, Modality
from coflect_widget.tasks import Task

#: Variance of the output up to which nothing is said to move it.
_NOTHING = 1e-12
Array = NDArray[np.float32]
Found = dict[str, Any]


class Maps(NamedTuple):
    """Maps (E) in [0, 1] of one sample."""

    shown: Map  # the one of the job's method
    livecam: Map
    smoothgrad: Map
    consensus: Map
    agreement: float | None  # of the two


def explained_value(task: Task, outputs: Array, explained: int) -> NDArray[np.float64]:
    """What of outputs (B, ...) is explained, (B,): a probability, or the output itself."""
    if task.of_labels:
        return task.odds(outputs, explained)[1]
    return outputs[:, explained].astype(np.float64)


def composed(
    modality: Modality,
    x: Array,
    target: int | None,
    of_part: Callable[[Held, int | None], tuple[Maps, Found]],
    outputs: Callable[[Array], Array],
    value: Callable[[Array, int], NDArray[np.float64]],
) -> tuple[Maps, Found]:
    """Maps (U,) of a sample, each part's in the scale of its share.

    Parameters
    ----------
    modality : Modality
        With members.
    x : ndarray (T,)
    target : int or None
        The output to explain; the model's own choice if None.
    of_part : callable
        Maps of one part, and what the explainer said.
    outputs : callable
        Samples (B, T) to outputs (B, ...).
    value : callable
        What of outputs is explained.

    Returns
    -------
    Maps, dict
        The dict is what the explainer said, with ``shares``: a share by name, which sum to 1, or
        None where no exchange moves the output; and why.
    """
    made: list[Maps] = []
    said: Found = {}
    for part in modality.members:
        maps, found = of_part(Held(x, part), target)
        target = found["explained"] if target is None else target
        used = max(said.get("samples_used", 0), found.get("samples_used", 0))
        said = {**found, **said, "samples_used": used}
        made.append(maps)
    found_shares = shares(modality, x, outputs, lambda given: value(given, int(said["explained"])))
    each = np.ones(len(made)) if found_shares is None else np.array(list(found_shares.values()))
    scale = (each / max(each.max(), 1e-12)).astype(np.float32)

    def whole(name: str) -> Map:
        cut = [np.ravel(getattr(m, name)) * s for m, s in zip(made, scale, strict=True)]
        return np.concatenate(cut).astype(np.float32)

    why = "" if found_shares is not None else "no exchange of an input moves the output"
    leading = made[int(each.argmax())]
    maps = Maps(
        shown=whole("shown"),
        livecam=whole("livecam"),
        smoothgrad=whole("smoothgrad"),
        consensus=whole("consensus"),
        agreement=leading.agreement,
    )
    return maps, {**said, "shares": (found_shares, why)}


def shares(
    modality: Modality,
    x: Array,
    outputs: Callable[[Array], Array],
    value: Callable[[Array], NDArray[np.float64]],
) -> dict[str, float] | None:
    """Share of each part in what moves the output, by name; None where nothing does.

    Parameters
    ----------
    x : ndarray (T,)
    outputs, value : callable
        As of `composed`; the explained output is known.
    """
    donors, parts = modality.donors, modality.members
    assert donors is not None  # noqa: S101 - a kind with members has them
    count = len(donors)
    own = np.repeat(x[None], count, axis=0)
    rows = [x[None], donors]
    for part in parts:
        without, alone = own.copy(), donors.copy()
        without[:, part.start : part.stop] = donors[:, part.start : part.stop]
        alone[:, part.start : part.stop] = x[part.start : part.stop]
        rows += [without, alone]
    found = np.asarray(value(outputs(np.concatenate(rows))), np.float64)
    here, others, *pairs = np.split(found, np.cumsum([1] + [count] * (2 * len(parts))))
    mass = np.array(
        [
            np.mean((here - without) ** 2) + np.mean((alone - others) ** 2)
            for without, alone in zip(pairs[::2], pairs[1::2], strict=True)
        ]
    )
    if not np.isfinite(mass).all() or mass.sum() <= _NOTHING:
        return None
    return {part.name: float(share) for part, share in zip(parts, mass / mass.sum(), strict=True)}
