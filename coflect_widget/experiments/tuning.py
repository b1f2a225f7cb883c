"""`coflect.tune`: a search over an experiment's settings, a trial at a time, on Optuna."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from coflect_widget.config import nearest
from coflect_widget.experiments.experiment import Experiment
from coflect_widget.experiments.following import lower_is_better
from coflect_widget.experiments.space import Space, grid, plain, read_space
from coflect_widget.experiments.sweep import (
    ASKED,
    BEST,
    JOURNAL,
    KILLED,
    LOCK,
    LOWER,
    PIN,
    PRUNE,
    RUN,
    RUNS,
    WHY,
    Sweep,
    Trial,
    open_study,
    optuna_there,
    repair,
)
from coflect_widget.records.locks import hold_for_writing
from coflect_widget.session import Session
from coflect_widget.ui.records_view import in_notebook

if TYPE_CHECKING:
    import optuna

PRUNERS = ("hyperband", "halving", "median", "none")
SAMPLERS = ("tpe", "random", "grid")
_LOOK = 0.5  # seconds between two looks whether a person wants a trial pruned
_IN_A_ROW = 3  # failures, after which a search ends


def tune(
    experiment: Experiment | str | Path,
    space: Mapping[str, Any] | None = None,
    *,
    n_trials: int | None = None,
    pruner: str | None = None,
    sampler: str | None = None,
    metric: str | None = None,
    folder: str | Path | None = None,
    on_trial: Callable[[Trial], object] | None = None,
    show: bool | None = None,
) -> Sweep:
    """Search for the settings of an experiment with which a metric is best.

    Trials are trained one after the other, each as a run in ``runs`` of the folder. The best
    settings are in ``best.yaml`` there, for `Experiment.from_config`. A search that was interrupted
    or killed goes on when it is called again; the trial that was under way begins anew. Meanwhile
    ``coflect.Sweep(folder)``, in any process, shows, prunes, pins and enqueues trials.

    Parameters
    ----------
    experiment : Experiment or path
        Its `tune` has what is left out here.
    space : mapping
        By dotted name: a list of choices; a range ``(low, high)`` or ``(low, high, "log")``, of
        whole numbers where both are; or a mapping with ``low``, ``high``, and ``log`` or ``step``.
        ``{"training.lr": (1e-4, 1e-1, "log"), "model.width": [16, 32, 64]}``.
    n_trials : int
        In all, those of before among them; 20 if left out. A grid has at most its points.
    pruner : {"hyperband", "halving", "median", "none"}
        Which trials are ended early, by their metric after each epoch: Optuna's Hyperband,
        successive halving, or worse than the median of the trials before.
    sampler : {"tpe", "random", "grid"}
        How values are chosen: by what the trials before came to (Tree-structured Parzen
        Estimator), by chance, or each combination once. ``config.seed`` decides chance.
    metric : str
        Of a validation, such as "val_accuracy"; ``training.monitor`` if left out. "val_loss" is
        to be low, all others high. A trial's result is its best.
    folder : path
        ``sweeps/NAME`` with the experiment's name if left out. It holds one search.
    on_trial : callable (trial), optional
        Told each trial that has ended.
    show : bool, optional
        Whether the cell that searches shows the trials meanwhile; in a notebook where left out.

    Returns
    -------
    Sweep
        ``.trials``, ``.best``, ``.runs``; a cell shows the trials, where a person may prune, pin
        and enqueue one.

    Raises
    ------
    ValueError
        If the space contradicts itself, a name is unknown, or the folder holds another search.
    RuntimeError
        If another process searches in the folder, or no trial can be trained.
    ImportError
        If Optuna is not installed.
    """
    optuna_there()
    if not isinstance(experiment, Experiment):
        experiment = Experiment.from_config(experiment)
    told = experiment.tune
    experiment.check()
    search = read_space(told.space if space is None else space, experiment)
    trials = told.trials if n_trials is None else n_trials
    if trials < 1:
        raise ValueError(f"n_trials = {trials}; expected at least 1")
    chosen = _one_of("sampler", told.sampler if sampler is None else sampler, SAMPLERS)
    ends = _one_of("pruner", told.pruner if pruner is None else pruner, PRUNERS)
    path = Path(folder or Path("sweeps") / (experiment.name or "sweep")).expanduser()
    return _Search(
        experiment, search, chosen, ends, metric or told.metric or experiment.training.monitor, path
    ).go(trials, on_trial, show=in_notebook() if show is None else show)


class _Search:
    """A search under way in this process."""

    def __init__(
        self,
        experiment: Experiment,
        space: Space,
        sampler: str,
        pruner: str,
        metric: str,
        path: Path,
    ) -> None:
        self._experiment, self._space, self._metric, self._path = experiment, space, metric, path
        self._sampler = sampler
        self._points = grid(space) if sampler == "grid" else []
        self._pruner = _pruner(pruner, experiment.training.epochs)
        self._sign = 1 if metric == LOWER else -1

    def go(self, trials: int, on_trial: Callable[[Trial], object] | None, *, show: bool) -> Sweep:
        self._path.mkdir(parents=True, exist_ok=True)
        # What is shown is told last, when the folder says that nobody searches.
        with contextlib.ExitStack() as last, _held(self._path):
            study = self._open()
            self._again(study)
            for point in self._points[: self._of_the_grid(trials)]:
                study.enqueue_trial(point, skip_if_exists=True)
            failed = 0
            sweep = Sweep(self._path)
            if show:
                sweep.show()
                last.callback(sweep._ended)
            while self._left(study, trials):
                trial = study.ask()
                try:
                    self._one(study, trial)
                    failed = 0
                except Exception as error:
                    trial.set_user_attr(WHY, f"{type(error).__name__}: {error}"[:500])
                    study.tell(trial, state=_state("FAIL"))
                    failed += 1
                    if failed == _IN_A_ROW or not any(t.value is not None for t in study.trials):
                        raise
                    warnings.warn(f"trial {trial.number} failed: {error}", stacklevel=3)
                ended = sweep.trials[trial.number]
                self._keep_best(sweep)
                if on_trial is not None:
                    on_trial(ended)
            self._keep_best(sweep)
            return sweep

    def _of_the_grid(self, trials: int) -> int:
        return min(trials, len(self._points))

    def _left(self, study: optuna.Study, trials: int) -> bool:
        known = study.get_trials(deepcopy=False)
        if any(t.state.name == "WAITING" for t in known):
            return True  # of the grid, of a killed process, or a person's
        counted = [t for t in known if KILLED not in t.user_attrs and ASKED not in t.user_attrs]
        return len(counted) < (self._of_the_grid(trials) if self._points else trials)

    def _open(self) -> optuna.Study:
        optuna = optuna_there()
        if (self._path / JOURNAL).exists():
            repair(self._path)
        study = open_study(
            self._path,
            direction="minimize" if self._sign > 0 else "maximize",
            pruner=self._pruner,
            sampler=optuna.samplers.RandomSampler(),
        )
        seed = self._experiment.config.seed + len(study.get_trials(deepcopy=False))
        if self._sampler == "tpe":
            study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=6)
        else:
            study.sampler = optuna.samplers.RandomSampler(seed=seed)
        plan = {
            "metric": self._metric,
            "space": plain(self._space),
            "experiment": self._experiment.expanded(),
        }
        for name, value in plan.items():
            known = study.user_attrs.get(name)
            if known is None:
                study.set_user_attr(name, value)
            elif _without_the_search(known) != _without_the_search(value):
                raise ValueError(
                    f"{self._path} holds a search with another {name}; give another folder=, or "
                    "remove it to begin anew"
                )
        return study

    def _again(self, study: optuna.Study) -> None:
        """What a process that is gone had under way is tried anew, with the same values."""
        for trial in study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING":
                said = {k: v for k, v in trial.user_attrs.items() if k in (PIN, ASKED)}
                study._storage.set_trial_user_attr(trial._trial_id, KILLED, True)
                study.tell(trial.number, state=_state("FAIL"))
                if trial.params and PRUNE not in trial.user_attrs:
                    study.enqueue_trial(trial.params, user_attrs=said)

    def _one(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """Train one trial, and tell what it came to."""
        values = {name: one.draw(trial, name) for name, one in self._space.items()}
        if _said(study, trial, PRUNE):
            study.tell(trial, state=_state("PRUNED"))
            return
        experiment = self._experiment.changed(
            {**values, "run_dir": str(self._path / RUNS), "tags.sweep": self._path.name,
             "tags.trial": trial.number, "tune": {}}
        )  # fmt: skip
        pruned = threading.Event()
        best = math.inf

        def validated(epoch: int, metrics: dict[str, float]) -> bool:
            nonlocal best
            value = metrics.get(self._metric, math.nan)
            if not math.isfinite(value):
                return False
            best = min(best, self._sign * value)
            trial.report(value, epoch)
            if not _said(study, trial, PIN) and trial.should_prune():
                pruned.set()
            return pruned.is_set()

        with contextlib.ExitStack() as stack:

            def begins(session: Session) -> None:
                lower_is_better(session, self._metric)  # or there is no such metric
                trial.set_user_attr(RUN, session.run.path.name)
                stack.enter_context(_watched(study, trial, session, pruned))

            run = experiment.run(on_validation=validated, on_start=begins)
        if pruned.is_set() and run.state == "stopped":
            study.tell(trial, state=_state("PRUNED"))
        elif math.isinf(best):
            raise RuntimeError(f"{self._metric} was never a number")
        else:
            study.tell(trial, self._sign * best)

    def _keep_best(self, sweep: Sweep) -> None:
        best = sweep.best
        if best is not None:
            self._experiment.changed({**best.values, "tune": {}}).save(self._path / BEST)


@contextlib.contextmanager
def _watched(
    study: optuna.Study, trial: optuna.Trial, session: Session, pruned: threading.Event
) -> Iterator[None]:
    """Look whether a person wants the trial pruned, between validations too."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            if _said(study, trial, PRUNE):
                pruned.set()
                with contextlib.suppress(RuntimeError):  # the session was closed meanwhile
                    session._open().desk.order("stop")
                return

    thread = threading.Thread(target=look, name="coflect-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    with (path / LOCK).open("ab") as file:
        if not _taken(file):
            raise RuntimeError(
                f"another process searches in {path}; coflect.Sweep({str(path)!r}) shows it"
            )
        yield


def _taken(file: IO[bytes]) -> bool:
    """Take the folder; who only looks whether somebody searches has it for a moment."""
    if sys.platform == "win32":
        return True
    for _ in range(5):
        if hold_for_writing(file):
            return True
        time.sleep(_LOOK / 5)
    return False


def _said(study: optuna.Study, trial: optuna.Trial, what: str) -> bool:
    return what in study._storage.get_trial(trial._trial_id).user_attrs


def _without_the_search(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k not in ("tune", "run_dir")}


def _pruner(name: str, epochs: int) -> Any:
    pruners = optuna_there().pruners
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return pruners.MedianPruner() if name == "median" else pruners.NopPruner()


def _state(name: str) -> Any:
    return optuna_there().trial.TrialState[name]


def _one_of(argument: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{argument}={value!r}: {nearest(str(value), list(known))}")
    return value
