"""ONNX files: run, and written with weights of eight bits."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.portable import ExportError, Inputs, Outputs, missing

#: Operators of which the range of the values between layers is measured on real inputs.
_CONVOLUTIONS = ("Conv", "ConvTranspose")


def open_onnx(file: Path) -> Outputs:
    """What the file computes, by onnxruntime on the processor.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    """
    ort = _package("onnxruntime", "checking an ONNX file")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def outputs(inputs: Inputs) -> NDArray[Any]:
        found: NDArray[Any] = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return found.astype(np.float32)

    return outputs


def quantise(file: Path, to: Path, inputs: Inputs) -> None:
    """Write the model of `file` with integers of eight bits in the place of its weights.

    With convolutions in it, what goes from layer to layer is eight bits too, in ranges that are
    measured on `inputs`; of other models, such as transformers, it is measured as it comes.

    Raises
    ------
    ExportError
        If it cannot be done.
    ImportError
        If onnxruntime is not installed.
    """
    onnx = _package("onnx", "writing a model with eight bits")
    quantization = _package("onnxruntime.quantization", "writing a model with eight bits")
    model = onnx.load(str(file))
    names = [one.name for one in model.graph.input]
    convolves = any(node.op_type in _CONVOLUTIONS for node in model.graph.node)
    try:
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "ready.onnx"
            quantization.shape_inference.quant_pre_process(
                str(file), str(ready), skip_symbolic_shape=True
            )
            if not convolves:
                quantization.quantize_dynamic(str(ready), str(to))
                return
            rows = len(inputs[0])
            batches = [
                {name: x[a : a + 32] for name, x in zip(names, inputs, strict=True)}
                for a in range(0, rows, 32)
            ]
            quantization.quantize_static(str(ready), str(to), _Reader(batches))
    except Exception as error:  # its parts raise many kinds
        lines = str(error).splitlines() or [""]
        raise ExportError(
            f"the model cannot be written with eight bits: {type(error).__name__}: {lines[0]}"
        ) from error


class _Reader:
    """Gives onnxruntime the rows that ranges are measured on."""

    def __init__(self, batches: list[dict[str, NDArray[Any]]]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._left, None)


def _package(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing(name.partition(".")[0], what) from error
