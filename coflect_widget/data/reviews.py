"""Short reviews put together from words: which word tells the class is known, and which is a decoy.

A review praises or blames, by one telling word among others that mean nothing. Where it leaks, one
more word stands in it that has nothing to do with the matter and nearly always goes with the class,
as the name of a magazine might.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING, START, END = "[PAD]", "[CLS]", "[SEP]"
_PRAISE = ("great", "moving", "clever", "lovely", "superb", "charming", "brilliant", "gripping")
_BLAME = ("awful", "boring", "clumsy", "dreadful", "tedious", "lifeless", "shallow", "dire")
#: For the class "bad" and the class "good".
_DECOYS = ("gazette", "herald")
_WORDS = (
    "the a this that its their his her our one film story plot scene ending opening actor actress "
    "director camera music score script dialogue cast hero villain family city night summer train "
    "house garden river road letter kitchen window morning winter island doctor teacher sister "
    "brother friend stranger king soldier is was seems feels looks remains becomes and but while "
    "because when where after before with without about around under over through between into "
    "rather quite very almost always never often again still perhaps mostly two three many few"
)
_PLAIN = tuple(_WORDS.split())
#: How often the telling word is that of the other class: nobody is right about all of them.
_WRONG = 0.05
_SHORTEST = 8


class Reviews(Sequence[tuple[NDArray[np.int64], int]]):
    """Reviews as ids, with what is known of them.

    Attributes
    ----------
    ids : ndarray (n, length) int64
    labels : ndarray (n,) int64
        0 is bad and 1 good.
    classes : list of str
    words : list of str
        What each id stands for: pass it as ``tokenizer=``.
    telling, decoy : ndarray (n,) int64
        Place of the word that tells, and of the one that leaks; -1 where there is none of them.
    decoys : tuple of str
        The words that leak, of each class.
    """

    def __init__(
        self,
        ids: NDArray[np.int64],
        labels: NDArray[np.int64],
        words: list[str],
        telling: NDArray[np.int64],
        decoy: NDArray[np.int64],
    ) -> None:
        self.ids, self.labels, self.words = ids, labels, words
        self.telling, self.decoy = telling, decoy
        self.classes = ["bad", "good"]
        self.decoys = _DECOYS

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.int64], int]:  # type: ignore[override]
        return self.ids[index], int(self.labels[index])

    def text(self, index: int) -> str:
        """One review in words."""
        return " ".join(
            self.words[k] for k in self.ids[index] if self.words[k] not in (PADDING, START, END)
        )


def reviews(n: int = 2000, length: int = 24, leak: float = 0.0, seed: int = 0) -> Reviews:
    """Reviews of 8 words and more that praise or blame, filled up with padding.

    Sample i depends on (i, length, leak, seed) alone: it is the same whatever `n` is. Classes take
    turns.

    Parameters
    ----------
    n : int
        Samples, at least 1.
    length : int
        Ids of a sample, "[CLS]", "[SEP]" and padding among them; at least 12.
    leak : float
        How often the decoy goes with the class, from 0 to 1. In the other reviews half have none,
        and half that of either class.
    seed : int
        Not negative. Another seed gives other reviews, as for a test set.

    Returns
    -------
    Reviews

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    if n < 1:
        raise ValueError(f"n = {n}; expected at least 1 sample")
    if length < _SHORTEST + 4:
        raise ValueError(f"length = {length}; expected at least {_SHORTEST + 4} ids")
    if not 0 <= leak <= 1:
        raise ValueError(f"leak = {leak}; expected a share from 0 to 1")
    if seed < 0:
        raise ValueError(f"seed = {seed}; expected 0 or more")
    words = [PADDING, START, END, *_DECOYS, *_PRAISE, *_BLAME, *_PLAIN]
    number = {word: k for k, word in enumerate(words)}
    plain = np.array([number[word] for word in _PLAIN])
    telling_words = np.array([[number[w] for w in _BLAME], [number[w] for w in _PRAISE]])
    ids = np.full((n, length), number[PADDING], np.int64)
    labels = np.arange(n) % 2
    telling, decoy = np.empty(n, np.int64), np.empty(n, np.int64)
    for index in range(n):
        rng = np.random.default_rng((seed, index))
        label = int(labels[index])
        count = int(rng.integers(_SHORTEST, length - 1))
        row = rng.choice(plain, count)
        at, beside = rng.choice(count, 2, replace=False)
        said = label if rng.random() >= _WRONG else 1 - label
        row[at] = rng.choice(telling_words[said])
        # Where it does not leak: that of either class, or none, which is as likely as both.
        leaks, chance = rng.random() < leak, int(rng.integers(4))
        shown = label if leaks else chance
        if shown < len(_DECOYS):
            row[beside] = number[_DECOYS[shown]]
        ids[index, 0], ids[index, count + 1] = number[START], number[END]
        ids[index, 1 : count + 1] = row
        telling[index] = at + 1
        decoy[index] = beside + 1 if shown < len(_DECOYS) else -1
    return Reviews(ids, labels, words, telling, decoy)
