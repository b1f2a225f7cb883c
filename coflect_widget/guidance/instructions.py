"""The sentences a person may type, and what they mean.

The grammar is small and deterministic; capitals, spaces, "the" and a full stop do not matter.
docs/instructions.md says it with examples::

    increase focus by 10%       decrease focus by 0.05      increase focus
    set focus to 0.4            set focus to 40%            stop focus
    focus center                focus top left corner       ignore borders and bottom left
    ignore left at 50%          ignore borders for all cats focus center only this one
    focus x0=.2 y0=.2 x1=.8 y1=.8                           x=.2 y=.2 w=.6 h=.6
    lr x 0.5     lr 0.001    weight decay 0.01   freeze layer1   batch size 32
    pause  resume  stop  undo  undo i3  explain 123  slower overlays  faster overlays

"Increase focus by 10%" adds 0.10 to the strength: 0.30 becomes 0.40. What is not in the
grammar is answered with the nearest phrases and changes nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coflect_widget.events import KnobInput
from coflect_widget.guidance.knobs import read_knobs
from coflect_widget.guidance.knobs import words as knob_words
from coflect_widget.guidance.state import Kind, Scope
from coflect_widget.modalities.base import Modality, Region

DEFAULT_STEP = 0.10
MAX_LENGTH = 500

Action = Literal["change", "set", "region", "clear", "pause", "resume", "stop", "undo", "explain",
                 "overlays", "knobs"]  # fmt: skip
#: Actions that change nothing in the training: they are obeyed at once.
ORDERS = ("pause", "resume", "stop", "undo", "explain", "overlays")

#: What is typed of any kind of input; the examples of the kind stand between the two.
_STRENGTHS = (
    "increase focus by 10%",
    "decrease focus by 10%",
    "increase focus",
    "decrease focus",
    "set focus to 0.4",
    "set focus to 40%",
)
_ORDERS = (
    "stop focus",
    "lr x 0.5",
    "lr 0.001",
    "weight decay 0.01",
    "momentum 0.9",
    "freeze layer1",
    "unfreeze layer1",
    "batch size 32",
    "pause",
    "resume",
    "stop",
    "undo",
    "undo i3",
    "explain 123",
    "slower overlays",
    "faster overlays",
)

_SYNONYMS = {
    "percent": "%", "raise": "increase", "reduce": "decrease", "attention": "focus",
    "strength": "focus", "look": "focus", "focusing": "focus", "continue": "resume",
    "maps": "overlays",
}  # fmt: skip
_FILLERS = {"the", "a", "an", "on", "in", "please"}
_NUMBER = r"(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<percent>%?)"
_CHANGE = re.compile(rf"(?P<verb>increase|decrease) focus(?: by {_NUMBER})?")
_SET = re.compile(rf"set focus (?:to )?{_NUMBER}")
_AT = re.compile(rf"(?P<rest>.*\S) (?:at|with focus) {_NUMBER}")
_UNDO = re.compile(r"undo(?: (?P<id>i\d{1,9}))?")
_EXPLAIN = re.compile(r"explain (?:sample )?#?(?P<index>\d{1,12})")
_PACE = re.compile(r"(?P<pace>slower|faster|fewer|more) overlays?")
_ONE = re.compile(
    r"(?P<rest>.*?\S),? (?:only for this (?:one|sample)|only this (?:one|sample)|"
    r"for this (?:one|sample)(?: only)?)"
)
_ALL = re.compile(
    r"(?P<rest>.*\S),? (?:everywhere|for (?:all|everything|every sample|all samples))"
)
_CLASS = re.compile(r"(?P<rest>.*?\S),? for (?P<words>.+)", re.DOTALL)
_PLAIN_WORDS = {
    "pause": "pause", "pause training": "pause", "resume": "resume", "resume training": "resume",
    "stop": "stop", "stop training": "stop", "end training": "stop",
    "stop focus": "clear", "stop guidance": "clear", "clear focus": "clear",
    "clear guidance": "clear",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Understood:
    """Meaning of one instruction.

    Attributes
    ----------
    action : str
        "change", "set", "region" and "clear" are about the loss; "knobs" is about the optimizer;
        "pause", "resume", "stop", "undo", "explain" and "overlays" are orders that are obeyed at
        once.
    delta : float
        For "change": what is added to the strength, in [-1, 1].
    value : float
        For "set": the new strength, in [0, 1].
    kind : {"look", "ignore"}
        For "region".
    regions : tuple of Region
        For "region": all of them.
    region : str
        For "region": its words, in a form that can be typed again.
    strength : float or None
        For "region": as said with "at".
    scope : {"sample", "class", "everywhere"} or None
        For "region": for whom; None where it was not said.
    label : int or None
        For scope "class": the class's number; `name` is its name.
    intervention : str
        For "undo": which; "" means the last one in force.
    index : int
        For "explain": the sample.
    faster : bool
        For "overlays".
    knobs : tuple of KnobInput
        For "knobs".
    """

    action: Action
    delta: float = 0.0
    value: float = 0.0
    kind: Kind = "look"
    regions: tuple[Region, ...] = ()
    region: str = ""
    strength: float | None = None
    scope: Scope | None = None
    label: int | None = None
    name: str = ""
    intervention: str = ""
    index: int = 0
    faster: bool = False
    knobs: tuple[KnobInput, ...] = ()

    def echo(self) -> str:
        """What was understood, as a sentence that means the same when typed again."""
        match self.action:
            case "change":
                verb = "increase" if self.delta >= 0 else "decrease"
                return f"{verb} focus by {_plain(abs(self.delta) * 100)}%"
            case "set":
                return f"set focus to {_plain(self.value)}"
            case "clear":
                return "stop focus"
            case "region":
                return self._region()
            case "knobs":
                return knob_words(self.knobs)
            case "undo":
                return f"undo {self.intervention}".rstrip()
            case "explain":
                return f"explain {self.index}"
            case "overlays":
                return f"{'faster' if self.faster else 'slower'} overlays"
            case order:
                return order

    def _region(self) -> str:
        words = f"{'focus' if self.kind == 'look' else 'ignore'} {self.region}"
        if self.strength is not None:
            words += f" at {_plain(self.strength)}"
        match self.scope:
            case "sample":
                words += " only this one"
            case "everywhere":
                words += " everywhere"
            case "class":
                words += f" for class {self.name}"
        return words


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Nothing is changed; `message` says so in one line, `nearest` are phrases that work."""

    text: str
    message: str
    nearest: tuple[str, ...]


