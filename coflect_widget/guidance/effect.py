"""From two readings to what an intervention did: figures with intervals, and a verdict.

A training goes on meanwhile, so accuracy rises by itself. What the verdict on an "ignore" hangs
on is therefore a comparison within each model: how much more often pictures of other classes
are named after the annotated one once they get the marked region from it. A shortcut draws
them; a harmless place does not, before or after.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Effect, Measure
from coflect_widget.guidance.readings import Readings

Verdict = Literal["helped", "looks there more", "no measurable effect", "harmed"]

#: Resamples of the bootstrap, and the share of them between `low` and `high`.
RESAMPLES = 1000
CONFIDENCE = 0.95
#: Least fall of the pull, as a share of all pictures, that is worth saying "helped".
LEAST_PULL = 0.15
#: Least rise of the energy's share inside a region that was to be looked at.
LEAST_ENERGY = 0.05
#: Least fall of the validation accuracy that is worth saying "harmed".
LEAST_HARM = 0.02


def compare(
    intervention: str,
    kind: Literal["look", "ignore"],
    before: Readings,
    after: Readings,
    from_step: int,
    to_step: int,
    together: int = 0,
    seed: int = 0,
) -> Effect:
    """The effect of one intervention.

    Parameters
    ----------
    before, after : Readings
        Of the same request.
    together : int
        Other interventions that came within the same steps; what they did is in the figures.
    """
    rng = np.random.default_rng(seed)

    def change(name: str, first: NDArray[np.float32], second: NDArray[np.float32]) -> Measure:
        first, second = first.astype(np.float64), second.astype(np.float64)
        both = np.isfinite(first) & np.isfinite(second)
        first, second = first[both], second[both]
        if len(first) == 0:
            nothing = float("nan")
            return Measure(
                name=name, before=nothing, after=nothing, change=nothing, low=nothing, high=nothing
            )
        difference = second - first
        drawn = rng.integers(0, len(difference), (RESAMPLES, len(difference)))
        edges = np.quantile(difference[drawn].mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        figures = (first.mean(), second.mean(), difference.mean(), *edges)
        return Measure(
            name=name,
            **{
                key: round(float(value), 5)
                for key, value in zip(
                    ("before", "after", "change", "low", "high"), figures, strict=True
                )
            },
        )

    pull = change(
        "pull of the region",
        before.drawn_swapped - before.drawn_plain,
        after.drawn_swapped - after.drawn_plain,
    )
    accuracy = change("validation accuracy", before.right, after.right)
    energy = change("energy inside", before.inside, after.inside)
    measures = [
        pull,
        change("p(true) with another's region", before.p_true_swapped, after.p_true_swapped),
        accuracy,
        change("validation loss", before.loss, after.loss),
        change("p(true) of the annotated", before.p_true, after.p_true),
        energy,
    ]
    verdict, text = _verdict(kind, pull, accuracy, energy)
    if together:
        text += f" ({together} other intervention{'s' * (together > 1)} at the same time)"
    return Effect(
        intervention=intervention,
        verdict=verdict,
        text=text,
        from_step=from_step,
        to_step=to_step,
        explainer=after.explainer,
        measures=[m for m in measures if np.isfinite(m.change)],
    )


def _verdict(kind: str, pull: Measure, accuracy: Measure, energy: Measure) -> tuple[Verdict, str]:
    figures = f"validation accuracy {accuracy.before:.3f} -> {accuracy.after:.3f}"
    if kind == "ignore" and pull.high < 0 and pull.change <= -LEAST_PULL:
        return "helped", (
            f"helped: the region alone drew {pull.before:.0%} of other pictures to its class, "
            f"now {max(pull.after, 0):.0%}; {figures}"
        )
    if accuracy.high < 0 and accuracy.change <= -LEAST_HARM:
        return "harmed", f"harmed: {figures}"
    if kind == "look" and energy.low > 0 and energy.change >= LEAST_ENERGY:
        return "looks there more", (
            f"looks there more: energy inside {energy.before:.2f} -> {energy.after:.2f}; {figures}"
        )
    return "no measurable effect", f"no measurable effect; {figures}"
