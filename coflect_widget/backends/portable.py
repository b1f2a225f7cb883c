"""A model apart from its training: with a checkpoint's weights, for files and for evaluations.

A backend names a class for it by its import path (``Backend.portable``), so that another process
can make it too: from the structure that workers get, and the weights of a checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Exports:
    """The part of a backend over sources that files and evaluations need."""

    train_source: Any
    val_source: Any

    def rows(self, source: Any, size: int) -> Iterator[tuple[Inputs, NDArray[Any]]]:
        """Inputs and targets of all samples of a source in their order."""
        raise NotImplementedError

    def portable_batches(
        self, size: int, *, validation: bool
    ) -> Iterator[tuple[Inputs, NDArray[Any]]]:
        """Inputs and targets of all samples in their order; see `Backend`."""
        source = self.val_source if validation else self.train_source
        beside = self.portable_beside(validation=validation)
        # Putting back what training drew meanwhile would be wrong.
        with contextlib.nullcontext() if beside else source.kept_random_state():
            yield from self.rows(source, size)

    def portable_beside(self, *, validation: bool) -> bool:
        """Whether the samples may be read while another thread trains; see `Backend`."""
        source = self.val_source if validation else self.train_source
        return not source.draws_random_numbers


@contextlib.contextmanager
def silent(loggers: Sequence[str]) -> Iterator[None]:
    """Without the exporters' own reports of each of their steps: what fails is raised."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def missing(package: str, what: str) -> ImportError:
    """What to raise where a package of the extra "export" is missing."""
    return ImportError(
        f"{what} needs the package {package!r}, which is not installed; run: "
        "pip install 'coflect-widget[export]'"
    )
