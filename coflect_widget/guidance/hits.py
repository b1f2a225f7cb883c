"""Where an artefact was found again."""

from __future__ import annotations

from dataclasses import dataclass

from coflect_widget.modalities.base import Corners


@dataclass(frozen=True, slots=True)
class Hit:
    """The artefact in another sample.

    Attributes
    ----------
    index : int
        Index in the training data.
    box : corners
        Where, in fractions of the extent: (x0, y0, x1, y1) of a picture.
    score : float
        1 for the same, 0 for what any other place looks like.
    """

    index: int
    box: Corners
    score: float
