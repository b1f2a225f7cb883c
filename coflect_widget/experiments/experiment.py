"""What is trained, by names and settings: one model for a file, keyword arguments and options."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator

from coflect_widget.config import Config, Section, explain
from coflect_widget.experiments.following import Followed, OnValidation
from coflect_widget.experiments.making import OFFERED, Made, make
from coflect_widget.experiments.settings import Named, Training, Tuning, put
from coflect_widget.records.assumed import note_experiment
from coflect_widget.records.durable import replacing
from coflect_widget.records.run import Run
from coflect_widget.registry import call, check, find, is_own
from coflect_widget.session import Session
from coflect_widget.ui.recorded import RecordedRun, open_run

if TYPE_CHECKING:
    from coflect_widget.records.checkpoint_files import Checkpoint


class Experiment(Section):
    """A training that is written down: what, on which data, how.

    ``coflect.Experiment(data="patients", model="mlp", training={"epochs": 5}).run()`` and the same
    in a file, for `from_config`. Attributes may be set before it runs:
    ``experiment.training.epochs = 20``.

    Parameters
    ----------
    data : str or mapping
        A name that ``coflect list data`` shows, the path of a ``.npz`` or ``.csv``, or
        ``module:function``; with arguments as ``{"name": "reviews", "n": 500}``.
    model : str or mapping
        A name that ``coflect list architectures`` shows, or ``module:function``.
    training : Training or mapping
        Epochs, batch size, optimizer, loss, loop, and when to end early.
    config : Config or mapping
        Settings of the session; ``seed`` also begins the model's weights.
    tags : mapping
        Of the run: texts, numbers, True or False.
    name : str
        Tag ``experiment`` of the run.
    run_dir : str, optional
        ``COFLECT_ROOT`` of the environment, or "runs", if left out.
    modules : list of str
        Imported first: what registers names of your own.
    tune : Tuning or mapping
        A search over these settings; see `coflect.tune`.

    Raises
    ------
    ValueError
        If a setting is unknown (the nearest is suggested) or does not fit.
    """

    name: str = ""
    data: Named
    model: Named
    training: Training = Training()
    config: Config = Config()
    tags: dict[str, str | int | float | bool] = Field(default_factory=dict)
    run_dir: str | None = None
    modules: list[str] = Field(default_factory=list)
    tune: Tuning = Tuning()
    _beside: Path | None = PrivateAttr(default=None)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(explain(type(self), error, ".".join)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise ValueError(explain(type(self), error, ".".join)) from None

    @field_validator("data", mode="before")
    @classmethod
    def _data_file(cls, value: Any) -> Any:
        return _of_a_file(value, Path())

    @classmethod
    def from_config(cls, path: str | Path, **changes: Any) -> Experiment:
        """Read an experiment from a YAML file.

        Modules of your own are looked for beside the file, and so are data files; data files that
        are not there in the folder that ``COFLECT_DATA_ROOT`` of the environment names.

        Parameters
        ----------
        path : path
        **changes
            Of sections: ``from_config("x.yaml", training={"epochs": 20})``; other settings of the
            section stay. See `changed` for dotted names.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no YAML, or a setting is unknown or does not fit.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {str(file)!r}")
        values = read_settings(file.read_text(encoding="utf-8"), str(file))
        if "data" in values:
            values["data"] = _of_a_file(values["data"], file.parent.resolve())
        try:
            made = cls(**values)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        made._beside = file.resolve().parent
        return made.changed(_dotted(changes)) if changes else made

    def changed(self, values: Mapping[str, Any]) -> Experiment:
        """Another experiment with other values: ``changed({"training.lr": 0.01})``.

        Raises
        ------
        ValueError
            If a name is unknown or a value does not fit.
        """
        plain = self.model_dump(mode="json", exclude_defaults=True)
        for path, value in values.items():
            put(plain, path, value)
        made = type(self)(**plain)
        made._beside = self._beside
        return made

    def save(self, path: str | Path) -> Path:
        """Write it to a YAML file; `from_config` reads it."""
        with replacing(Path(path)) as temporary:
            text = yaml.safe_dump(self.expanded(), sort_keys=False, allow_unicode=True)
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    def expanded(self) -> dict[str, Any]:
        """Settings as plain values, defaults too; of the session's own those that differ from them.

        A run has all of the session's as ``run.config["config"]``, fitted to its data.
        """
        plain = self.model_dump(mode="json")
        plain["config"] = self.config.model_dump(mode="json", exclude_defaults=True)
        if not self.tune.space:
            del plain["tune"]
        return plain

    def check(self) -> None:
        """Find what is called by a name, and whether it takes its arguments, without calling it.

        Raises
        ------
        ValueError
            If a name or an argument is not known.
        """
        self._import()
        loop = self.training.loop
        check(find("data", self.data.name), self.data.arguments, "data", set())
        check(find("architecture", self.model.name), self.model.arguments, "model", OFFERED)
        check(find("loop", loop.name), loop.arguments, "training.loop", {"session", "made"})

    def make(self, *, resumed: bool = False) -> Made:
        """Make data and model, from the seed.

        Raises
        ------
        ValueError
            If a name or an argument is not known; the message has the nearest.
        """
        self._import()
        return make(self.data, self.model, self.training, self.config.seed, resumed=resumed)

    def session(self) -> Session:
        """A session on it, for a notebook that shows and trains it itself."""
        return self._session(self.make(), None)

    def run(
        self,
        *,
        on_validation: OnValidation | None = None,
        on_start: Callable[[Session], None] | None = None,
        resume: Run | Checkpoint | str | Path | None = None,
    ) -> RecordedRun:
        """Train to the end; interrupting it stops the training with a checkpoint.

        Parameters
        ----------
        on_validation : callable (epoch, metrics) -> bool or None, optional
            Told each validation, as ``(3, {"val_loss": 0.4, "val_accuracy": 0.8})``, beside the
            training, which does not wait. True ends the training.
        on_start : callable (session), optional
            Given the session before it trains.
        resume : Run, Checkpoint or path, optional
            A run of this experiment to go on with.

        Returns
        -------
        Run
            As `coflect.open_run` gives it. Its ``config["experiment"]`` has every setting.

        Raises
        ------
        Exception
            What ended the training, if it failed.
        """
        made = self.make(resumed=resume is not None)
        loop = find("loop", self.training.loop.name)
        with self._session(made, resume) as session:
            path = session.run.path
            note_experiment(path, self.expanded())
            tags = {**({"experiment": self.name} if self.name else {}), **self.tags}
            if tags:
                session.run.tag(**tags)
            training = self.training
            Followed(session, training.monitor, training.patience, on_validation)
            if on_start is not None:
                on_start(session)
            call(loop, training.loop.arguments, "training.loop", {"session": session, "made": made})
        return open_run(path)

    def calls_others(self) -> list[str]:
        """What it names that is not this package's own, and so runs code of others."""
        named = {"data": self.data, "architecture": self.model, "loop": self.training.loop}
        others = [n.name for kind, n in named.items() if not is_own(kind, n.name)]  # type: ignore[arg-type]
        more = [n.name for n in (self.training.optimizer, self.training.loss) if n is not None]
        return [*self.modules, *others, *(name for name in more if ":" in name)]

    def _import(self) -> None:
        if self._beside is not None and str(self._beside) not in sys.path:
            sys.path.insert(0, str(self._beside))
        for name in self.modules:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise ValueError(f"modules: {name!r} cannot be imported: {error}") from error

    def _session(self, made: Made, resume: Any) -> Session:
        return Session(
            made.model,
            made.train_data,
            made.val_data,
            config=self.config if resume is None else None,  # the run has its own
            run_dir=self.run_dir,
            resume=resume,
            **made.arguments,
        )


