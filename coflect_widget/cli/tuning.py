"""``coflect tune`` and ``trials``: a search over a file's settings, and its trials."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coflect_widget.cli.answer import Answer, Commands, command
from coflect_widget.cli.options import settings
from coflect_widget.cli.records import columns

if TYPE_CHECKING:
    from coflect_widget.experiments.sweep import Sweep, Trial


def add(commands: Commands) -> None:
    """Add the commands."""
    tune = command(commands, "tune", _tune, "search for a file's best settings; again goes on")
    tune.add_argument("file", type=Path, help="a YAML file with a space in its tune section")
    tune.add_argument("--trials", type=int, help="in all, those of before among them")
    tune.add_argument("--pruner", help="hyperband, halving, median or none")
    tune.add_argument("--sampler", help="tpe, random or grid")
    tune.add_argument("--metric", help="of a validation, such as val_accuracy")
    tune.add_argument("--folder", type=Path, help="sweeps/NAME if left out")
    tune.set_defaults(open_ended=True)
    tune.epilog = "Settings of the file are options: --training.epochs 20"
    trials = command(commands, "trials", _trials, "a search's trials; prune, pin or enqueue one")
    trials.add_argument("folder", type=Path, help="such as sweeps/NAME")
    what = trials.add_mutually_exclusive_group()
    what.add_argument("--prune", type=int, metavar="TRIAL", help="end it now")
    what.add_argument("--pin", type=int, metavar="TRIAL", help="let it train to its end")
    what.add_argument(
        "--enqueue", nargs="+", metavar="NAME=VALUE", help="try these next: training.lr=0.01"
    )


def _tune(given: argparse.Namespace) -> Answer:
    from coflect_widget.experiments.experiment import Experiment
    from coflect_widget.experiments.tuning import tune

    sweep = tune(
        Experiment.from_config(given.file).changed(settings(given.others)),
        n_trials=given.trials,
        pruner=given.pruner,
        sampler=given.sampler,
        metric=given.metric,
        folder=given.folder,
        on_trial=_ended,
    )
    return _shown(sweep)


def _trials(given: argparse.Namespace) -> Answer:
    from coflect_widget.experiments.sweep import Sweep

    sweep = Sweep(given.folder)
    if given.prune is not None:
        sweep.prune(given.prune)
    elif given.pin is not None:
        sweep.pin(given.pin)
    elif given.enqueue is not None:
        sweep.enqueue(settings([f"--{word}" for word in given.enqueue]))
    return _shown(sweep)


def _shown(sweep: Sweep) -> Answer:
    best = sweep.best
    value: dict[str, Any] = {
        "folder": str(sweep.path),
        "metric": sweep.metric,
        "best": None if best is None else best.number,
        "trials": [_plain(trial) for trial in sweep.trials],
    }
    return value, columns(sweep.table())


def _plain(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "run": None if trial.run is None else str(trial.run)}


def _ended(trial: Trial) -> None:
    result = "" if trial.result is None else f"  {trial.result:.4g}"
    values = ", ".join(f"{name} {value}" for name, value in trial.values.items())
    sys.stderr.write(f"trial {trial.number} {trial.state}{result}  {values}\n")
    sys.stderr.flush()
