"""Which kernels run: the compiled ones of `coflect-widget-native`, or numpy's.

Both do the same; without the compiled ones everything works. The environment variable
``COFLECT_NATIVE=0`` leaves them alone.
"""

from __future__ import annotations

import functools
import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

#: Version of the contract between the kernels and this package.
ABI = 1

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


class Ingest(Protocol):
    """Writes the tables of a `telemetry.store.SampleStore`; all arrays are contiguous.

    Nothing is changed where a call raises. The interpreter's lock is free meanwhile.
    """

    def take(
        self,
        rows: _Ints,
        logits: _Floats,
        labels: _Ints,
        losses: _Floats | None,
        steps: NDArray[np.int32],
        lengths: _Ints,
        stats: NDArray[np.float64],
        history: _Floats,
        times: NDArray[np.uint32],
    ) -> None:
        """Take in S batches of `lengths` rows, R in all.

        `stats` (S, 6) is filled with rows used, mean loss, accuracy, rows that were not finite,
        rows without a label and the mean size of a margin; `history` (3, R) with the fast, slow
        and overall mean margin of each row's sample afterwards; `times` (R,) with its sightings.
        """

    def take_measured(
        self,
        rows: _Ints,
        loss: _Floats,
        margin: _Floats,
        predicted: _Ints,
        labels: _Ints,
        usable: NDArray[np.bool_],
        labelled: NDArray[np.bool_],
        steps: NDArray[np.int32],
        lengths: _Ints,
        stats: NDArray[np.float64],
        history: _Floats,
        times: NDArray[np.uint32],
    ) -> None:
        """As `take`, where each row's loss, margin and prediction are known."""


class Kernels(NamedTuple):
    """What was found, once in a process."""

    module: Any  #: `coflect_widget_native`, or None
    used: str  #: "native 0.1.0" or "numpy"
    why: str  #: one sentence: why these run, and how the others would


@functools.cache
def kernels() -> Kernels:
    """The compiled kernels where they are installed, fit this package and are not switched off."""
    if os.environ.get("COFLECT_NATIVE", "") == "0":
        return Kernels(None, "numpy", "COFLECT_NATIVE=0 is set; unset it for the compiled kernels.")
    try:
        of_package = version("coflect-widget-native")
    except PackageNotFoundError:
        of_package = "of unknown version"
    try:
        module = importlib.import_module("coflect_widget_native")
        contract = module.ABI
    except ModuleNotFoundError as error:
        if error.name == "coflect_widget_native":
            return Kernels(
                None,
                "numpy",
                "coflect-widget-native is not installed; "
                "pip install 'coflect-widget[native]' brings it.",
            )
        return _broken(of_package, error)
    except Exception as error:  # noqa: BLE001 - whatever a broken wheel raises: numpy goes on
        return _broken(of_package, error)
    if contract != ABI:
        return Kernels(
            None,
            "numpy",
            f"coflect-widget-native {of_package} keeps contract {contract} and this package {ABI}; "
            "pip install --upgrade 'coflect-widget[native]' brings two that fit.",
        )
    return Kernels(
        module,
        f"native {of_package}",
        "coflect-widget-native is installed; COFLECT_NATIVE=0 switches it off.",
    )


def _broken(of_package: str, error: Exception) -> Kernels:
    return Kernels(
        None,
        "numpy",
        f"coflect-widget-native {of_package} cannot be loaded "
        f"({type(error).__name__}: {error}); "
        "pip install --force-reinstall coflect-widget-native may mend it.",
    )
