"""A model apart from its training: with a checkpoint's weights, for files and for evaluations.

A backend names a class for it by its import path (``Backend.portable``), so that another process
can make it too: from the structure that workers get, and the weights of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from coflect_widget.records.trees import Arrays

#: Inputs of some samples as the model takes them, an array (B, ...) each.
Inputs = tuple[NDArray[Any], ...]
#: What a model gives for them, (B, ...).
Outputs = Callable[[Inputs], NDArray[Any]]


class ExportError(ValueError):
    """A model cannot be exported in a format; the message says why and what to do."""


class Portable(Protocol):
    """A model in eval mode, on a device of its own choice.

    Attributes
    ----------
    formats : tuple of str
        Files that it can be written as.
    keeps : tuple of str
        What `fill` reads of a checkpoint's state of the framework.
    names : tuple of str
        Of its inputs.
    """

    formats: tuple[str, ...]
    keeps: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        """Take the weights of a checkpoint, and what it keeps of the framework beside them.

        Raises
        ------
        ValueError
            If a weight is missing or has another shape.
        """

    def outputs(self, inputs: Inputs) -> NDArray[Any]:
        """What a file of the model gives for inputs (B, ...): (B, ...) float32."""

    def scores(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The same as the task takes it, such as logits where the model gives probabilities."""

    def write(self, form: str, file: Path, inputs: Inputs) -> None:
        """Write the model; `inputs` of 3 rows or more say what it takes.

        Raises
        ------
        ExportError
            If the model cannot be written so.
        ImportError
            If a package is missing; the message has the pip command.
        """

    def read(self, form: str, file: Path) -> Outputs:
        """The model of a file that `write` has just written; "onnx" is read elsewhere."""


def missing(package: str, what: str) -> ImportError:
    """What to raise where a package of the extra "export" is missing."""
    return ImportError(
        f"{what} needs the package {package!r}, which is not installed; run: "
        "pip install 'coflect-widget[export]'"
    )
