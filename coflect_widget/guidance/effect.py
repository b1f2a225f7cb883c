"""From two readings to what an intervention did: figures with intervals, and a verdict.

A training goes on meanwhile, so accuracy rises by itself. What the verdict on an "ignore" hangs
on is therefore a comparison within each model: how much more often pictures of other classes
are named after the annotated one once they get the marked region from it. A shortcut draws
them; a harmless place does not, before or after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Effect, Measure
from coflect_widget.guidance.readings import Readings
from coflect_widget.guidance.state import Kind

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


#: The verdict of several kinds is the first of these that one of them has.
WEIGHT: tuple[Verdict, ...] = ("harmed", "helped", "looks there more", "no measurable effect")


def compare(
    intervention: str,
    readings: Mapping[Kind, tuple[Readings, Readings]],
    from_step: int,
    to_step: int,
    together: int = 0,
    seed: int = 0,
) -> Effect:
    """The effect of one intervention.

    Parameters
    ----------
    readings : {"look" or "ignore": (before, after)}
        One entry for each kind of stroke that it has; both readings of the same request.
    together : int
        Other interventions that came within the same steps; what they did is in the figures.
    """
    rng = np.random.default_rng(seed)
    found = {kind: _measures(*pair, rng) for kind, pair in readings.items()}
    verdicts = {kind: _verdict(kind, measures) for kind, measures in found.items()}
    verdict = min((verdict for verdict, _ in verdicts.values()), key=WEIGHT.index)
    said = [words for each, words in verdicts.values() if each != "no measurable effect"]
    first = next(iter(found.values()))
    accuracy = first["validation accuracy"]
    figures = f"validation accuracy {accuracy.before:.3f} -> {accuracy.after:.3f}"
    text = "; ".join([*(dict.fromkeys(said) or ["no measurable effect"]), figures])
    if together:
        text += f" ({together} other intervention{'s' * (together > 1)} at the same time)"
    measures = list(first.values())
    if len(found) > 1:  # the rest of the figures are of the same pictures
        measures.append(_inside(found["look"]["energy inside"]))
    return Effect(
        intervention=intervention,
        verdict=verdict,
        text=text,
        from_step=from_step,
        to_step=to_step,
        explainer=" and ".join(dict.fromkeys(after.explainer for _, after in readings.values())),
        measures=[m for m in measures if np.isfinite(m.change)],
    )


def _inside(energy: Measure) -> Measure:
    return energy.model_copy(update={"name": "energy inside what to look at"})


def _measures(before: Readings, after: Readings, rng: np.random.Generator) -> dict[str, Measure]:
    pairs = {
        "pull of the region": (
            before.drawn_swapped - before.drawn_plain,
            after.drawn_swapped - after.drawn_plain,
        ),
        "p(true) with another's region": (before.p_true_swapped, after.p_true_swapped),
        "validation accuracy": (before.right, after.right),
        "validation loss": (before.loss, after.loss),
        "p(true) of the annotated": (before.p_true, after.p_true),
        "energy inside": (before.inside, after.inside),
    }
    return {name: _change(name, *pair, rng) for name, pair in pairs.items()}


def _change(
    name: str, first: NDArray[np.float32], second: NDArray[np.float32], rng: np.random.Generator
) -> Measure:
    """A figure before and after, and a bootstrap's interval of its change."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if len(first) == 0:
        figures = [float("nan")] * 5
    else:
        difference = second - first
        drawn = rng.integers(0, len(difference), (RESAMPLES, len(difference)))
        edges = np.quantile(difference[drawn].mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        figures = [first.mean(), second.mean(), difference.mean(), *edges]
    before, after, change, low, high = (round(float(value), 5) for value in figures)
    return Measure(name=name, before=before, after=after, change=change, low=low, high=high)


def _verdict(kind: Kind, measures: Mapping[str, Measure]) -> tuple[Verdict, str]:
    pull, accuracy = measures["pull of the region"], measures["validation accuracy"]
    energy = measures["energy inside"]
    if kind == "ignore" and pull.high < 0 and pull.change <= -LEAST_PULL:
        return "helped", (
            f"helped: the region alone drew {pull.before:.0%} of other pictures to its class, "
            f"now {max(pull.after, 0):.0%}"
        )
    if accuracy.high < 0 and accuracy.change <= -LEAST_HARM:
        return "harmed", "harmed"
    if kind == "look" and energy.low > 0 and energy.change >= LEAST_ENERGY:
        return "looks there more", (
            f"looks there more: energy inside {energy.before:.2f} -> {energy.after:.2f}"
        )
    return "no measurable effect", "no measurable effect"
