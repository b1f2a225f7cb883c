"""What is known of the samples, on disk: so that a resumed run does not start blind.

A plain npz file of the store's arrays and the model's weights; nothing in it is executed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.forecast.foresight import Foresight
from coflect_widget.records.durable import replacing

#: Changes with the meaning of an array.
VERSION = 2


def save(file: Path, foresight: Foresight, labels: Mapping[int, int | None]) -> None:
    """Write the memory of `foresight` and the labels that a person changed, whole or not at all."""
    arrays: dict[str, Any] = {f"store_{name}": a for name, a in foresight.store.arrays.items()}
    arrays["version"] = VERSION
    arrays["scale"] = foresight.store.scale
    arrays["weights"] = foresight.weights
    arrays["calibration"] = np.array([foresight.calibration.now, foresight.calibration.then])
    arrays["judged"] = np.array(
        [(i, -1 if label is None else label) for i, label in labels.items()], np.int64
    ).reshape(-1, 2)
    with replacing(file) as part, part.open("wb") as out:
        np.savez(out, **arrays)


@dataclass(frozen=True)
class Kept:
    """What `save` wrote."""

    arrays: dict[str, NDArray[Any]]
    scale: float
    weights: NDArray[np.float64]
    calibration: NDArray[np.float64]
    labels: dict[int, int | None]

    def check(self, foresight: Foresight) -> None:
        """Raise ValueError where it is not of such training data."""
        for name, array in foresight.store.arrays.items():
            found = self.arrays.get(name)
            if found is None or (found.shape, found.dtype) != (array.shape, array.dtype):
                shape = "missing" if found is None else f"{found.dtype} {found.shape}"
                raise ValueError(
                    f"the forecast's memory is of other training data: {name} is {shape}, "
                    f"expected {array.dtype} {array.shape}"
                )
        if self.weights.shape != foresight.weights.shape or self.calibration.shape != (2, 2):
            raise ValueError("the forecast's memory is of another version of this package")

    def apply(self, foresight: Foresight) -> None:
        """Put it in the place of what `foresight` knows; on the store's thread."""
        for name, array in foresight.store.arrays.items():
            array[:] = self.arrays[name]
        foresight.store.scale = self.scale
        foresight.weights = self.weights
        (a, b), (c, d) = self.calibration.tolist()
        foresight.calibration.now, foresight.calibration.then = (a, b), (c, d)
        foresight.update_all()


def load(file: Path) -> Kept:
    """Read what `save` wrote.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        if int(arrays["version"]) != VERSION:
            raise ValueError(f"version {int(arrays['version'])}")
        return Kept(
            arrays={n.removeprefix("store_"): a for n, a in arrays.items() if n[:6] == "store_"},
            scale=float(arrays["scale"]),
            weights=np.array(arrays["weights"], np.float64),
            calibration=np.array(arrays["calibration"], np.float64),
            labels={int(i): None if label < 0 else int(label) for i, label in arrays["judged"]},
        )
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{file} holds no memory of a forecast ({error})") from error
