"""``coflect export`` and ``evaluate``: the model of a run as a file, and measured on data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from coflect_widget.cli.answer import Answer, Commands, command
from coflect_widget.cli.given import called, named

_MODEL = "module:function that makes a model such as the run was made with"
_DATA = "module:function that gives data as a session takes them"


def add(commands: Commands) -> None:
    """Add the commands."""
    export = command(commands, "export", _export, "write the model of a run to a file")
    export.add_argument("run", type=Path, help="a run folder")
    export.add_argument("form", choices=["onnx", "torchscript", "keras", "safetensors"])
    export.add_argument("--model", metavar="PATH", help=_MODEL)
    export.add_argument("--data", metavar="PATH", help=_DATA)
    export.add_argument("--checkpoint", default="best", help='"best", "last" or a name')
    export.add_argument("--quantise", choices=["int8"], help="an ONNX file of eight bits beside it")
    export.add_argument("--promote", metavar="NAME", help="give it the next version of this name")
    export.add_argument("--project", default="default", help="of the promoted model")
    export.add_argument("--root", type=Path, default=Path("exports"), help="of promoted models")
    evaluate = command(commands, "evaluate", _evaluate, "measure the model of a run on data")
    evaluate.add_argument("run", type=Path, help="a run folder")
    evaluate.add_argument("--model", metavar="PATH", required=True, help=_MODEL)
    evaluate.add_argument("--data", metavar="PATH", required=True, help=_DATA)
    evaluate.add_argument("--checkpoint", default="best", help='"best", "last" or a name')
    evaluate.add_argument("--resamples", type=int, default=200, help="for the intervals")
    evaluate.add_argument(
        "--evaluator", action="append", default=[], metavar="NAME",
        help="a figure of your own: a name of an installed package, or module:function; repeatable",
    )  # fmt: skip
    evaluate.add_argument("--no-plots", action="store_true", help="write metrics.json alone")


def _export(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import open_run

    run = open_run(given.run)
    model, data = (
        None if path is None else called(f"--{name}", path, run.path)
        for name, path in (("model", given.model), ("data", given.data))
    )
    made = run.export(given.form, model, data, checkpoint=given.checkpoint, quantise=given.quantise)
    value = json.loads((made.path / "export.json").read_text(encoding="utf-8"))
    value["path"], text = str(made.path), f"{made}\n"
    if given.promote is not None:
        promoted = made.promote(given.promote, project=given.project, root=given.root)
        value["promoted"] = str(promoted)
        text += f"{promoted}\n"
    return value, text


def _evaluate(given: argparse.Namespace) -> Answer:
    from coflect_widget.ui.recorded import open_run

    run = open_run(given.run)
    model = called("--model", given.model, run.path)
    found = run.evaluate(
        called("--data", given.data, run.path),
        model,
        checkpoint=given.checkpoint,
        resamples=given.resamples,
        plots=not given.no_plots,
        evaluators=[
            named("--evaluator", name, run.path) if ":" in name else name
            for name in given.evaluator
        ],
    )
    return {**found.facts, "path": str(found.path)}, f"{found}\n"
