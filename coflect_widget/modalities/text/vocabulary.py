"""What ids stand for: pieces of words, whole words, and what is no word at all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pieces that are no words, by how they are written; an unknown word is a word.
_SPECIAL = re.compile(r"\[(?!UNK)[A-Z_0-9]{2,12}\]|<(?!unk)[/|a-zA-Z_0-9]{1,16}>|<\|[^|>]+\|>")
_PADDING = re.compile(r"\W*_?pad_?\W*", re.IGNORECASE)
#: Pieces that may stand for a word that was taken out, the best one first.
_NOTHING = re.compile(r"\W{1,2}mask\W{1,2}", re.IGNORECASE)
_UNKNOWN = re.compile(r"\W{0,2}unk(nown)?\W{0,2}", re.IGNORECASE)
#: How pieces that begin a word are written, where the others have no mark; and the reverse.
_BEGINS, _GOES_ON = ("\u0120", "\u2581"), "##"
#: A word is at most so many pieces, where the vocabulary alone tells how it is cut.
_MOST_PIECES = 12
_FORMS = (
    "give a tokenizer of transformers or tokenizers, a sequence of words by id, or a function "
    "that gives the words of a list of ids"
)


class Vocabulary:
    """Words by id.

    Parameters
    ----------
    pieces : sequence of str
        What each id is written as.
    special : set of int, optional
        Ids that are no words; by how they are written if left out.
    padding : int, optional
        The id that fills up; by how it is written if left out.
    nothing : int, optional
        The id that stands for a word that was taken out.
    cut : callable, optional
        A word -> the ids of its pieces; it is not sent to other processes.

    Attributes
    ----------
    special : frozenset of int
        Padding included.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        special: set[int] | None = None,
        padding: int | None = None,
        nothing: int | None = None,
        cut: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        self.pieces = tuple(pieces)
        if special is None:
            special = {k for k, piece in enumerate(pieces) if not piece or _special(piece)}
        if padding is None:
            padding = next((k for k in sorted(special) if _PADDING.fullmatch(pieces[k])), None)
        if padding is None:
            padding = next((k for k in sorted(special) if not pieces[k]), None)
        if nothing is None:
            named = (k for k, piece in enumerate(pieces) if _NOTHING.fullmatch(piece))
            unknown = (k for k, piece in enumerate(pieces) if _UNKNOWN.fullmatch(piece))
            nothing = next(named, padding if padding is not None else next(unknown, None))
        self.padding = padding
        self.nothing = 0 if nothing is None else nothing
        self.special = frozenset(special if padding is None else {*special, padding})
        self._cut = cut

    def __len__(self) -> int:
        return len(self.pieces)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("pieces", "padding", "nothing", "special")
        return {**{name: getattr(self, name) for name in kept}, "_cut": None}

    @cached_property
    def _begins(self) -> tuple[str, ...]:
        """Marks of pieces that begin a word, as far as this vocabulary has any."""
        return tuple(m for m in _BEGINS if sum(p.startswith(m) for p in self.pieces) > 1)

    @cached_property
    def starts(self) -> NDArray[np.bool_]:
        """(V,) whether a piece begins a word, or is none."""
        if self._begins:
            found = [piece.startswith(self._begins) for piece in self.pieces]
        else:
            found = [not piece.startswith(_GOES_ON) for piece in self.pieces]
        for k in self.special:
            found[k] = True
        return np.array(found, np.bool_)

    def plain(self, id_: int) -> str:
        """A piece as it is read, without marks."""
        if not 0 <= id_ < len(self.pieces):
            return str(id_)
        piece = self.pieces[id_]
        for mark in self._begins:
            piece = piece.removeprefix(mark)
        if not self._begins and len(piece) > len(_GOES_ON):
            piece = piece.removeprefix(_GOES_ON)
        return piece

    def words(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Words of one sample, each with the places of its pieces; what is no word is in none.

        Neither is what is below 0: it is left out.
        """
        found: list[tuple[str, list[int]]] = []
        joined = False  # whether the piece before may go on
        for place, id_ in enumerate(ids):
            if id_ < 0 or id_ in self.special:
                joined = False
                continue
            known = 0 <= id_ < len(self.pieces)
            if joined and known and not self.starts[id_]:
                text, places = found[-1]
                found[-1] = (text + self.plain(id_), [*places, place])
            else:
                found.append((self.plain(id_), [place]))
            joined = known
        return found

    @cached_property
    def _by_text(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {}
        for k in range(len(self.pieces)):
            if k not in self.special:
                found.setdefault(self.plain(k).casefold(), []).append(k)
        return found

    def sequences(self, word: str) -> tuple[tuple[int, ...], ...]:
        """All runs of ids that are this word, however it is written; () where there is none."""
        folded = word.strip().casefold()
        found: set[tuple[int, ...]] = {
            (k,) for k in self._by_text.get(folded, ()) if self.starts[k]
        }
        for form in dict.fromkeys((word.strip(), folded, folded.capitalize(), folded.upper())):
            for given in (form, " " + form) if self._cut is not None else (form,):
                run = tuple(self._pieces_of(given))
                said = self.words(run)
                if run and len(said) == 1 and said[0][0].casefold() == folded:
                    found.add(run)
        return tuple(sorted(found))

    def near(self, word: str) -> list[str]:
        """Words that are written much like this one."""
        return difflib.get_close_matches(word.casefold(), self._by_text, n=3, cutoff=0.7)

    def _pieces_of(self, word: str) -> Sequence[int]:
        """How a word is cut: by its tokenizer, else longest piece first."""
        if self._cut is not None:
            return [int(k) for k in self._cut(word)]
        exact = self._exact
        run: list[int] = []
        rest = word
        while rest and len(run) < _MOST_PIECES:
            follows = ("",) if self._begins else (_GOES_ON,)
            marks = follows if run else (self._begins or ("",))
            cut = next(
                (
                    (exact[mark + rest[:end]], end)
                    for end in range(len(rest), 0, -1)
                    for mark in marks
                    if mark + rest[:end] in exact
                ),
                None,
            )
            if cut is None:
                return []
            run.append(cut[0])
            rest = rest[cut[1] :]
        return [] if rest else run

    @cached_property
    def _exact(self) -> Mapping[str, int]:
        return {piece: k for k, piece in enumerate(self.pieces)}


def _special(piece: str) -> bool:
    return bool(_SPECIAL.fullmatch(piece) or _PADDING.fullmatch(piece))


class Spelling:
    """A vocabulary whose words are asked for once it is known how many ids there are."""

    def __init__(self, words: Callable[[Sequence[int]], Sequence[str]]) -> None:
        self._words = words

    def of(self, count: int) -> Vocabulary:
        """The words of the ids 0 to `count` - 1.

        Raises
        ------
        ValueError
            If the function gives none.
        """
        try:
            found = self._words(list(range(count)))
        except Exception as error:
            raise ValueError(
                f"tokenizer= fails on the ids 0 to {count - 1}, which the model's embedding has: "
                f"{error!r}; it is called with a list of ids and gives a list of words"
            ) from error
        if isinstance(found, str) or len(found) != count:
            given = "one text" if isinstance(found, str) else f"{len(found)} words"
            raise ValueError(
                f"tokenizer= gives {given} for {count} ids; it must give a list of as many words, "
                "for example tokenizer=lambda ids: [names[i] for i in ids]"
            )
        return Vocabulary([str(word) for word in found])


def vocabulary_of(tokenizer: Any) -> Vocabulary | Spelling:
    """What a person gives as ``tokenizer=``.

    Raises
    ------
    TypeError, ValueError
        If it is none; the message says what to give.
    """
    if isinstance(tokenizer, Vocabulary | Spelling):
        return tokenizer
    if isinstance(tokenizer, str) or tokenizer is None:
        raise TypeError(f"tokenizer={tokenizer!r}; {_FORMS}")
    if isinstance(tokenizer, Mapping):
        return _by_word(tokenizer)
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        return _of_transformers(tokenizer)
    if hasattr(tokenizer, "id_to_token") and hasattr(tokenizer, "get_vocab_size"):
        return _of_tokenizers(tokenizer)
    if callable(tokenizer):
        return Spelling(tokenizer)
    if hasattr(tokenizer, "__getitem__") and hasattr(tokenizer, "__len__"):
        pieces = [tokenizer[k] for k in range(len(tokenizer))]
        wrong = next((k for k, piece in enumerate(pieces) if not isinstance(piece, str)), None)
        if wrong is not None:
            raise TypeError(
                f"tokenizer[{wrong}] is {pieces[wrong]!r}; a sequence must give the word of each "
                "id, a str"
            )
        if not pieces:
            raise ValueError(f"tokenizer= has no words; {_FORMS}")
        return Vocabulary([str(piece) for piece in pieces])
    raise TypeError(f"tokenizer={type(tokenizer).__name__}; {_FORMS}")


def _by_word(ids: Mapping[Any, Any]) -> Vocabulary:
    """Of a mapping of words to ids, or of ids to words."""
    pairs = [(k, v) if isinstance(v, str) else (v, k) for k, v in ids.items()]
    known = {int(k): str(word) for k, word in pairs if isinstance(k, int | np.integer)}
    if not known or len(known) != len(ids) or min(known) < 0:
        raise ValueError("tokenizer= is a mapping, but not of words to ids, each id once")
    return Vocabulary([known.get(k, f"[{k}]") for k in range(max(known) + 1)])


def _of_transformers(tokenizer: Any) -> Vocabulary:
    count = len(tokenizer)
    pieces = [
        f"[{k}]" if piece is None else str(piece)
        for k, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(count))))
    ]
    unknown = getattr(tokenizer, "unk_token_id", None)
    special = {int(k) for k in tokenizer.all_special_ids} - {unknown}
    return Vocabulary(
        pieces,
        special,
        getattr(tokenizer, "pad_token_id", None),
        getattr(tokenizer, "mask_token_id", None),
        lambda word: tokenizer.encode(word, add_special_tokens=False),
    )


def _of_tokenizers(tokenizer: Any) -> Vocabulary:
    count = tokenizer.get_vocab_size()
    pieces = [tokenizer.id_to_token(k) or f"[{k}]" for k in range(count)]
    return Vocabulary(pieces, cut=lambda word: tokenizer.encode(word, add_special_tokens=False).ids)
