"""A run read from disk, shown by the dashboard it had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.timeline import read_timeline
from coflect_widget.guidance.ledger import Intervention, Ledger
from coflect_widget.modalities import find_modality
from coflect_widget.records.checkpoint_files import pick
from coflect_widget.records.comparison import Comparison
from coflect_widget.records.evaluations.evaluating import (
    Evaluation,
    evaluate_run,
    evaluations_of,
)
from coflect_widget.records.evaluations.own import Evaluator
from coflect_widget.records.exports.exporting import Export, export_run
from coflect_widget.records.folder import runs_root
from coflect_widget.records.remote import fetched_run, fetched_table, is_remote
from coflect_widget.records.reports.reporting import check_report, write_report
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.mlflow import MLflow
from coflect_widget.records.sinks.registering import folder_of, is_uri
from coflect_widget.records.table import Runs, read_runs
from coflect_widget.session import Session
from coflect_widget.session.replay import changed, fork
from coflect_widget.session.resuming import Resume
from coflect_widget.ui.compared import Compared


class RecordedRun(Run):
    """A run read from disk that a cell shows as the dashboard it had."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.repaired = self.repair()
        self._dashboard: Any = None

    @property
    def state(self) -> str:
        """Last recorded state; "interrupted" where the run ended without saying so."""
        states = self.events("state")
        last = states[-1].data["state"] if states else "idle"
        return "interrupted" if last in ("training", "paused") else str(last)

    @property
    def ledger(self) -> Ledger:
        """What was told to the training, as its record has it; for another's ``guidance=`` too."""
        started = self.events("run_started")
        begun: Any = started[0].data if started else {}
        kind, focus = begun.get("inputs"), begun.get("focus")
        known = {} if kind is None else {"modality": find_modality(kind)}
        return Ledger.from_events(self.iter_events(), 0.3 if focus is None else focus, **known)

    def resume(
        self, model: Any, train_data: Any, val_data: Any = None, **arguments: Any
    ) -> Session:
        """A session that goes on with this run, in its own folder, from its last checkpoint.

        Parameters
        ----------
        model, train_data, val_data, **arguments
            As of `Session`, equal to those that the run was begun with; the batch size is the
            run's, where it is not given.

        Raises
        ------
        ValueError
            If the run is being written, or something differs; the message names it.
        """
        if "batch_size" not in arguments:
            size = Resume.of(self).batch_size()
            arguments |= {} if size is None else {"batch_size": size}
        return Session(model, train_data, val_data, resume=self, **arguments)

    def fork(
        self,
        without: Iterable[Intervention | str] | Intervention | str = (),
        with_: Iterable[Intervention] = (),
    ) -> RecordedRun:
        """A run folder beside this one, at a checkpoint, with something left out or added.

        Its `resume`, and then `Session.train`, make the rest; `Session.replay` does all of it where
        the session is still there.

        Parameters
        ----------
        without : Intervention, str, or several
            Interventions, or their ids, that are never given.
        with_ : iterable of Intervention
            Given besides, at their steps; of another run's `ledger`.

        Raises
        ------
        ValueError
            If there is no such intervention, or no checkpoint from before the change.
        """
        path, _ = fork(self, changed(self, without, list(with_)))
        return RecordedRun(path)

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one sample over the run, oldest first; see `Session`."""
        return read_timeline(self, index)

    def _ipython_display_(self) -> None:
        self._display_().show()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self._display_()._repr_mimebundle_(**kwargs)

    def _display_(self) -> Any:
        """The dashboard's widget, which marimo shows."""
        from coflect_widget.ui.live import replay_dashboard

        if self._dashboard is None:
            self._dashboard = replay_dashboard(self)
        return self._dashboard

    def report(self, path: str | Path) -> Path:
        """Write one HTML file: curves, settings, interventions, effects, where the run came from.

        The file needs nothing else and runs nothing. An existing file is not replaced.

        Raises
        ------
        FileExistsError
            If there is such a file.
        """
        return Comparison([self]).save(path)

    def export(
        self,
        form: str,
        model: Any = None,
        data: Any = None,
        *,
        checkpoint: str = "best",
        quantise: str | None = None,
        tolerance: float = 1e-4,
        inputs: Any = None,
        tokenizer: Any = None,
    ) -> Export:
        """Write the model of a checkpoint to a file that other programs run.

        The file lies in the run's ``exports/export_NNN`` with a model card, and is compared with
        the model: the largest difference of an output is in what is returned.

        Parameters
        ----------
        form : {"onnx", "torchscript", "keras", "safetensors"}
            "safetensors" are the weights alone, for which neither model nor data are needed.
        model : torch.nn.Module or keras.Model
            One of the same architecture, with any weights: a run folder holds no code. It is not
            changed; a Keras model is compiled.
        data
            Some of the samples, as `Session` takes them: the first 64 are compared.
        checkpoint : str
            "best", "last", or the name that a person gave it.
        quantise : {"int8"}, optional
            Write an ONNX file with integers of eight bits beside it, and measure both on `data`.
        tolerance : float
            A larger difference is refused; relative to the largest output where that is above 1.
        inputs, tokenizer : optional
            As of `Session`.

        Returns
        -------
        Export
            Its ``promote(name)`` gives the model a version.

        Raises
        ------
        ExportError
            If the model cannot be written so; the message names the operator, where it is one.
        ValueError, TypeError
            If an argument cannot be used, or the model is not such as the run's.
        ImportError
            If a package is missing; the message has the pip command.
        """
        return export_run(
            self, form, model, data, checkpoint=checkpoint, quantise=quantise, tolerance=tolerance,
            inputs=inputs, tokenizer=tokenizer,
        )  # fmt: skip

    def evaluate(
        self,
        data: Any,
        model: Any = None,
        *,
        checkpoint: str = "best",
        slices: Mapping[str, Any] | None = None,
        resamples: int = 200,
        plots: bool = True,
        evaluators: Iterable[str | Evaluator] = (),
        inputs: Any = None,
        tokenizer: Any = None,
        device: str | None = None,
    ) -> Evaluation:
        """Measure the model of a checkpoint on data, into ``evaluations/eval_NNN`` of the run.

        Parameters
        ----------
        data
            Samples with targets, as `Session` takes them.
        model : torch.nn.Module or keras.Model
            One of the same architecture, with any weights; see `export`.
        checkpoint : str
            "best", "last", or the name that a person gave it.
        slices : mapping of str to array (N,), optional
            By name a value for each sample, such as ``{"hospital": hospitals}``: the quality is
            told for each value, beside that of each class.
        resamples : int
            Of the bootstrap that gives each figure an interval of 95 %; 0 makes none.
        plots : bool
            Whether to draw the task's charts, SVG and PNG; needs matplotlib.
        evaluators : iterable of str or callable, optional
            Figures of your own: ``f(scores, targets)`` gives a number, or several by name, each
            with its interval beside the others. By a name of `register`, ``"module:function"``, or
            the function.
        inputs, tokenizer : optional
            As of `Session`.
        device : str, optional
            Such as "cpu"; found if left out.

        Returns
        -------
        Evaluation
            ``.metrics``, ``.worst`` and ``.path``; ``metrics.json`` has it all.

        Raises
        ------
        ValueError, TypeError
            If an argument cannot be used, or the model is not such as the run's.
        ImportError
            If matplotlib is missing.
        """
        return evaluate_run(
            self, data, model, checkpoint=checkpoint, slices=slices, resamples=resamples,
            plots=plots, evaluators=evaluators, inputs=inputs, tokenizer=tokenizer, device=device,
        )  # fmt: skip

    @property
    def evaluations(self) -> list[Evaluation]:
        """What `evaluate` has left in the run folder, oldest first."""
        return evaluations_of(self)

    def save_html(self, path: str | Path) -> Path:
        """Write what the dashboard shows to one file; see `Session.save_html`."""
        from coflect_widget.ui.export import save_html

        return save_html(self, path)


