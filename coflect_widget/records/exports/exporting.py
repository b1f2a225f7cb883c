"""A checkpoint of a run as a file that other programs run, with what it is beside it.

::

    exports/export_001/
        model.onnx        or .pt, .keras, .safetensors
        model_int8.onnx   on request
        export.json       from which checkpoint, compared with what
        README.md         a model card
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget.backends.portable import ExportError, Inputs, Portable
from coflect_widget.backends.registry import resolve
from coflect_widget.records.checkpoint_files import Checkpoint, pick, read_checkpoint
from coflect_widget.records.exports.card import model_card
from coflect_widget.records.exports.onnx_files import open_onnx, quantise
from coflect_widget.records.exports.promoting import promote
from coflect_widget.records.exports.writing import ENDINGS, Written, check_form, compare, write
from coflect_widget.records.numbered import numbered
from coflect_widget.records.reopened import Reopened, reopen
from coflect_widget.records.run import Run
from coflect_widget.records.tensors import write_tensors
from coflect_widget.tasks.measures import measures_of

FORMAT = "coflect-export-1"
ROOM, PREFIX = "exports", "export"
#: Rows on which file and model are compared, and on which ranges of eight bits are measured.
ROWS = 64
_CALIBRATED = 256
#: Does `write`, here or in another process.
Writer = Callable[..., Written]


@dataclass(frozen=True, slots=True)
class Quantised:
    """The same model with integers of eight bits.

    Attributes
    ----------
    file : Path
    difference : float
        The largest between an output of it and the model's.
    metrics : dict of str to float
        On all rows that were given.
    """

    file: Path
    difference: float
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Export:
    """A model that was exported.

    Attributes
    ----------
    path : Path
        The folder of the export.
    form : str
        "onnx", "torchscript", "keras" or "safetensors".
    file : Path
    checkpoint : str
        Folder of the checkpoint in the run.
    step : int
    difference : float or None
        The largest between an output of the file and the model's, on real inputs; None of weights
        alone.
    rows : int
        That were compared.
    metrics : dict of str to float
        Of the model on all rows that were given, where a quantised one is compared with it.
    quantised : Quantised or None
    """

    path: Path
    form: str
    file: Path
    checkpoint: str
    step: int
    difference: float | None = None
    rows: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    quantised: Quantised | None = None

    def __str__(self) -> str:
        text = f"{self.file} (checkpoint of step {self.step})"
        if self.difference is not None:
            text += (
                f"\nlargest difference from the model on {self.rows} inputs: {self.difference:.2g}"
            )
        if self.quantised is not None:
            each = [
                f"{name} {value:.4g}, was {self.metrics[name]:.4g}"
                for name, value in self.quantised.metrics.items()
                if np.isfinite(value)
            ]
            text += f"\nwith eight bits: {self.quantised.file.name}; {'; '.join(each)}"
        return text

    __repr__ = __str__

    def promote(
        self, name: str, *, project: str = "default", root: str | Path = "exports",
        version: int | None = None,
    ) -> Path:  # fmt: skip
        """Copy the model to ``{root}/{project}/{name}_v{version}``, which nothing overwrites.

        Parameters
        ----------
        name, project : str
            Of letters, digits, "-", "_" and ".".
        root : path
        version : int, optional
            At least 1; the next that is free where left out.

        Returns
        -------
        Path
            Of the model's file. Its model card and ``export.json`` lie beside it under the same
            name, and the quantised model where there is one.

        Raises
        ------
        FileExistsError
            If there is such a version.
        """
        more = [] if self.quantised is None else [self.quantised.file]
        return promote(self.path, [self.file, *more], name, project, Path(root), version)


def export_run(
    run: Run,
    form: str,
    model: Any,
    data: Any,
    *,
    checkpoint: str | Checkpoint,
    quantise: str | None,
    tolerance: float,
    **how: Any,
) -> Export:
    """As `RecordedRun.export`; `how` are further arguments of `reopened.reopen`."""
    if form not in ENDINGS:
        raise ValueError(
            f"format {form!r} is not known; known are: {', '.join(map(repr, ENDINGS))}"
        )
    if form == "safetensors":
        return export_weights(run, pick(run.id, run.checkpoints, checkpoint))
    if model is None or data is None:
        lacks = " and ".join(n for n, x in (("model=", model), ("data=", data)) if x is None)
        raise ValueError(
            f"export({form!r}) needs {lacks}: a model such as the run was made with, because a run "
            "folder holds no code, and some of its data, on which file and model are compared. For "
            'example run.export("onnx", Net(), val_data)'
        )
    opened = reopen(run, model, data, checkpoint, **how)
    return export_model(run, opened, form, bits=quantise, tolerance=tolerance)


def export_weights(run: Run, checkpoint: Checkpoint) -> Export:
    """The weights alone, by the model's own names, as safetensors."""
    weights = read_checkpoint(checkpoint).weights
    with numbered(run.path, ROOM, PREFIX) as made:
        write_tensors(made.part / "model.safetensors", weights)
        facts = _facts("safetensors", checkpoint)
        _describe(run, made.part, facts)
    return _export(made.path, facts)