def examples(modality: Modality) -> tuple[str, ...]:
    """Instructions that work, of all sorts."""
    return (*_STRENGTHS, *modality.examples, *_ORDERS)


def parse(text: str, modality: Modality, classes: Sequence[str] = ()) -> Understood | NotUnderstood:
    """Read one instruction; never raises for a string, and never takes half of one.

    Parameters
    ----------
    text : str
        What a person typed.
    modality : Modality
        Which words name regions.
    classes : sequence of str
        Names of the classes that "for all cats" may mean.
    """
    if len(text) > MAX_LENGTH:
        return _not_understood(text, f"it is longer than {MAX_LENGTH} characters", modality)
    words = _normalise(text, modality)
    if not words:
        return _not_understood(text, "it is empty", modality)
    if words in _PLAIN_WORDS:
        return Understood(_PLAIN_WORDS[words])  # type: ignore[arg-type]  # actions, all of them
    if match := _UNDO.fullmatch(words):
        return Understood("undo", intervention=match["id"] or "")
    if match := _EXPLAIN.fullmatch(words):
        return Understood("explain", index=int(match["index"]))
    if match := _PACE.fullmatch(words):
        return Understood("overlays", faster=match["pace"] in ("faster", "more"))
    if match := _CHANGE.fullmatch(words):
        step = DEFAULT_STEP if match["number"] is None else _strength(match)
        if isinstance(step, str):
            return _not_understood(text, step, modality)
        return Understood("change", delta=step if match["verb"] == "increase" else -step)
    if match := _SET.fullmatch(words):
        value = _strength(match)
        if isinstance(value, str):
            return _not_understood(text, value, modality)
        return Understood("set", value=value)
    knobs = read_knobs(text)
    if isinstance(knobs, str):
        return _not_understood(text, knobs, modality)
    if knobs is not None:
        return Understood("knobs", knobs=knobs)
    return _region(text, modality, classes)


