"""A labelled set of images held in memory, in the form that a session takes as `train_data`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class ArrayDataset:
    """Map-style data set over two arrays; it works with any loader that indexes.

    Parameters
    ----------
    images : array_like (N, C, H, W)
        Pixels in any range; kept as float32, without a copy where they are that already.
    labels : array_like (N,)
        Whole numbers in [0, number of classes).
    classes : sequence of str
        Name of each class; position is the label.
    boxes : array_like (N, 4), optional
        Where the object is: (x0, y0, x1, y1) as fractions of width and height, origin top
        left; kept as float32. None where nobody knows.

    Raises
    ------
    ValueError
        If shapes do not fit together, the set is empty, or a label has no class.

    Examples
    --------
    >>> data = ArrayDataset(np.zeros((2, 3, 8, 8)), [0, 1], ["cat", "dog"])
    >>> x, y = data[1]
    >>> x.shape, int(y)
    ((3, 8, 8), 1)
    """

    def __init__(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        classes: Sequence[str],
        boxes: ArrayLike | None = None,
    ) -> None:
        self.images: NDArray[np.float32] = _images(images)
        self.labels: NDArray[np.int64] = checked_labels(labels, len(self.images), len(classes))
        self.classes: list[str] = [str(name) for name in classes]
        self.boxes: NDArray[np.float32] | None = None
        if boxes is not None:
            self.boxes = np.ascontiguousarray(boxes, dtype=np.float32)
            if self.boxes.shape != (len(self.images), 4):
                raise ValueError(
                    f"boxes has shape {self.boxes.shape}; expected ({len(self.images)}, 4), "
                    "one (x0, y0, x1, y1) for each image"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], np.int64]:
        return self.images[index], self.labels[index]

    def __repr__(self) -> str:
        channels, height, width = self.images.shape[1:]
        return (
            f"<{type(self).__name__}: {len(self)} images of {channels} x {height} x {width}, "
            f"classes {', '.join(self.classes)}>"
        )


def _images(values: ArrayLike) -> NDArray[np.float32]:
    images = np.ascontiguousarray(values, dtype=np.float32)
    if images.ndim != 4:
        raise ValueError(
            f"images has shape {images.shape}; expected four dimensions (N, C, H, W)"
            + ("; add the channel with images[:, None]" if images.ndim == 3 else "")
        )
    if images.size == 0:
        raise ValueError(f"images is empty (shape {images.shape}); give at least one image")
    return images


def checked_labels(
    values: ArrayLike, samples: int, num_classes: int, noun: str = "image"
) -> NDArray[np.int64]:
    """Labels (samples,) as class numbers; raises ValueError where they are none."""
    given = np.asarray(values)
    if given.shape != (samples,):
        raise ValueError(
            f"labels has shape {given.shape}; expected ({samples},), one for each {noun}"
        )
    labels = given.astype(np.int64)
    if not np.array_equal(labels, given):
        raise ValueError(f"labels must be whole numbers, not {given.dtype} with fractions")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        first = int(outside[0])
        raise ValueError(
            f"labels[{first}] = {labels[first]} has no class; with {num_classes} classes "
            f"labels must be in [0, {num_classes})"
        )
    return labels
