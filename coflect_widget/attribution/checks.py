"""Is a map to be believed? Two checks whose verdict travels with it, in numpy.

Deletion: what the map marks is taken out of the input. If the class loses hardly more than
when the same pattern is taken out elsewhere, the map does not show what the model uses.
V. Petsiuk et al., "RISE", BMVC 2018, with a control: see `deletion`.

Random weights: a map that the same model gives without any training shows the input, not the
model. J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.

Neither sees whether the model has learned anything: one that knows its training samples by
heart does use what its maps show. So a third one looks at the validation data, `guessing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.consensus import TOP_SHARE, agreement
from coflect_widget.events import Quality
from coflect_widget.modalities.base import Map, Modality

_CAUTION = " A stroke drawn by it may teach the wrong thing."
#: Other places at which as many units are removed.
PLACES = 16
#: The class must lose so much more, in log-odds, through what the map marks ...
LEAST_EFFECT = 1.25
#: ... and so large a share of the log-odds that it had ...
LEAST_SHARE = 0.15
#: ... and more than at this share of the other places.
LEAST_RANK = 0.7
#: Agreement with maps of random weights from which on a map says nothing of the model.
MOST_ALIKE = 0.75
#: Such maps that are compared where the first one is suspiciously alike.
RANDOM_DRAWS = 3
_SUSPICIOUS = 0.6


#: Log-odds (B,) and probability (B,) of one label in outputs (B, ...).
Odds = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Deletion:
    """What the explained class lost when units were removed.

    Attributes
    ----------
    before : float
        Log-odds of the class on the whole input.
    drop, random_drop : float
        Fall of its probability without the strongest units, and without others (mean).
    effect : float
        Fall of its log-odds without the strongest units, beyond the mean fall without others.
    rank : float
        Share of the other places that cost the class less.
    """

    before: float
    drop: float
    random_drop: float
    effect: float
    rank: float


def deletion(
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    x: NDArray[np.float32],
    values: Map,
    target: int,
    seed: int,
    odds: Odds,
    modality: Modality,
) -> Deletion | None:
    """Remove the strongest 10 % of a map from an input, and as much elsewhere.

    What is removed becomes `Modality.baseline`, of a picture its mean colour. The other places are
    the same pattern of units, `Modality.elsewhere`: single pixels strewn about would disturb the
    model in another way, by their many edges.

    Parameters
    ----------
    logits : callable
        Inputs (B, ...) to outputs (B, ...).
    x : ndarray
    values : ndarray (E) in [0, 1]
    target : int
        The class that was explained.
    seed : int
        Of the places.
    odds : callable
        `Task.odds`.
    modality : Modality

    Returns
    -------
    Deletion or None
        None for a map that marks nothing.
    """
    marked = strongest(values)
    if not marked.any():
        return None
    rng = np.random.default_rng(seed)
    others = (modality.elsewhere(marked, x, rng) for _ in range(PLACES))
    masks = np.stack([np.zeros_like(marked), marked, *others])
    rows = np.broadcast_to(x, (len(masks), *x.shape))
    inputs = modality.exchange(masks, rows, modality.baseline(x)[None])
    log_odds, probability = odds(logits(inputs), target)
    fall = log_odds[0] - log_odds[1:]
    return Deletion(
        before=float(log_odds[0]),
        drop=float(probability[0] - probability[1]),
        random_drop=float(probability[0] - probability[2:].mean()),
        effect=float(fall[0] - fall[1:].mean()),
        rank=float((fall[0] > fall[1:]).mean()),
    )


def judge(
    values: Map, deleted: Deletion | None, random_maps: Iterable[Map], noun: str = "picture"
) -> Quality:
    """The verdict on a map.

    Parameters
    ----------
    values : ndarray (E) in [0, 1]
    deleted : Deletion or None
    random_maps : iterable of ndarray (E)
        Maps of the same input under random weights. Only the first is taken, unless it is
        suspiciously alike: two random networks may agree by chance.
    noun : str
        `Modality.noun`.
    """
    if deleted is None:
        return Quality(False, "The map is empty: it found nothing that speaks for this class.")
    alike: list[float] = []
    for other in random_maps:
        found = agreement(values, other)
        if found is not None:
            alike.append(found)
        if found is None or found < _SUSPICIOUS:
            break
    random_weights = float(np.mean(alike)) if alike else None
    needed = max(LEAST_EFFECT, LEAST_SHARE * deleted.before)
    reason = _too_little(deleted, needed)
    if reason:
        reason += _CAUTION
    elif random_weights is not None and random_weights > MOST_ALIKE:
        alike_by = math.ceil(100 * random_weights) / 100  # never "0.75, at most 0.75"
        reason = (
            f"The same model with random weights gives almost this map (agreement {alike_by:.2f}, "
            f"at most {MOST_ALIKE}): it shows the {noun}, not what was learned.{_CAUTION}"
        )
    return Quality(
        reliable=not reason,
        reason=reason,
        drop=deleted.drop,
        random_drop=deleted.random_drop,
        deletion=deleted.effect,
        random_weights=random_weights,
    )


def guessing(
    accuracy: float | None,
    samples: int,
    chance: float,
    guess: str,
    *,
    trained: float | None = None,
) -> str | None:
    """Why no map of this model is reliable: on data it has not seen it does no better than chance.

    Parameters
    ----------
    accuracy : float or None
        On the validation data; None where there are none, or not yet.
    samples : int
        Of the validation data.
    chance : float
        Accuracy of a model that has learned nothing of the inputs.
    guess : str
        How it is reached, as "guessing among 10 classes".
    trained : float, optional
        Accuracy on the training data.

    Returns
    -------
    str or None
        What it is, and what to do; None where the accuracy lies more than two standard errors
        above chance.
    """
    if accuracy is None or samples < 1:
        return None
    if _above_chance(accuracy, chance, samples):
        return None
    text = (
        f"On the validation data the model is right in {accuracy:.0%} of {samples:,} samples, no "
        f"more than by {guess}, where up to {_luck(chance, samples):.0%} would be luck"
    )
    if trained is None or not _above_chance(trained, chance, samples):
        return f"{text}.{_CAUTION}"
    return (
        f"{text}, but in {trained:.0%} on the training data: it knows them by heart, or by "
        "something that only they show. Where that is what the map marks, tell it to ignore that."
    )


def _above_chance(accuracy: float, chance: float, samples: int) -> bool:
    return accuracy > _luck(chance, samples)


def _luck(chance: float, samples: int) -> float:
    """The largest accuracy that guessing might reach: two standard errors above its mean."""
    return min(1.0, chance + 2 * math.sqrt(chance * (1 - chance) / samples))


def strongest(values: Map) -> NDArray[np.bool_]:
    """The strongest 10 % of the units (E), less where fewer are above 0."""
    count = max(1, round(TOP_SHARE * values.size))
    marked = np.zeros(values.size, dtype=bool)
    marked[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    inside: NDArray[np.bool_] = marked.reshape(values.shape) & (values > 0)
    return inside


def _too_little(deleted: Deletion, needed: float) -> str:
    """Why the deletion says that the model does not use what the map marks; "" where it does.

    The figures are those that decide, in one unit: how far the odds of the class fall, as a
    multiple. Probabilities would tell another story of the same fall, because near 0 and 1 they
    hardly move.
    """
    if deleted.effect < needed:
        least = _times(needed, math.ceil)
        if deleted.effect <= 0:
            return (
                "Without what it marks the odds of this class fall no further than without as "
                f"much elsewhere, and {least} as far would be needed: the model does not "
                "depend on it."
            )
        found = _times(deleted.effect, math.floor)
        return (
            f"Without what it marks the odds of this class fall {found} as far as without "
            f"as much elsewhere, and {least} as far would be needed: the model hardly "
            "depends more on it than on other places."
        )
    if deleted.rank < LEAST_RANK:
        costlier = PLACES - round(deleted.rank * PLACES)
        most = PLACES - math.ceil(LEAST_RANK * PLACES)
        return (
            f"At {costlier} of {PLACES} other places taking out as much costs the class no less, "
            f"and at most {most} may: the model does not depend on this one in particular."
        )
    return ""


def _times(log_odds: float, rounded: Callable[[float], int]) -> str:
    """A change of the log-odds as a multiple of the odds.

    `rounded` is `math.floor` for what was found and `math.ceil` for what is needed, so that too
    little never reads like enough.
    """
    power = log_odds / math.log(10)
    if power >= 4:  # a model that is surer than any number tells
        return f"10^{rounded(10 * power) / 10:.1f} times"
    factor = math.exp(log_odds)
    return f"{rounded(10 * factor) / 10:.1f} times" if factor < 10 else f"{rounded(factor):,} times"