class _Loader(yaml.SafeLoader):
    """Plain values; 1e-3 is a number, as everybody but YAML 1.1 says."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_settings(text: str, where: str) -> dict[str, Any]:
    """Settings by name from YAML; nothing in it is executed.

    Raises
    ------
    ValueError
        If it is no YAML, or holds no settings by name.
    """
    values = read_value(text, where)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{where} holds no settings by name, such as 'data: patients'")
    return values


def read_value(text: str, where: str) -> Any:
    """One plain value from YAML: ``20``, ``1e-3``, ``[16, 32]``.

    Raises
    ------
    ValueError
        If it is no YAML.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no YAML: {' '.join(str(error).split())}") from None


def experiment_of(run: Run) -> Experiment:
    """The experiment that a run was made by.

    Raises
    ------
    ValueError
        If the run was made by none.
    """
    values = run.config.get("experiment")
    if not isinstance(values, dict):
        raise ValueError(
            f"{run.id} was made by a program of its own, not from an experiment's file"
        )
    return Experiment(**{str(name): value for name, value in values.items()})


def _of_a_file(data: Any, folder: Path) -> Any:
    """``train.npz`` as what reads it: in `folder`, else in ``COFLECT_DATA_ROOT``."""
    name = data.get("name") if isinstance(data, Mapping) else data
    if not isinstance(name, str) or ":" in name or not name.endswith((".npz", ".csv")):
        return data
    more = data if isinstance(data, Mapping) else {}
    root = os.environ.get("COFLECT_DATA_ROOT")
    if root and not (folder / name).exists():
        folder = Path(root).expanduser()
    return {**more, "name": name[-3:], "path": str(folder / name)}


def _dotted(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json", exclude_defaults=True)
        if isinstance(value, Mapping) and value:
            found |= _dotted(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found