def export_model(
    run: Run,
    opened: Reopened,
    form: str,
    *,
    bits: str | None = None,
    tolerance: float = 1e-4,
    inputs: Inputs | None = None,
    writer: Writer = write,
) -> Export:
    """Write the model of a reopened run, and compare the file with the model.

    Parameters
    ----------
    run : Run
    opened : Reopened
    form : str
    bits : {"int8"}, optional
        Write a second file with integers of eight bits, and measure both.
    tolerance : float
        A larger difference of an output is refused, in parts of the largest output where that is
        above 1.
    inputs : tuple of array (n, ...), optional
        What file and model are compared on, where the rows cannot be read now.
    writer : callable
        As `write`.

    Raises
    ------
    ExportError
        If the model cannot be exported so, or the file gives something else.
    ValueError
        If an argument cannot be used.
    ImportError
        If a package is missing.
    """
    check_form(form, _formats(opened))
    if bits not in (None, "int8"):
        raise ValueError(f'quantise={bits!r}; expected "int8", or leave it out')
    if bits and form != "onnx":
        raise ValueError(f'quantise="int8" is for "onnx"; leave it out for {form!r}')
    with numbered(run.path, ROOM, PREFIX) as made:
        file = made.part / f"model{ENDINGS[form]}"
        inputs = opened.rows(ROWS) if inputs is None else inputs
        found = writer(opened.way, form, file, inputs)
        if not found.difference <= tolerance * max(1.0, found.largest):
            raise ExportError(
                f"the {form} file gives other outputs than the model: they differ by up to "
                f"{found.difference:.3g}, and at most {tolerance:g} is taken. A layer that draws "
                "random numbers in eval mode has this effect; tolerance= takes more"
            )
        facts = _facts(form, opened.checkpoint)
        facts |= {"difference": found.difference, "rows": found.rows, "task": opened.task.name}
        if bits:
            facts |= _in_eight_bits(opened, file, made.part / "model_int8.onnx")
        _describe(run, made.part, facts)
    return _export(made.path, facts)


def _in_eight_bits(opened: Reopened, file: Path, to: Path) -> dict[str, Any]:
    quantise(file, to, opened.rows(_CALIBRATED))
    model, small = opened.way.model(), open_onnx(to)
    plain = open_onnx(file)
    return {
        "metrics": _metrics(opened, model, plain),
        "quantised": {
            "file": to.name,
            "difference": compare(model, small, opened.rows(ROWS)).difference,
            "metrics": _metrics(opened, model, small),
        },
    }


def _metrics(
    opened: Reopened, model: Portable, outputs: Callable[[Inputs], Any]
) -> dict[str, float]:
    """Figures of a file on all rows."""
    pairs = [(model.scores(outputs(x)), y) for x, y in opened.batches()]
    scores, targets = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return measures_of(opened.task).figures(scores, targets)


def _formats(opened: Reopened) -> tuple[str, ...]:
    found: tuple[str, ...] = resolve(opened.way.portable).formats
    return found


def _facts(form: str, checkpoint: Checkpoint) -> dict[str, Any]:
    score = checkpoint.score
    return {
        "format": FORMAT,
        "form": form,
        "file": f"model{ENDINGS[form]}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "checkpoint": f"checkpoints/{checkpoint.path.name}",
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "score": None
        if score is None
        else {"metric": score.metric, "direction": score.direction, "value": score.value},
    }


def _describe(run: Run, folder: Path, facts: dict[str, Any]) -> None:
    text = json.dumps(_plain({**facts, "run": run.id}), indent=1, allow_nan=False)
    (folder / "export.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(model_card(run, facts), encoding="utf-8")


def _plain(value: Any) -> Any:
    """NaN and infinity become null."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _export(path: Path | None, facts: dict[str, Any]) -> Export:
    assert path is not None  # noqa: S101 - narrows the type; it has its name after the block
    small = facts.get("quantised")
    return Export(
        path=path,
        form=facts["form"],
        file=path / facts["file"],
        checkpoint=facts["checkpoint"],
        step=facts["step"],
        difference=facts.get("difference"),
        rows=facts.get("rows", 0),
        metrics=facts.get("metrics", {}),
        quantised=None
        if small is None
        else Quantised(path / small["file"], small["difference"], small["metrics"]),
    )
