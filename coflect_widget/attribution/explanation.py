"""The result a person sees: where the model looks on one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Quality


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explanation:
    """Attribution maps of one sample under the weights of one training step.

    Attributes
    ----------
    index : int
        The sample's place in the training data.
    map : ndarray (H, W) float32 in [0, 1]
        The map of `method`, at the input's size, largest value 1 (all 0 if there is nothing).
    livecam, smoothgrad : ndarray (H, W) float32 in [0, 1]
        The two maps that `map` comes from. LiveCAM is all 0 for a model without any spatial
        layer, which only ``method="smoothgrad"`` accepts.
    consensus : ndarray (H, W) float32 in [0, 1]
        Blend of the two, whichever map is shown.
    agreement : float in [0, 1] or None
        How far the two maps say the same; None where one of them is flat.
    focus_bbox : (x0, y0, x1, y1) in [0, 1] or None
        Box round the strongest region of `map`; fractions of width and height, origin top left.
    top_classes, top_probs : tuple of int, tuple of float
        At most three classes with their probabilities, most probable first; none in regression.
    target, predicted : int
        The sample's label and the model's most probable class; in regression both are the
        output that was explained.
    model_step : int
        Training step of the weights that were explained.
    method : {"livecam", "gradcam", "smoothgrad", "consensus"}
    modality_focus : dict of str to float, or None
        Share of each input modality; the shares sum to 1. None, not defined, where one of them
        cannot be measured.
    modality_reason : str
        Why it is not defined; empty where it is.
    quality : Quality or None
        Verdict of the checks on the map; None where none was made.
    seconds : float
        Processor time that the worker used.
    samples_used : int
        Noisy copies after which SmoothGrad had converged, or the most it may take.
    """

    index: int
    map: NDArray[np.float32]
    livecam: NDArray[np.float32]
    smoothgrad: NDArray[np.float32]
    consensus: NDArray[np.float32]
    agreement: float | None
    focus_bbox: tuple[float, float, float, float] | None
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

    def __repr__(self) -> str:
        agreement = "not defined" if self.agreement is None else f"{self.agreement:.2f}"
        prob = f"prob={self.top_probs[0]:.2f}, " if self.top_probs else ""
        return (
            f"Explanation(index={self.index}, target={self.target}, predicted={self.predicted}, "
            f"{prob}agreement={agreement}, "
            f"model_step={self.model_step}, method={self.method!r})"
        )
