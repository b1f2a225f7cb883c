"""From two readings to what an intervention did: figures with intervals, and a verdict.

A training goes on meanwhile, so accuracy rises by itself and maps wander. What a verdict hangs on
is therefore a comparison within each model. Of an "ignore": how much more often samples of other
classes are named after the annotated one once they get the marked region from it, beyond what the
same shape at other places does; a shortcut draws them, a harmless place does not. Of a "look":
whether the map's energy in the region has risen more than that of the same shape elsewhere. Of
harm: whether the accuracy fell more than it fell by itself before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Effect, Measure
from coflect_widget.guidance.state import Kind
from coflect_widget.studies.readings import Readings

Verdict = Literal["helped", "looks there more", "no measurable effect", "harmed"]

#: Resamples of the bootstrap, and the share of them between `low` and `high`.
RESAMPLES = 1000
CONFIDENCE = 0.95
EDGES = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
#: Least pull beyond that of other places, and least fall of it, as a share of all samples, that
#: is worth saying "helped".
LEAST_PULL = 0.15
#: Least rise of the energy's share inside a region that was to be looked at.
LEAST_ENERGY = 0.05
#: Least fall of the accuracy that is worth saying "harmed"; it must also be larger than every fall
#: from one epoch to the next before.
LEAST_HARM = 0.02
#: Least share of what the model recognised beyond guessing that it must still recognise where an
#: intervention is said to have helped.
LEAST_LEFT = 0.15
#: Samples below which the pull and the accuracy tell nothing.
FEWEST = 20

ENERGY = "energy inside"


class Names(NamedTuple):
    """What figures are called, and how an "ignore" that helped is spoken of."""

    pull: str
    beyond: str
    swapped: str
    quality: str
    own: str
    helped: str


CLASSES = Names(
    "pull of the region",
    "pull beyond other places",
    "p(true) with another's region",
    "accuracy",
    "p(true) of the annotated",
    "the region drew {before:.0%} of other {nouns} to its class beyond what other places draw, "
    "now {after:.0%}",
)
#: With a class for each place "drawn" is what is missing of the IoU beside the region.
PLACES = Names(
    "IoU lost by another's region",
    "IoU lost beyond other places",
    "IoU with another's region",
    "IoU",
    "IoU of the annotated",
    "the region of other {nouns} cost an IoU of {before:.2f} beyond what other places cost, now "
    "{after:.2f}",
)

#: The verdict of several kinds is the first of these that one of them has.
WEIGHT: tuple[Verdict, ...] = ("helped", "harmed", "looks there more", "no measurable effect")


def compare(
    intervention: str,
    readings: Mapping[Kind, tuple[Readings, Readings]],
    from_step: int,
    to_step: int,
    others: int = 0,
    swing: float = 0.0,
    guess: float = 0.0,
    split: str = "validation",
    seed: int = 0,
    nouns: str = "pictures",
    names: Names = CLASSES,
) -> Effect:
    """The effect of one intervention.

    Parameters
    ----------
    readings : {"look" or "ignore": (before, after)}
        One entry for each kind of stroke that it has; both readings of the same request.
    others : int
        Other changes of the guidance within the same steps; what they did is in the figures.
    swing : float in [0, 1]
        Largest fall of the accuracy that this training has shown from one epoch to the next.
    guess : float in [0, 1]
        Accuracy that naming the most frequent class would have.
    split : str
        Which data the samples are of.
    nouns : str
        What samples are called: `Modality.nouns`.
    names : Names
    """
    rng = np.random.default_rng(seed)
    found = {kind: _measures(*pair, split, rng, names) for kind, pair in readings.items()}
    first = next(iter(found.values()))
    accuracy = first[f"{split} {names.quality}"]
    count = len(next(iter(readings.values()))[0].right)
    verdicts = {
        kind: _verdict(kind, measures, split, swing, guess, nouns, names, enough=count >= FEWEST)
        for kind, measures in found.items()
    }
    verdict = min((verdict for verdict, _ in verdicts.values()), key=WEIGHT.index)
    # Where an "ignore" has helped, the accuracy that fell with the shortcut is no harm.
    unsaid = ("no measurable effect", "harmed" if verdict == "helped" else "")
    said = [words for each, words in verdicts.values() if each not in unsaid]
    figures = f"{split} {names.quality} {accuracy.before:.3f} -> {accuracy.after:.3f}"
    if count < FEWEST:
        figures += f" of {count} samples, too few to tell; {FEWEST} are needed"
    text = "; ".join([*(dict.fromkeys(said) or ["no measurable effect"]), figures])
    if others:
        text += f" ({others} other intervention{'s' * (others > 1)} meanwhile)"
    measures = list(first.values())
    if len(found) > 1:  # the rest of the figures are of the same samples
        name = "energy inside what to look at"
        measures.append(found["look"][ENERGY].model_copy(update={"name": name}))
    return Effect(
        intervention=intervention,
        verdict=verdict,
        text=text,
        from_step=from_step,
        to_step=to_step,
        explainer=" and ".join(dict.fromkeys(after.explainer for _, after in readings.values())),
        measures=[m for m in measures if np.isfinite([m.change, m.low, m.high]).all()],
    )


def _measures(
    before: Readings, after: Readings, split: str, rng: np.random.Generator, names: Names
) -> dict[str, Measure]:
    pairs = {
        names.pull: (
            before.drawn_swapped - before.drawn_plain,
            after.drawn_swapped - after.drawn_plain,
        ),
        names.beyond: (
            before.drawn_swapped - before.drawn_elsewhere.mean(0),
            after.drawn_swapped - after.drawn_elsewhere.mean(0),
        ),
        names.swapped: (before.p_true_swapped, after.p_true_swapped),
        f"{split} {names.quality}": (before.right, after.right),
        f"{split} loss": (before.loss, after.loss),
        names.own: (before.p_true, after.p_true),
    }
    found = {name: _change(name, *pair, rng) for name, pair in pairs.items()}
    found[ENERGY] = _energy(before, after)
    return found


def _change(
    name: str, first: NDArray[np.float32], second: NDArray[np.float32], rng: np.random.Generator
) -> Measure:
    """A figure before and after, and a bootstrap's interval of its change."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if len(first) == 0:
        return _measure(name, [float("nan")] * 5)
    difference = second - first
    drawn = rng.integers(0, len(difference), (RESAMPLES, len(difference)))
    edges = np.quantile(difference[drawn].mean(1), EDGES)
    return _measure(name, [first.mean(), second.mean(), difference.mean(), *edges])


