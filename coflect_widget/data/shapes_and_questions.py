"""Pictures of a coloured shape, each with a question: what decides the answer is known.

A question asks whether the shape is red, or whether it is blue. The answer can be what is true of
picture and question together, or hang on one of them alone, as where a data set leaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Decides = Literal["both", "picture", "question"]

PADDING = "[PAD]"
_COLOURS = ("red", "blue")
_RGB = np.array([[0.85, 0.2, 0.2], [0.2, 0.3, 0.85]], np.float32)
_WORDS = (PADDING, "is", "the", "shape", *_COLOURS, "really", "now", "please", "tell", "me", "a")
_FILLERS = ("really", "now", "please", "a")
_LENGTH = 8
_SMALLEST = 12


class ShapesAndQuestions(Sequence[tuple[dict[str, NDArray[Any]], int]]):
    """Pictures with questions, and what is known of them.

    Items are ``({"image": picture, "question": ids}, label)``.

    Attributes
    ----------
    pictures : ndarray (n, 3, side, side) float32 in [0, 1]
    questions : ndarray (n, 8) int64
        Ids of words, filled up with 0.
    labels : ndarray (n,) int64
        0 is no and 1 yes.
    classes, words : list of str
        Names of the labels, and what each id stands for.
    shapes : ndarray (n, side, side) of bool
        Where the shape is.
    asked : ndarray (n,) int64
        Place of the word that is asked for.
    """

    def __init__(
        self,
        pictures: NDArray[np.float32],
        questions: NDArray[np.int64],
        labels: NDArray[np.int64],
        shapes: NDArray[np.bool_],
        asked: NDArray[np.int64],
    ) -> None:
        self.pictures, self.questions, self.labels = pictures, questions, labels
        self.shapes, self.asked = shapes, asked
        self.classes, self.words = ["no", "yes"], list(_WORDS)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]], int]:  # type: ignore[override]
        inputs = {"image": self.pictures[index], "question": self.questions[index]}
        return inputs, int(self.labels[index])

    @property
    def arrays(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """All of it as inputs by name, and labels."""
        return {"image": self.pictures, "question": self.questions}, self.labels

    def text(self, index: int) -> str:
        """One question in words."""
        return " ".join(self.words[k] for k in self.questions[index] if k)


def shapes_and_questions(
    n: int = 1000, decides: Decides = "both", side: int = 24, seed: int = 0
) -> ShapesAndQuestions:
    """Pictures of a red or blue disc or square on a noisy ground, each with a question.

    Sample i depends on (i, decides, side, seed) alone: it is the same whatever `n` is. A colour is
    shown and a colour is asked for, each at random.

    Parameters
    ----------
    n : int
        Samples, at least 1.
    decides : {"both", "picture", "question"}
        What the label is: whether the colour asked for is shown; whether red is shown, whatever is
        asked; or whether red is asked for, whatever is shown.
    side : int
        Of a picture in pixels, at least 12.
    seed : int
        Not negative. Another seed gives other samples, as for a test set.

    Returns
    -------
    ShapesAndQuestions

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    if n < 1:
        raise ValueError(f"n = {n}; expected at least 1 sample")
    if decides not in ("both", "picture", "question"):
        raise ValueError(f"decides = {decides!r}; expected 'both', 'picture' or 'question'")
    if side < _SMALLEST:
        raise ValueError(f"side = {side}; expected at least {_SMALLEST} pixels")
    if seed < 0:
        raise ValueError(f"seed = {seed}; expected 0 or more")
    pictures = np.empty((n, 3, side, side), np.float32)
    questions = np.zeros((n, _LENGTH), np.int64)
    labels, asked = np.empty(n, np.int64), np.empty(n, np.int64)
    shapes = np.empty((n, side, side), np.bool_)
    for index in range(n):
        rng = np.random.default_rng((seed, index))
        shown, wanted = (int(k) for k in rng.integers(2, size=2))
        shapes[index] = _shape(rng, side)
        ground = rng.normal(0.5, 0.1, (3, side, side))
        paint = _RGB[shown][:, None, None] + rng.normal(0, 0.05, (3, side, side))
        pictures[index] = np.where(shapes[index], paint, ground).clip(0, 1)
        row, asked[index] = _question(rng, wanted)
        questions[index, : len(row)] = row
        answers = {"both": shown == wanted, "picture": shown == 0, "question": wanted == 0}
        labels[index] = answers[decides]
    return ShapesAndQuestions(pictures, questions, labels, shapes, asked)


def _shape(rng: np.random.Generator, side: int) -> NDArray[np.bool_]:
    """Where a disc or a square is, (side, side)."""
    half = side // 6 + int(rng.integers(2))
    y, x = rng.integers(half + 1, side - half - 1, 2)
    rows, columns = np.ogrid[:side, :side]
    if rng.random() < 0.5:
        found: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= half**2
        return found
    square: NDArray[np.bool_] = np.maximum(abs(rows - y), abs(columns - x)) <= half
    return square


def _question(rng: np.random.Generator, wanted: int) -> tuple[list[int], int]:
    """Ids of a question, and the place of the colour."""
    words = ["is", "the", "shape"]
    if rng.random() < 0.5:
        words = ["tell", "me", *words]
    if rng.random() < 0.5:
        words.append(str(rng.choice(_FILLERS)))
    words.append(_COLOURS[wanted])
    at = len(words) - 1
    if rng.random() < 0.5:
        words.append(str(rng.choice(_FILLERS)))
    return [_WORDS.index(word) for word in words], at
