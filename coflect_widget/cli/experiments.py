"""``coflect train`` and ``resume``: an experiment's file trained, and a run gone on with."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coflect_widget.cli.answer import Answer, Commands, command
from coflect_widget.cli.options import settings

if TYPE_CHECKING:
    from coflect_widget.experiments.experiment import Experiment
    from coflect_widget.session import Session

_BAR = 24  # characters


def add(commands: Commands) -> None:
    """Add the commands."""
    train = command(commands, "train", _train, "train what a file says")
    train.add_argument("file", type=Path, help="a YAML file")
    train.epilog = "Settings of the file are options: --training.epochs 20 --data.n 500"
    train.set_defaults(open_ended=True)
    resume = command(commands, "resume", _resume, "go on with a run, from its last checkpoint")
    resume.add_argument("run", type=Path, help="a run folder")
    resume.add_argument(
        "file", nargs="?", type=Path, help="its experiment, where that names code of your own"
    )
    for parser in (train, resume):
        parser.add_argument(
            "--serve", action="store_true", help="let `coflect connect` show and steer it"
        )


def _train(given: argparse.Namespace) -> Answer:
    from coflect_widget.experiments.experiment import Experiment

    experiment = Experiment.from_config(given.file).changed(settings(given.others))
    return _trained(experiment, given, None)


def _resume(given: argparse.Namespace) -> Answer:
    from coflect_widget.experiments.experiment import Experiment, experiment_of
    from coflect_widget.ui.recorded import open_run

    run = open_run(given.run)
    if given.file is not None:
        return _trained(Experiment.from_config(given.file), given, run)
    try:
        experiment = experiment_of(run)
    except ValueError as error:
        raise ValueError(
            f"{error}. In that program, or in a notebook: session = coflect.open_run("
            f"{str(given.run)!r}).resume(model, train_data, val_data); session.train()"
        ) from None
    if others := experiment.calls_others():
        raise ValueError(
            f"{run.id} names code that is not coflect's own ({', '.join(others)}), and nothing is "
            f"run because a run folder says so. Name its file: coflect resume {given.run} FILE"
        )
    return _trained(experiment, given, run)


def _trained(experiment: Experiment, given: argparse.Namespace, resume: Any) -> Answer:
    from coflect_widget.session.kernel import SERVE

    if given.serve:
        os.environ[SERVE] = "1"
    progress = Progress(experiment.training.epochs)
    try:
        run = experiment.run(
            on_validation=progress.validated, on_start=progress.begins, resume=resume
        )
    finally:
        progress.ends()
    from coflect_widget.records.table import row_of

    row = row_of(run.path)
    best = {name: one["value"] for name, one in row["best"].items()}
    value = {k: row[k] for k in ("id", "path", "state", "step", "epoch", "last", "best")}
    text = ", ".join(f"{name} {number:.4g}" for name, number in best.items())
    return value, f"{row['path']}  {row['state']} after epoch {row['epoch']}, best: {text}\n"


class Progress:
    """Tells on stderr how far a training is: a bar on a terminal, a line an epoch elsewhere.

    Parameters
    ----------
    epochs : int
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._terminal = sys.stderr.isatty()
        self._open = False  # whether a line waits for its end

    def begins(self, session: Session) -> None:
        """The session is there."""
        sys.stderr.write(f"{session.run.path}\n")

    def validated(self, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch was trained and validated."""
        shown = "  ".join(f"{n} {v:.4g}" for n, v in metrics.items() if math.isfinite(v))
        line = f"epoch {epoch}/{self._epochs}  {shown}"
        if self._terminal:
            full = round(_BAR * min(1, epoch / self._epochs))
            sys.stderr.write(f"\r\x1b[K[{'#' * full}{'-' * (_BAR - full)}] {line}")
            self._open = True
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def ends(self) -> None:
        """Nothing more is written to the line."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False