def _energy(before: Readings, after: Readings) -> Measure:
    """Energy inside; the interval is the change less what it was at other places by itself."""
    known = np.isfinite(before.inside) & np.isfinite(after.inside)
    if not known.any():
        return _measure(ENERGY, [float("nan")] * 5)
    first, second = before.inside[known].mean(), after.inside[known].mean()
    by_itself = (after.inside_elsewhere - before.inside_elsewhere)[:, known].mean(1)
    low, high = np.quantile(by_itself, EDGES)
    change = second - first
    return _measure(ENERGY, [first, second, change, change - high, change - low])


def _measure(name: str, figures: Sequence[float]) -> Measure:
    before, after, change, low, high = (round(float(value), 5) for value in figures)
    return Measure(name=name, before=before, after=after, change=change, low=low, high=high)


def _verdict(
    kind: Kind,
    measures: Mapping[str, Measure],
    split: str,
    swing: float,
    guess: float,
    nouns: str,
    names: Names,
    *,
    enough: bool,
) -> tuple[Verdict, str]:
    beyond, energy = measures[names.beyond], measures[ENERGY]
    accuracy = measures[f"{split} {names.quality}"]
    least = min(beyond.before, -beyond.change)
    # The accuracy falls where a shortcut is lost that its samples have, too; but a model that
    # has come to see nothing at all is drawn by nothing.
    sees = accuracy.after - guess >= LEAST_LEFT * (accuracy.before - guess)
    if enough and kind == "ignore" and beyond.high < 0 and least >= LEAST_PULL and sees:
        # what the verdict hangs on: the pull of any other place is taken off already
        before, after = max(beyond.before, 0), max(beyond.after, 0)
        return "helped", f"helped: {names.helped.format(before=before, after=after, nouns=nouns)}"
    if enough and accuracy.high < 0 and accuracy.change < -max(LEAST_HARM, swing):
        return "harmed", "harmed"
    if kind == "look" and energy.low > 0 and energy.change >= LEAST_ENERGY:
        return "looks there more", (
            f"looks there more: energy inside {energy.before:.2f} -> {energy.after:.2f}"
        )
    return "no measurable effect", "no measurable effect"
