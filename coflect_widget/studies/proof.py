"""The verdict of a proof, from what its branches came to, seed by seed.

"Helped" is said of a cause alone: what was to be ignored draws less than it does in the untreated
branch, and less than where a random region is ignored instead; or the validation is better than
both. Where an interval over the seeds does not say, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Beyond, Proof, ProofBranch
from coflect_widget.studies.effect import LEAST_HARM, LEAST_LEFT, LEAST_PULL

#: Least gain of the task's quality on validation that is worth saying "helped".
LEAST_GAIN = 0.02
#: 97.5 % of Student's t, of 1, 2, 3, ... degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
NAMES: tuple[Literal["treated", "untreated", "placebo"], ...] = ("untreated", "treated", "placebo")
#: Which branch is held beside which.
PAIRS = (("treated", "untreated"), ("placebo", "untreated"), ("treated", "placebo"))

Figures = Mapping[str, Sequence[float | None]]
Verdict = Literal["helped", "no difference", "harmed", "no verdict"]


def difference(
    first: Sequence[float | None], second: Sequence[float | None]
) -> tuple[float, float, float] | None:
    """Mean of first - second over the seeds, with a 95 % interval; None where that is unknown."""
    known = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if len(known) < max(2, len(first)):
        return None
    values: NDArray[np.float64] = np.array(known, np.float64)
    freedom = len(values) - 1
    factor = _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.72 / freedom
    wide = factor * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean, mean - wide, mean + wide


def judge(
    intervention: str,
    branches: Mapping[str, Figures],
    *,
    from_step: int,
    steps: int,
    seeds: int,
    guess: float | None,
    quality: str,
    lapsed: Sequence[str] = (),
) -> Proof:
    """The proof, without its cost.

    Parameters
    ----------
    branches : mapping
        By name, of each branch "quality", "loss" and "pull", one figure a seed, None where it
        is not known.
    guess : float or None
        Quality of who always names the most frequent class; None where there is no such thing.
    quality : str
        What the task calls it.
    lapsed : sequence of str
        Branches whose guidance went out of force by itself.
    """
    found: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    beyond = []
    for branch, than in (
        ("treated", "untreated"),
        ("placebo", "untreated"),
        ("treated", "placebo"),
    ):
        for name in ("quality", "pull"):
            values = difference(branches[branch][name], branches[than][name])
            if values is not None:
                found[branch, than, name] = values
                change, low, high = (round(value, 5) for value in values)
                beyond.append(
                    Beyond(branch=branch, than=than, name=name, change=change, low=low, high=high)  # type: ignore[arg-type]  # three names, and two
                )
    verdict, text = _verdict(found, branches, guess, quality, seeds, lapsed)
    return Proof(
        intervention=intervention,
        verdict=verdict,
        text=text,
        from_step=from_step,
        steps=steps,
        seeds=seeds,
        quality=quality,
        branches=[
            ProofBranch(
                name=name,
                quality=list(branches[name]["quality"]),
                loss=list(branches[name]["loss"]),
                pull=list(branches[name]["pull"]),
            )
            for name in NAMES
        ],
        beyond=beyond,
    )


def _verdict(
    found: Mapping[tuple[str, str, str], tuple[float, float, float]],
    branches: Mapping[str, Figures],
    guess: float | None,
    quality: str,
    seeds: int,
    lapsed: Sequence[str],
) -> tuple[Verdict, str]:
    figures = _figures(found, branches, quality)
    over = f"over {seeds} seeds"
    if lapsed:
        return "no verdict", (
            f"no verdict: what was told in the {' and the '.join(lapsed)} branch went out of force "
            f"by itself; {figures}"
        )
    if not found:
        return "no verdict", (
            "no verdict: there is neither a validation nor a place whose pull can be measured"
        )
    pulls = [found.get(("treated", than, "pull")) for than in ("untreated", "placebo")]
    gains = [found.get(("treated", than, "quality")) for than in ("untreated", "placebo")]
    sees = guess is None or _sees(branches, guess)
    if sees and all(one is not None and one[2] < 0 and one[0] <= -LEAST_PULL for one in pulls):
        return "helped", f"helped: {figures}, {over}"
    if all(one is not None and one[1] > 0 and one[0] >= LEAST_GAIN for one in gains):
        return "helped", f"helped: {figures}, {over}"
    first = gains[0]
    if first is not None and first[2] < 0 and first[0] <= -LEAST_HARM:
        return "harmed", f"harmed: {figures}, {over}"
    settled = [
        one is None or (abs(one[1]) < least and abs(one[2]) < least)
        for one, least in ((pulls[0], LEAST_PULL), (first, LEAST_HARM))
    ]
    if not sees:
        return "no verdict", (
            f"no verdict: the treated branch recognises nothing any more; {figures}, {over}"
        )
    if all(settled):
        return "no difference", f"no difference: {figures}, {over}"
    return "no verdict", (
        f"no verdict: {figures}, {over}; the seeds do not agree beyond doubt, or a random region "
        "does as much. More seeds may tell"
    )


def _sees(branches: Mapping[str, Figures], guess: float) -> bool:
    """Whether the treated branch still recognises some of what the untreated one does."""
    treated, untreated = (
        float(np.mean([v for v in branches[name]["quality"] if v is not None] or [guess]))
        for name in ("treated", "untreated")
    )
    return treated >= untreated or treated - guess >= LEAST_LEFT * (untreated - guess)


def _figures(
    found: Mapping[tuple[str, str, str], tuple[float, float, float]],
    branches: Mapping[str, Figures],
    quality: str,
) -> str:
    """As "the place draws 62 % of other samples untreated, 3 % treated, 60 % with a placebo"."""
    said = []
    for name, words in (("pull", "pull of the place"), ("quality", f"validation {quality}")):
        means = [_mean(branches[branch][name]) for branch in NAMES]
        if None in means:
            continue
        untreated, treated, placebo = means
        change = found.get(("treated", "untreated", name))
        interval = "" if change is None else f" ({change[1]:+.3f} to {change[2]:+.3f})"
        said.append(
            f"{words} {untreated:.3f} untreated, {treated:.3f} treated{interval}, {placebo:.3f} "
            "with a random region"
        )
    return "; ".join(said)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
