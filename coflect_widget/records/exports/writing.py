"""A model written to a file and read again: both give the same for the same inputs, or it is no
export. It runs in this process, or in another where this one trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.portable import ExportError, Inputs, Outputs, Portable
from coflect_widget.records.exports.onnx_files import open_onnx
from coflect_widget.records.reopened import Way

#: Endings of the files that are written.
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "keras": ".keras", "safetensors": ".safetensors"}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it.

    Attributes
    ----------
    difference : float
        The largest between an output of the file and the model's.
    largest : float
        Magnitude of the model's largest output.
    rows : int
        That were compared.
    """

    difference: float
    largest: float
    rows: int


def write(way: Way, form: str, file: Path, inputs: Inputs) -> Written:
    """Write the model, and compare the file with it on `inputs`, all at once and the first alone.

    Raises
    ------
    ExportError
        If the model cannot be written so, or the file takes no batch of another length.
    """
    model = way.model()
    check_form(form, model.formats)
    # A file of three rows or more: fewer could be taken for constants.
    shown = tuple(np.concatenate([x] * 3)[: max(3, len(x))] for x in inputs)
    model.write(form, file, shown)
    try:
        read = open_onnx(file) if form == "onnx" else model.read(form, file)
    except ImportError:
        raise
    except Exception as error:  # of three libraries
        lines = str(error).splitlines() or [""]
        raise ExportError(
            f"the {form} file cannot be opened, so that the model has something which the format "
            f"has not: {lines[0]}"
        ) from error
    return compare(model, read, inputs)


def compare(model: Portable, read: Outputs, inputs: Inputs) -> Written:
    """Outputs of a file beside those of its model.

    Raises
    ------
    ExportError
        If the file cannot compute them.
    """
    difference = largest = 0.0
    for rows in (slice(None), slice(0, 1)):
        given = tuple(x[rows] for x in inputs)
        wanted = model.outputs(given)
        try:
            found = read(given)
        except Exception as error:  # of three libraries
            lines = str(error).splitlines() or [""]
            raise ExportError(
                f"the file cannot be run on a batch of {len(given[0])}: {lines[0]}. Where the "
                "model uses the length of the batch, as in len(x), write x.shape[0]"
            ) from error
        difference = max(difference, _apart(found, wanted))
        largest = max(largest, float(np.abs(wanted).max(initial=0)))
    return Written(difference, largest, len(inputs[0]))


def check_form(form: str, known: tuple[str, ...]) -> None:
    """Raise ValueError for a format that there is not, or not for this framework."""
    every = (*known, "safetensors")
    if form not in every:
        remedy = f"this model can be exported as {', '.join(map(repr, every))}"
        raise ValueError(f"format {form!r} cannot be written; {remedy}")


def _apart(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    if found.shape != wanted.shape:
        raise ExportError(
            f"the file gives outputs of shape {found.shape} where the model gives {wanted.shape}"
        )
    off = np.abs(found.astype(np.float64) - wanted)
    # NaN in both is no difference; in one of them it is any.
    off = np.where(np.isnan(found) & np.isnan(wanted), 0, np.where(np.isnan(off), np.inf, off))
    return float(off.max(initial=0))
