"""Checks of masks, a class number for each place, the same for every framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.source import Source
from coflect_widget.tasks import Segmentation
from coflect_widget.tasks.segmentation import known_masks

TASK = "task='segmentation'"
#: Target of places without a label, where the loss does not say.
VOID = -100
#: Masks of so many classes fit the bytes that a map is kept with; one number stands for no class.
MOST_CLASSES = 255


class OfPlacesBackend:
    """The part of a backend for segmentation that no framework is in."""

    takes_labels = False
    #: what the framework calls what a model gives
    given = "logits"
    #: (task, logits (B, classes, H, W), masks): see `Segmentation.figures`, on the device
    figures: Callable[[Segmentation, Any, Any], Any]
    task: Segmentation
    assumptions: list[str]

    def know(self, masks: NDArray[Any], classes: int, void: int) -> None:
        """Set `task` by the masks (n, H, W) that are known, and say which classes none has."""
        known = known_masks(masks, classes, void)
        self.task = Segmentation(classes, void, known.commonest, known.iou)
        self.assumptions += said_of_missing(classes, known.missing)

    def no_labels(self, rows: int) -> Any:
        """Class numbers (rows,) of samples that have none: 0."""
        return np.zeros(rows, np.int64)

    def reduced(self, output: StepOutput) -> StepOutput:
        """A step's output with six figures a sample in the place of its logits."""
        if len(output.indices):
            output.logits = self.figures(self.task, output.logits, output.targets)
        output.targets = self.no_labels(len(output.indices))
        return output

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        """See `backends.base.Backend`."""
        del rows
        if logits is None or targets is None:
            raise ValueError(
                f"observe() needs {self.given} and masks: session.observe(indices, {self.given}, "
                "masks)"
            )
        return logits, targets, loss

    def guided(self) -> Any:
        """See `backends.base.Backend`."""
        made: Any = super().guided()  # type: ignore[misc]  # of the backend that it is part of
        made.placed = True
        return made


class OfMasks:
    """The part of a source of masks that no framework is in."""

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """See `source.Source`."""
        raise ValueError(
            "samples with masks cannot be added; add them to the data and make a new Session"
        )


def check_masks(
    shape: tuple[int, ...], dtype: Any, argument: str, whole: str, *, several: bool
) -> None:
    """Raise ValueError unless this is one mask (H, W), or are `several` (N, H, W), of integers.

    Parameters
    ----------
    dtype
        Of numpy or torch.
    whole : str
        Code that makes integers of ``{name}``.
    """
    name = "masks" if several else "mask"
    found = (
        f"{argument} has targets of shape {shape} and type {dtype}; {TASK} needs "
        f"{'masks (N, H, W)' if several else 'a mask (H, W)'} of class numbers, integers"
    )
    axes = len(shape) - several
    if axes == 3:
        for axis, first in ((several, True), (len(shape) - 1, False)):
            if shape[axis] == 1:
                one = "[0]" if not several else "[:, 0]"
                raise ValueError(f"{found}: pass {name}{one if first else '[..., 0]'}")
        axis = int(several) if shape[several] < shape[-1] else len(shape) - 1
        raise ValueError(f"{found}: of a channel for each class pass {name}.argmax({axis})")
    if axes != 2:
        raise ValueError(f"{found}; of one class number a sample leave task= out")
    if not str(dtype).replace("torch.", "").startswith(("int", "uint", "bool")):
        raise ValueError(
            f"{found}: pass {whole.format(name=name)}; masks that were scaled to 0 to 1, as "
            "pictures are, have lost their class numbers"
        )


def check_known(
    source: Source,
    masks: NDArray[Any],
    classes: int,
    void: int | None,
    leaves_out: Callable[[int], str],
) -> None:
    """Look at all masks (n, H, W) that are known of a source, once the classes are.

    Parameters
    ----------
    leaves_out : callable
        Code that lets a loss leave a class number out.

    Raises
    ------
    ValueError
        For the first mask with another class.
    """
    whole = len(masks) == source.length
    allowed = [*range(classes), *([] if void is None else [void])]
    for at, mask in enumerate(masks):
        if mask.size == 0 or (mask.min() >= 0 and mask.max() < classes):
            continue
        strange = np.setdiff1d(mask, allowed)
        if len(strange):
            index = at if whole else source.probes()[at]
            raise ValueError(_unknown(source.argument, index, strange, classes, leaves_out))


def _unknown(
    argument: str,
    index: int,
    strange: NDArray[Any],
    classes: int,
    leaves_out: Callable[[int], str],
) -> str:
    listed = ", ".join(str(value) for value in strange[:5].tolist())
    what = f"the class {listed}" if len(strange) == 1 else f"the classes {listed}"
    text = (
        f"{argument} has a mask with {what} at index {index}, and the model has outputs for 0 to "
        f"{classes - 1}"
    )
    if len(strange) == 1:
        value = strange.tolist()[0]
        return (
            f"{text}: where it marks places without a label pass {leaves_out(value)}; else correct "
            "the mask, or add outputs"
        )
    return f"{text}: number the classes from 0 on, or give the model as many outputs"


def check_places(argument: str, masks: tuple[int, ...], pictures: tuple[int, ...]) -> None:
    """Raise ValueError unless masks (H, W) are as large as pictures (H, W)."""
    if masks != pictures:
        raise ValueError(
            f"{argument} has masks of {masks} and pictures of {pictures}; give a class to each "
            "pixel: resize the masks by nearest neighbours, or the pictures"
        )


def check_outputs_of_places(
    given: tuple[int, ...],
    found: tuple[int, ...],
    classes: int,
    places: tuple[int, ...],
    named: int | None,
    resized: str,
) -> None:
    """Raise ValueError unless a model's outputs are a class number for each place of a mask.

    Parameters
    ----------
    given : tuple
        Shape of what the model gives for one picture.
    found : tuple
        Rows and columns of it.
    classes : int
    places : tuple
        Rows and columns of a mask.
    named : int or None
        How many classes a person has named.
    resized : str
        Code that makes outputs as large as masks.
    """
    text = f"model gives {given} for one picture"
    if found != places:
        raise ValueError(f"{text}, and masks are {places}; {resized}")
    if classes == 1:
        raise ValueError(
            f"{text}, one output a pixel; give it two, one for what is around the object, and a "
            "loss for classes"
        )
    if named is not None and classes != named:
        raise ValueError(
            f"model has {classes} outputs for each pixel but classes= names {named}; give the last "
            f"layer {named} outputs or name {classes} classes"
        )
    if classes > MOST_CLASSES:
        raise ValueError(f"{text}; at most {MOST_CLASSES} classes can be shown")


def said_of_missing(classes: int, missing: list[int]) -> list[str]:
    """What to say of classes that no mask has."""
    if not missing:
        return []
    named = ", ".join(map(str, missing[:8]))
    return [
        f"The model has outputs for {classes} classes, and no mask that was looked at has "
        f"{named}: where the model has too many outputs, give it fewer."
    ]
