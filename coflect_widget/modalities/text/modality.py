"""Texts as a kind of input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Map,
    Modality,
    Pattern,
    Region,
    Rendering,
)
from coflect_widget.modalities.text import places
from coflect_widget.modalities.text.regions import Span, Word, parse_region, read_regions
from coflect_widget.modalities.text.render import strip
from coflect_widget.modalities.text.vocabulary import Spelling, Vocabulary, vocabulary_of
from coflect_widget.modalities.units import Units

EXAMPLES = (
    'ignore "great"',
    'ignore "great" and "awful"',
    'ignore "great" everywhere',
    "ignore words 3-7",
    "ignore words 3-7 only this one",
    "focus words 3-7",
    'focus "story"',
    'focus "story" at 50%',
)
#: Ids that stand for pieces of text are at least so many in a sample.
_LEAST = 2


class Text(Units):
    """Texts as ids (L,), whole numbers; the extent is (L,).

    Parameters
    ----------
    tokenizer : optional
        What the ids stand for: a tokenizer of transformers or tokenizers, a sequence of words by
        id, a mapping of words to ids, or a function that gives the words of a list of ids. Ids are
        their own words if left out.
    padding : int, optional
        The id that fills a text up; the tokenizer's if left out, and 0 without a tokenizer.

    Raises
    ------
    TypeError, ValueError
        If `tokenizer` cannot be used.
    """

    name = "text"
    noun, nouns = "text", "texts"
    methods: tuple[str, ...] = ("consensus", "integrated", "occlusion", "smoothgrad")
    examples: tuple[str, ...] = EXAMPLES
    synonyms: Mapping[str, str] = {"token": "word", "tokens": "words"}
    whole = True

    def __init__(self, tokenizer: Any = None, padding: int | None = None) -> None:
        self._given = padding
        self._unsaid = False  # whether nobody has told words or padding
        self._spelling: Spelling | None = None
        self._words: Vocabulary | None = None
        if tokenizer is not None:
            known = vocabulary_of(tokenizer)
            if isinstance(known, Spelling):
                self._spelling = known
            else:
                self._words = known

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spelling": None}

    # --- what ids stand for ----------------------------------------------------------------------

    @property
    def has_words(self) -> bool:
        """Whether anybody has said what the ids stand for."""
        return self._words is not None or self._spelling is not None

    def with_words(self, tokenizer: Any) -> Modality:
        """The same with a tokenizer."""
        found: Modality = Text(tokenizer, self._given)
        return found

    @property
    def words(self) -> Vocabulary:
        """What the ids stand for, as far as it is known."""
        if self._words is None:
            padding = 0 if self._given is None else self._given
            return Vocabulary((), {padding}, padding, padding)
        return self._words

    @property
    def special(self) -> tuple[int, ...]:
        """Ids that are no words, padding among them."""
        more = () if self._given is None else (self._given,)
        return tuple(sorted({*self.words.special, *more}))

    def numbered(self, count: int) -> Modality:
        """See `Modality.numbered`: the ids that the embedding has."""
        if self._spelling is not None:
            return Text(self._spelling.of(count), self._given)
        words = self._words
        if words is None:
            names = [str(k) for k in range(count)]
            padding = 0 if self._given is None else self._given
            known = Text(Vocabulary(names, {padding}, padding, padding), self._given)
            known._unsaid = self._given is None
            return known
        if len(words) > count:
            raise ValueError(
                f"tokenizer= has {len(words)} words, but the model's embedding takes ids from 0 to "
                f"{count - 1}: they do not belong together; give the tokenizer that the ids were "
                f"made with, or an embedding of {len(words)} rows"
            )
        return self

    # --- what a sample is ----------------------------------------------------------------------

    def recognises(self, x: Any) -> bool:
        """Whole numbers in one row."""
        whole = np.asarray(x).dtype.kind in "iu"
        return len(x.shape) == 1 and x.shape[0] >= _LEAST and whole

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        shape = tuple(x.shape)
        if np.asarray(x).dtype.kind not in "iu":
            raise ValueError(
                f"{argument} has inputs of type {x.dtype}; a text is ids, whole numbers (N, L): "
                "pass ids.astype('int64'), or of a tensor ids.long()"
            )
        if len(shape) != 1 or shape[0] < _LEAST:
            raise ValueError(
                f"{argument} has inputs of shape {shape}; a text is ids (L,), L at least {_LEAST}, "
                "and all of them (N, L): fill shorter ones up with padding"
            )

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Text:
        """As it is; a text of nothing but padding has no words, once it is known what is padding.

        See `Modality.fitted`.
        """
        if self._words is None:
            return self
        rows = inputs if isinstance(inputs, np.ndarray) else np.stack(list(inputs))
        empty = np.flatnonzero(~places.real(rows, self.special).any(1)).tolist()
        if empty:
            ids = ", ".join(map(str, self.special))
            first = empty[0] if numbers is None else numbers[empty[0]]
            raise ValueError(
                f"{argument} has no words at index {first}, nothing but padding "
                f"and special ids ({ids}); leave such samples out, or name the id that fills "
                "up with inputs=coflect.Text(tokenizer, padding=...)"
            )
        return self

    def filled(self, x: Any, length: int) -> Any:
        """See `Modality.filled`: with padding that is left out; such before the words goes too."""
        return places.filled(x, length, 0 if self.words.padding is None else self.words.padding)

    def assumed(self, x: Array) -> str:
        """That there are texts, and which id is padding, where nobody has said anything."""
        del x
        if not self._unsaid:
            return ""
        return (
            "Inputs are whole numbers in a row, and were taken for texts whose ids have no words "
            "and are filled up with 0. Pass tokenizer= for the words, and where another id fills "
            "up, inputs=coflect.Text(tokenizer, padding=...). Rows of a table of whole numbers "
            'train with inputs="table".'
        )

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """Places (start, stop), or a word wherever it stands.

        A word that the vocabulary has not raises ValueError.
        """
        found = parse_region(value, argument, None if extent is None else extent[0])
        if isinstance(found, Word) and len(self.words) and not self.words.sequences(found.text):
            near = self.words.near(found.text)
            hint = f"; near are {', '.join(map(repr, near))}" if near else ""
            raise ValueError(
                f"{argument}={found.text!r} is no word of the tokenizer{hint}; mark it by its "
                "places (start, stop)"
            )
        return found

    def read(self, words: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """A word in quotes or without, or places, as in "words 3-7"."""
        found = read_regions(words, bare=bare)
        if isinstance(found, str):
            return found
        for region in found[1]:
            try:
                self.region(region, "word")
            except ValueError as error:
                return str(error)
        return found

    def describe(self, regions: Sequence[Region]) -> str:
        """See `Modality.describe`."""
        return " and ".join(str(region) for region in regions)

    # --- masks ---------------------------------------------------------------------------------

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """The places of a span; none of a word, whose places are each text's own."""
        if not isinstance(region, Span):
            return np.zeros(extent, np.bool_)
        at = np.arange(extent[0])
        return (at >= region.start) & (at < region.stop)

    def mask_in(self, region: Region, x: Array) -> BoolArray:
        """The words that are marked; never padding or special ids."""
        rows = np.asarray(x)[None]
        if isinstance(region, Span):
            marked = self.mask(region, self.extent(x))
        else:
            marked = self.occurrences(self.pattern(region, None), rows)[0]
        found: BoolArray = marked & places.real(rows, self.special)[0]
        return found

    def overlap(self, one: Region, other: Region) -> bool:
        """Spans that share a place, or the same word; where a word stands is not known."""
        if isinstance(one, Span) and isinstance(other, Span):
            return one.start < other.stop and other.start < one.stop
        return one == other

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """None: in another text the same place is another word. See `pattern`."""
        del mask
        return []

    def pattern(self, region: Region, x: Array | None) -> Pattern | None:
        """The runs of ids that a word is, or that stand in a span of `x`."""
        if isinstance(region, Word):
            return self.words.sequences(region.text) or _number(region.text)
        if x is None or not isinstance(region, Span):
            return None
        runs: list[tuple[int, ...]] = []
        run: list[int] = []
        for id_ in [*np.asarray(x)[region.start : region.stop].tolist(), None]:
            if id_ is not None and id_ >= 0 and id_ not in self.special:
                run.append(id_)
            elif run:
                runs.append(tuple(run))
                run = []
        return tuple(dict.fromkeys(runs)) or None

    def occurrences(self, pattern: Pattern | None, x: Any) -> Any:
        """See `Modality.occurrences`; a word begins and ends where a run does."""
        return places.occurrences(pattern or (), x, self.words.starts)

    def laid_out(self, other: Any, x: Any) -> Any:
        """The words of `other` in the places of those of `x`, again from the first if too few."""
        return places.laid_out(other, x, self.special)

    def exchange(self, mask: Any, x: Any, other: Any) -> Any:
        """See `Modality.exchange`; padding and special ids stay, and come from nowhere.

        `other` of one place stands for nothing, and goes anywhere.
        """
        xp = compat.array_namespace(x)
        free = mask & places.real(x, self.special)
        if other.shape[-1] > 1:
            free = free & places.real(other, self.special)
        return xp.where(free, other, x)

    def put(self, masks: BoolArray, inputs: Array, donors: Array) -> Array:
        """The marked words; in a shorter text counted on from its first one."""
        return places.put(masks, inputs, donors, self.special)

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """Moved round the ends of the text."""
        by = int(rng.integers(1, 1 << 30))
        found: BoolArray = places.turned(mask[None], x[None], by, self.special)[0]
        return found

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """Round the ends of each text."""
        return places.turned(masks, inputs, int(by[0]), self.special)

    def baseline(self, x: Array) -> Array:
        """The id of a masked word, of padding where there is none."""
        return np.array([self.words.nothing], x.dtype)

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """One word of each text becomes another one of the same text."""
        del share
        changed = inputs.copy()
        for row, real in zip(changed, places.real(inputs, self.special), strict=True):
            at = np.flatnonzero(real)
            if len(at) > 1:
                one, other = rng.choice(at, 2, replace=False)
                row[one] = row[other]
        return changed

    def blank(self, shape: Sequence[int]) -> Array:
        """A text of one word, again and again."""
        known = range(len(self.words))
        one = next((k for k in known if k not in self.special), 0)
        return np.full(tuple(shape), one, np.int64)

    # --- maps ----------------------------------------------------------------------------------

    def parts(self, method: str) -> tuple[str, ...]:
        """Integrated gradients, or occlusion, and SmoothGrad; both gradients at the embedding."""
        return ("occlusion" if method == "occlusion" else "integrated", "smoothgrad")

    def to_units(self, values: Any, inputs: Any) -> Any:
        """Nothing for padding and special ids."""
        xp = compat.array_namespace(values)
        rows = xp.asarray(inputs, device=compat.device(values))
        return values * xp.astype(places.real(rows, self.special), values.dtype)

    # --- the same in other samples ---------------------------------------------------------------

    def template(self, x: Array, region: Region, others: Array) -> Pattern:
        """The ids that are marked."""
        del others
        found = self.pattern(region, x)
        if not found:
            raise ValueError("no word is marked, only padding and special ids")
        return found

    def find(self, inputs: Array, template: Any) -> tuple[Map, Map, BoolArray]:
        """The first place where the same ids stand."""
        at = self.occurrences(template, inputs)
        same: BoolArray = at.any(1)
        length = inputs.shape[1]
        first = at.argmax(1)
        gone = ~at & (np.arange(length) > first[:, None])
        last = np.where(gone.any(1), gone.argmax(1), length)
        box = np.stack([first, last], 1).astype(np.float32) / length
        return same.astype(np.float32), box, same

    # --- the screen ----------------------------------------------------------------------------

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """A strip with a bar for each word, as high as the word is long."""
        del display
        return Rendering(strip(len(x), self.words.words(x.tolist())))

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """See `Modality.content`: the words, each with its places."""
        del display
        words = [{"text": text, "units": at} for text, at in self.words.words(x.tolist())]
        return {"kind": "text", "words": words, "length": len(x)}


def _number(word: str) -> Pattern | None:
    """A word that is an id, where nobody knows what ids stand for."""
    return ((int(word),),) if word.isdecimal() else None


#: Without words; `Text(tokenizer)` has them.
TEXT: Modality = Text()


def with_tokenizer(known: Modality | None, tokenizer: Any) -> Modality:
    """Texts whose ids stand for what `tokenizer` says.

    Raises
    ------
    TypeError, ValueError
        If it cannot be used, or `known` is another kind of input or has one already.
    """
    if known is None or known is TEXT:
        found: Modality = Text(tokenizer)
        return found
    if not isinstance(known, Text):
        raise ValueError(
            f"tokenizer= is for texts, but inputs= says {known.name!r}; leave one of them out"
        )
    if known.has_words:
        raise ValueError("inputs= has a tokenizer already; leave tokenizer= out")
    return known.with_words(tokenizer)
