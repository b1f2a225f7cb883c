"""A torch model apart from its training, written as ONNX or TorchScript."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.backends import portable
from coflect_widget.backends.named_items import MASK
from coflect_widget.backends.portable import ExportError, Inputs, Outputs, missing
from coflect_widget.backends.torch.numbers import apart, takes_mask
from coflect_widget.backends.torch.outputs import forward_names, logits_of
from coflect_widget.backends.torch.several import noted
from coflect_widget.backends.torch.state import from_tree, tensor_of
from coflect_widget.backends.torch.structure import rebuild
from coflect_widget.records.trees import Arrays

#: Rows that the model is traced with: a batch of 1 would be taken for a constant.
_ROWS = 3
_LOGGERS = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
_OPERATOR = re.compile(r"(?:op='|operator '|Unsupported\w*: )([\w:.]+)")
_BRANCHES = (
    "its forward() asks for the value of a tensor, as in `if x.sum() > 0` or `x.item()`, and a "
    "file has one way through the model alone; use torch.where"
)


class TorchPortable:
    """`backends.portable.Portable` for PyTorch.

    Parameters
    ----------
    structure : bytes
        Of `backends.torch.structure.structure`.
    device : str
    """

    formats = ("onnx", "torchscript")
    keeps = ("buffers", "extra")

    def __init__(self, structure: bytes, device: str = "cpu") -> None:
        self._model, self._weights, _ = rebuild(structure)
        self._device = torch.device(device)
        self.names = forward_names(self._model) or ("input",)

    def fill(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                if name not in weights:
                    raise ValueError(f"the checkpoint has no weight {name!r}, which the model has")
                value = tensor_of(weights[name])
                if value.shape != weight.shape:
                    raise ValueError(
                        f"{name!r} is of shape {tuple(value.shape)} in the checkpoint and of "
                        f"{tuple(weight.shape)} in the model"
                    )
                weight.copy_(value)
            buffers = dict(self._model.named_buffers())
            for name, value in from_tree(rest.get("buffers") or {}).items():
                if name in buffers:
                    buffers[name].copy_(value)
        if rest.get("extra"):
            self._model.load_state_dict(from_tree(rest["extra"]), strict=False)
        self._model.to(self._device).eval()

    def outputs(self, inputs: Inputs) -> NDArray[Any]:
        with torch.no_grad():
            found: Tensor = self._plain()(*self._tensors(inputs))
        outputs: NDArray[Any] = found.float().cpu().numpy()
        return outputs

    def scores(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs

    def write(self, form: str, file: Path, inputs: Inputs) -> None:
        rows = self._tensors(tuple(x[:_ROWS] for x in inputs))
        write = {"onnx": self._onnx, "torchscript": self._torchscript}[form]
        with _quiet(), _in_known_operators():
            write(file, rows)

    def read(self, form: str, file: Path) -> Outputs:
        with _quiet():
            model: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                str(file), map_location=self._device
            )

        def outputs(inputs: Inputs) -> NDArray[Any]:
            with torch.no_grad():
                found: NDArray[Any] = model(*self._tensors(inputs)).float().cpu().numpy()
            return found

        return outputs

    def _onnx(self, file: Path, rows: tuple[Tensor, ...]) -> None:
        for package in ("onnx", "onnxscript"):
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise missing(package, "exporting a torch model as ONNX") from error
        batch = torch.export.Dim("batch")
        program: Any = None
        problems: list[Exception] = []
        # The strict way reads the code of forward() and knows len(x) for the batch's; it takes
        # longer, and fails on more models.
        for strict in (False, True):
            try:
                program = torch.export.export(
                    self._plain(), rows, dynamic_shapes=(tuple({0: batch} for _ in rows),),
                    strict=strict,
                )  # fmt: skip
                break
            except Exception as error:  # noqa: BLE001 - torch raises many kinds; the next may work
                problems.append(error)
        if program is None:
            why = _why(*problems)
            raise ExportError(f"the model cannot be exported as ONNX: {why}") from problems[0]
        names = self.names[: len(rows)]
        try:
            torch.onnx.export(
                program, rows, str(file), dynamo=True, external_data=False, verbose=False,
                input_names=list(names), output_names=["output"],
            )  # fmt: skip
        except Exception as error:
            raise ExportError(f"the model cannot be exported as ONNX: {_why(error)}") from error

    def _torchscript(self, file: Path, rows: tuple[Tensor, ...]) -> None:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
                    self._plain(), rows, check_trace=False
                )
                with io.BytesIO() as whole:
                    torch.jit.save(traced, whole)
                    file.write_bytes(whole.getvalue())
            except (RuntimeError, TypeError, ValueError) as error:
                raise ExportError(
                    f"the model cannot be exported as TorchScript: {_why(error)}"
                ) from error
        # Torch's own layers look at shapes, which the tracer takes for values.
        own = Path(torch.__file__).parent
        branches = [
            one
            for one in said
            if "Python boolean" in str(one.message) and not Path(one.filename).is_relative_to(own)
        ]
        if branches:
            at = f"{Path(branches[0].filename).name}, line {branches[0].lineno}"
            raise ExportError(f"the model cannot be exported as TorchScript: {_BRANCHES} ({at})")

    def _plain(self) -> nn.Module:
        return _Plain(self._model).eval()

    def _tensors(self, inputs: Inputs) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(np.ascontiguousarray(x)).to(self._device) for x in inputs)


class _Plain(nn.Module):
    """The model with its logits alone as output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._masked = takes_mask(model)

    def forward(self, *inputs: Tensor) -> Tensor:
        first = inputs[0]
        if self._masked and len(inputs) == 2 and not first.is_floating_point():
            return logits_of(self.model(first, **{MASK: inputs[1]}), self.model)
        return logits_of(self.model(*inputs), self.model)


class Exports(portable.Exports):
    """The part of a `TorchBackend` that files and evaluations need."""

    portable = "coflect_widget.backends.torch.portable:TorchPortable"
    model: nn.Module

    def rows(self, source: Any, size: int) -> Iterator[tuple[Inputs, Any]]:
        masked, how = takes_mask(self.model), noted(self.model)
        for batch in source.batches(np.arange(source.length), size, torch.device("cpu")):
            inputs = batch.inputs if how is None else how.exported(batch.inputs)
            if isinstance(inputs, Tensor):
                given: tuple[Tensor, ...] = (inputs,)
                if not inputs.is_floating_point():
                    given = apart(inputs) if masked else apart(inputs)[:1]
            else:
                given = tuple(inputs)
            yield tuple(x.numpy() for x in given), batch.targets.numpy()


def _why(*errors: BaseException) -> str:
    """What in a model stands against an export, from the many words of torch's exporters."""
    words = " ".join(f"{error} {error.__cause__ or ''}" for error in errors)
    if "data-dependent" in words.lower():
        return _BRANCHES
    found = _OPERATOR.search(words)
    if found is not None:
        return f"there is no such operator as {found[1]!r} in the format; replace it in the model"
    lines = [line.strip() for line in str(errors[0]).splitlines() if line.strip()]
    return f"{type(errors[0]).__name__}: {lines[0] if lines else ''}"


@contextlib.contextmanager
def _in_known_operators() -> Iterator[None]:
    """Without the one operator that stands for a whole layer of a transformer in eval mode."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), portable.silent(_LOGGERS):
        warnings.simplefilter("ignore")
        yield