def _region(text: str, modality: Modality, classes: Sequence[str]) -> Understood | NotUnderstood:
    scope, label, name, rest = _scope(text, modality, classes)
    if isinstance(scope, NotUnderstood):
        return scope
    words = _normalise(rest, modality)
    strength = None
    if match := _AT.fullmatch(words):
        value = _strength(match)
        if isinstance(value, str):
            return _not_understood(text, value, modality)
        strength, words = value, match["rest"]
    kind: Kind = "look"
    place = words
    for verb, meaning in (("focus", "look"), ("ignore", "ignore")):
        if words.startswith(verb + " "):
            kind = "look" if meaning == "look" else "ignore"
            place = words[len(verb) + 1 :].removeprefix("at ")
    # a bare "left" is no instruction; bare coordinates are
    found = modality.read(place, bare=place == words)
    if isinstance(found, str):
        return _not_understood(text, found, modality)
    region, regions = found
    return Understood(
        "region", kind=kind, regions=regions, region=region, strength=strength, scope=scope,
        label=label, name=name,
    )  # fmt: skip


def _scope(
    text: str, modality: Modality, classes: Sequence[str]
) -> tuple[Scope | NotUnderstood | None, int | None, str, str]:
    """Scope, class and its name, and the text without the words that said so."""
    # "For class" first, and as it was typed: a name may end in a full stop or in "everywhere".
    rest, said, named = _fold(text, strip=False).partition(" for class ")
    found = _class(named, classes) if said else []
    if not found:
        folded = _fold(text)
        if match := _ONE.fullmatch(folded):
            return "sample", None, "", match["rest"]
        if match := _ALL.fullmatch(folded):
            return "everywhere", None, "", match["rest"]
        match = _CLASS.fullmatch(folded)
        if match is None:
            return None, None, "", text
        rest, named = match["rest"], match["words"]
        found = _class(named, classes)
    if len(found) == 1:
        return "class", found[0], " ".join(classes[found[0]].split()), rest
    known = f"known are {', '.join(classes[:12])}" if classes else "the classes have no names"
    why = f"there is no class {named!r} ({known})"
    if found:
        why = f"{len(found)} classes are called {named!r}"
    return _not_understood(text, why, modality), None, "", text


def _class(words: str, classes: Sequence[str]) -> list[int]:
    names = [_fold(" ".join(name.split()), strip=False) for name in classes]
    candidates = [words, *(words.removeprefix(p) for p in ("class ", "all ", "every ", "the "))]
    candidates += [c.removesuffix("s") for c in candidates]
    candidates += [c.removesuffix("es") for c in candidates]
    for candidate in candidates:
        found = [k for k, name in enumerate(names) if name and name == candidate]
        if found:
            return found
    return []


def _strength(match: re.Match[str]) -> float | str:
    number = float(match["number"]) / (100 if match["percent"] else 1)
    if number > 1:
        given = match["number"] + match["percent"]
        remedy = f"{given}%" if not match["percent"] and number <= 100 else "a number from 0 to 1"
        return f"{given} is more than 1; write {remedy}"
    return round(number, 9)


def _fold(text: str, *, strip: bool = True) -> str:
    """Small letters and single spaces."""
    folded = " ".join(text.casefold().split())
    return folded.strip(" .!?,;:\"'") if strip else folded


def _normalise(text: str, modality: Modality) -> str:
    folded = re.sub(r"(?<=[a-z])[-_](?=[a-z])", " ", _fold(text))  # "top-right", but not "-0.4"
    folded = re.sub(r"(?<=\d)(?=percent\b)", " ", folded)
    synonyms, fillers = {**_SYNONYMS, **modality.synonyms}, _FILLERS | modality.fillers
    words = [synonyms.get(word, word) for word in folded.split(" ")]
    return " ".join(word for word in words if word not in fillers)


def _plain(number: float) -> str:
    return f"{round(number, 9):.9f}".rstrip("0").rstrip(".")


def _not_understood(text: str, reason: str, modality: Modality) -> NotUnderstood:
    shown = " ".join(text.split())
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    words, known = _normalise(text[:MAX_LENGTH], modality), examples(modality)
    close = difflib.get_close_matches(words, known, n=3, cutoff=0.4)
    # What is near first, then one of each kind: a person shall see what would be understood.
    looks, ignores = (
        [one for one in modality.examples if one.startswith(verb)][:1]
        for verb in ("focus", "ignore")
    )
    nearest = tuple(dict.fromkeys([*close, known[0], *looks, *ignores]))[:3]
    message = (
        f"instruction {shown!r} changes nothing: {reason}; "
        + "try "
        + " | ".join(repr(phrase) for phrase in nearest)
    )
    return NotUnderstood(text, message, nearest)
