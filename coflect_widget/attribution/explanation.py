"""The result a person sees: where the model looks on one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Quality
from coflect_widget.modalities.base import Corners

#: In `Explanation.truth`, of places without a label.
NO_CLASS = 255
_SIDE = 192  #: pixels of a picture in a cell
_TRUTH, _SAID = (95, 227, 255), (255, 179, 71)  #: colours of outlines, as in the dashboard
_WIDE = 600  #: and of words, curves or features


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explanation:
    """Attribution maps of one sample under the weights of one training step.

    Attributes
    ----------
    index : int
        The sample's place in the training data.
    map : ndarray float32 in [0, 1]
        The map of `method`, a value for each unit of the input's extent: (H, W) of a picture;
        largest value 1 (all 0 if there is nothing).
    livecam, smoothgrad : ndarray float32 in [0, 1], as `map`
        The two maps that `map` comes from. LiveCAM is all 0 for a model without any spatial
        layer, which only ``method="smoothgrad"`` accepts. Of a text it is integrated gradients,
        or occlusion where that is the method.
    consensus : ndarray (H, W) float32 in [0, 1]
        Blend of the two, whichever map is shown. In segmentation, where it is the one that is
        shown, what the region's class falls by without each place stands for LiveCAM in it.
    agreement : float in [0, 1] or None
        How far the two maps say the same; None where one of them is flat.
    focus_bbox : tuple of float in [0, 1], or None
        Box round the strongest region of `map`, in fractions of the extent: of a picture
        (x0, y0, x1, y1), origin top left.
    top_classes, top_probs : tuple of int, tuple of float
        At most three classes, or twelve labels, with their probabilities, most probable first;
        none in regression.
    target, predicted : int
        The sample's label and the model's most probable class; in regression both are the
        output that was explained.
    model_step : int
        Training step of the weights that were explained.
    method : {"livecam", "gradcam", "integrated", "occlusion", "shapley", "smoothgrad", "consensus"}
    modality_focus : dict of str to float, or None
        Share of each input in what the model says of this sample; the shares sum to 1. Of several
        inputs they are measured by exchange with other samples: how far the explained output
        moves when one alone, or all but one, are another sample's. None, not defined, where no
        exchange moves it.
    modality_reason : str
        Why it is not defined; empty where it is.
    quality : Quality or None
        Verdict of the checks on the map; None where none was made.
    seconds : float
        Processor time that the worker used.
    samples_used : int
        Noisy copies after which SmoothGrad had converged, or the most it may take.
    picture : ndarray (H, W, 3) uint8 or None
        The sample as it is shown; None where it could not be read.
    parts : dict of str to ndarray
        Of a sample with several inputs, the part of `map` that belongs to each, by name and in its
        own extent; largest value: its share over the largest share. {} where there is one input.
    content : mapping or None
        What a browser draws of a sample that is no picture (`Modality.content`).
    classes : tuple of str
        Names of the classes, for the words below the picture.
    explained : int or None
        The class, label or output that the map is of; None in runs of before.
    labels : tuple of int
        With several labels a sample those that are there; `target` and `predicted` are of the
        explained one then, and `top_probs` each label's own. Empty in other tasks.
    truth, said : ndarray (H, W) uint8 or None
        In segmentation the ground truth, 255 where a place has none, and what the model says.
    region : ndarray (H, W) bool or None
        In segmentation the places whose mean score the map is of; `target`, `predicted` and
        `top_probs` are theirs.
    """

    index: int
    map: NDArray[np.float32]
    livecam: NDArray[np.float32]
    smoothgrad: NDArray[np.float32]
    consensus: NDArray[np.float32]
    agreement: float | None
    focus_bbox: Corners | None
    top_classes: tuple[int, ...]
    top_probs: tuple[float, ...]
    target: int
    predicted: int
    model_step: int
    method: str
    modality_focus: dict[str, float] | None
    quality: Quality | None = None
    seconds: float = 0.0
    samples_used: int = 0
    modality_reason: str = ""
    picture: NDArray[np.uint8] | None = None
    classes: tuple[str, ...] = ()
    explained: int | None = None
    labels: tuple[int, ...] = ()
    content: Mapping[str, Any] | None = None
    truth: NDArray[np.uint8] | None = None
    said: NDArray[np.uint8] | None = None
    region: NDArray[np.bool_] | None = None
    parts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __repr__(self) -> str:
        agreement = "not defined" if self.agreement is None else f"{self.agreement:.2f}"
        prob = f"prob={self.top_probs[0]:.2f}, " if self.top_probs else ""
        return (
            f"Explanation(index={self.index}, target={self.target}, predicted={self.predicted}, "
            f"{prob}agreement={agreement}, "
            f"model_step={self.model_step}, method={self.method!r})"
        )

    def _repr_html_(self) -> str:
        """The sample, the map over it and the map alone, with what the model says."""
        from coflect_widget.records import cells  # in a worker nobody looks
        from coflect_widget.records.sketches import sketch

        drawn = sketch(self.content, self.map)
        if drawn:
            tile = cells.tile(drawn, ["coloured where the model looks"], width=_WIDE)
            return cells.block(self._title(), [tile], self._note())
        tiles = []
        if self.picture is not None:
            tiles += [
                self._tile(self.picture, "the sample"),
                self._tile(cells.over(self.picture, self.map), "where the model looks"),
            ]
            for mask, colour, words in (
                (self.truth, _TRUTH, "ground truth"),
                (self.said, _SAID, "what the model says"),
            ):
                if mask is not None:
                    outlined = cells.outlined(self.picture, mask, colour, _SIDE)
                    tiles.append(self._tile(outlined, words))
        tiles.append(self._tile(cells.heat(self.map), "the map alone"))
        return cells.block(self._title(), tiles, self._note())

    def _tile(self, picture: NDArray[np.uint8], words: str) -> str:
        from coflect_widget.records import cells

        file = cells.png(cells.fitted(picture, _SIDE))
        alt = f"sample {self.index}: {words}"
        return cells.tile(cells.picture_tag(file, alt), [words], width=_SIDE + 30)

    def _title(self) -> str:
        if not self.top_probs:
            return f"Sample {self.index} after step {self.model_step}"
        right = "rightly" if self.predicted == self.target else f"it is {self._name(self.target)}"
        return (
            f"Sample {self.index} after step {self.model_step}: the model says "
            f"{self._name(self.predicted)} ({self.top_probs[0]:.0%}), {right}"
        )

    def _note(self) -> str:
        words = []
        if self.quality is not None:
            words.append("reliable" if self.quality.reliable else "not reliable")
            words.append(self.quality.reason)
        if self.agreement is not None:
            words.append(f"the two methods agree to {self.agreement:.0%}")
        return "; ".join(word.rstrip(".") for word in words if word)

    def _name(self, label: int) -> str:
        known = 0 <= label < len(self.classes)
        return self.classes[label] if known else f"class {label}"