def open_run(path: str | Path, *, options: Mapping[str, Any] | None = None) -> RecordedRun:
    """Open a finished or interrupted run, read-only; displayable in a notebook.

    Parameters
    ----------
    path : path
        The run folder; one elsewhere as fsspec names it, ``"s3://bucket/runs/run_001_..."``, which
        is copied into the user's cache (what is said or evaluated then stays in the copy); or
        ``"runs:/ID"``, ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"`` of a run that was
        told to MLflow and whose folder is on this machine. Which MLflow is its own setting,
        ``MLFLOW_TRACKING_URI``.
    options : mapping, optional
        Of the file system elsewhere, such as ``{"endpoint_url": ...}`` of S3.

    Raises
    ------
    FileNotFoundError
        If `path` is not a run folder.
    ImportError
        If fsspec, or what it needs for such a place, is not installed.
    """
    if is_remote(path):
        return RecordedRun(fetched_run(str(path), options))
    return RecordedRun(folder_of(str(path), MLflow()) if is_uri(path) else path)


def runs(
    folder: str | Path | None = None,
    *,
    archived: bool = False,
    require_complete: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Runs[RecordedRun]:
    """Table of the runs in a folder, and up to three folders below it; displayable in a notebook.

    A run that cannot be read is left out with a `BrokenRunWarning` that names it.

    Parameters
    ----------
    folder : path, optional
        As `run_dir` of the sessions; or a place elsewhere as fsspec names it, ``"s3://bucket/runs"``,
        of which the records are copied into the user's cache, and all of a run when it is opened.
    archived : bool
        Whether to show archived runs too.
    require_complete : bool
        Only runs that finished or were stopped, and whose record has no damaged line.
    options : mapping, optional
        Of the file system elsewhere, such as ``{"endpoint_url": ...}`` of S3.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ImportError
        If fsspec, or what it needs for such a place, is not installed.
    """
    if is_remote(folder):
        return _runs_elsewhere(
            str(folder), options, archived=archived, require_complete=require_complete
        )
    return read_runs(
        runs_root(folder), open_run, archived=archived, require_complete=require_complete
    )


def _runs_elsewhere(
    url: str, options: Mapping[str, Any] | None, **which: bool
) -> Runs[RecordedRun]:
    copy, checkpoints = fetched_table(url, options)

    def opened(path: Path) -> RecordedRun:
        name = path.relative_to(copy).as_posix()
        return open_run(f"{url.rstrip('/')}/{name}", options=options)

    table = read_runs(copy, opened, **which)
    for row in table.rows:
        row["checkpoints"] = checkpoints.get(Path(row["path"]).relative_to(copy).as_posix(), 0)
    return table


def compare(runs: Iterable[Run | str | Path]) -> Compared:
    """Runs side by side; displayable in a notebook, some hundreds too.

    A cell shows the curves together over steps, epochs or seconds; settings against results as
    parallel coordinates, or two columns against each other with their Pareto front; and a table
    of what differs, with time trained, throughput, and time to a threshold.

    Parameters
    ----------
    runs : iterable of Run or path
        Such as a table of `runs`, or some of it. ``compare(...).save("compared.html")`` writes it
        to one file, with the interventions of each run.

    Raises
    ------
    ValueError
        If there is none.
    FileNotFoundError
        If a path is not a run folder.
    """
    return Compared(run if isinstance(run, Run) else open_run(run) for run in runs)


def report(
    runs: Iterable[Run | str | Path],
    name: str,
    folder: str | Path = ".",
    *,
    metric: str | None = None,
    threshold: float | None = None,
    data: Any = None,
    model: Callable[[Run], Any] | None = None,
) -> Path:
    """Write a folder that tells of several runs: a manifest, a table, and figures.

    The figures, SVG and PNG each, are loss against time, time to a threshold, quality against
    time with the Pareto front, and against throughput; of runs that were evaluated also each
    newest confusion matrix and the calibrations together.

    Parameters
    ----------
    runs : iterable of Run or path
        Such as a table of `runs`, or some of it.
    name : str
        Of letters, digits, "-", "_" and "."; the folder is ``report_TIME_NAME``.
    folder : path
        Where it is made.
    metric : str, optional
        Of the validation, by which runs are compared: what most runs have a best value of where
        left out, preferably no loss.
    threshold : float, optional
        Of the metric; what every run reached where left out.
    data, model : optional
        Measure the best checkpoint of each run on these samples first, as `Run.evaluate` does, of
        which the report then tells. ``model(run)`` gives a model such as the run was made with, for
        example ``model=lambda run: Net()``.

    Raises
    ------
    ValueError
        If there is no run, a name cannot be used, or no run has the metric; or of data and model
        only one is given, or a run to measure has no best checkpoint: nothing is measured then.
    FileNotFoundError
        If a path is not a run folder.
    ImportError
        If matplotlib is not installed; the message has the pip command.
    """
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    if (data is None) != (model is None):
        raise ValueError(
            "data= and model= go together: report(..., data=test, model=lambda run: Net())"
        )
    if model is not None:
        check_report(opened, name, metric)
        for run in opened:
            pick(run.id, run.checkpoints, "best")
        for run in opened:
            evaluate_run(
                run, data, model(run), checkpoint="best", slices=None, resamples=200, plots=False
            )
    return write_report(opened, name, Path(folder), metric=metric, threshold=threshold)
