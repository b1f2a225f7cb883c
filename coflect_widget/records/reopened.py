"""A recorded run with its model again: the model is the user's own, the weights a checkpoint's.

Nothing in a run folder is executed, so that a run alone has no model. What trains the model reads
the data as it did then; neither is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.defaults import complete
from coflect_widget.backends.portable import Inputs, Portable
from coflect_widget.backends.registry import find_backend, resolve, takes
from coflect_widget.config import Config
from coflect_widget.modalities import find_modality, with_tokenizer
from coflect_widget.records.checkpoint_files import Checkpoint, pick, read_checkpoint
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task, arguments_for, given_names, task_of

#: Rows of one pass.
BATCH = 256


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is made apart from its training, here or in another process.

    Attributes
    ----------
    portable : str
        Import path of a `backends.portable.Portable`.
    structure : bytes
    weights, rest : mapping
        Of a checkpoint.
    """

    portable: str
    structure: bytes
    weights: Mapping[str, Any]
    rest: Mapping[str, Any]

    def model(self, device: str = "cpu") -> Portable:
        """The model with the weights, in eval mode.

        Raises
        ------
        ValueError
            If the weights are not those of the model.
        """
        model: Portable = resolve(self.portable)(self.structure, device)
        model.fill(dict(self.weights), self.rest)
        return model


@dataclass(frozen=True, slots=True)
class Reopened:
    """A model with a checkpoint's weights, and the rows that it is looked at with.

    Attributes
    ----------
    engine : backends.base.Backend
        Reads the data.
    validation : bool
        Whether the rows are the engine's validation data.
    task : Task
    names : list of str
        Of classes or labels.
    way : Way
    checkpoint : Checkpoint
    """

    engine: Any
    validation: bool
    task: Task
    names: list[str]
    way: Way
    checkpoint: Checkpoint

    def batches(self, size: int = BATCH) -> Iterator[tuple[Inputs, NDArray[Any]]]:
        """Inputs and targets of all rows in their order."""
        return self.engine.portable_batches(size, validation=self.validation)  # type: ignore[no-any-return]

    def rows(self, count: int) -> Inputs:
        """The inputs of the first rows."""
        inputs, _ = next(iter(self.batches(count)))
        return inputs

    def measured(self, model: Portable) -> tuple[NDArray[Any], NDArray[Any]]:
        """What the model gives for all rows, as the task takes it, and the targets."""
        pairs = [(model.scores(model.outputs(x)), y) for x, y in self.batches()]
        return np.concatenate([s for s, _ in pairs]), np.concatenate([y for _, y in pairs])


def reopen(
    run: Run,
    model: Any,
    data: Any,
    checkpoint: str | Checkpoint = "best",
    *,
    inputs: Any = None,
    tokenizer: Any = None,
    device: str | None = None,
) -> Reopened:
    """Put a checkpoint's weights into a copy of `model`.

    Raises
    ------
    ValueError, TypeError
        If the model or the data are not such as the run was made with.
    """
    chosen = pick(run.id, run.checkpoints, checkpoint)
    named = None if inputs is None else find_modality(inputs)
    if tokenizer is not None:
        named = with_tokenizer(named, tokenizer)
    meant = str(chosen.facts.get("task", ""))
    parts = find_backend(model, None)
    given = arguments_for(meant, told=meant in parts.tasks)
    factory = resolve(parts.factory(given.get("task")))
    if takes(factory, "modality"):
        given["modality"] = named
    config = Config.from_mapping({} if device is None else {"device": device})
    try:
        engine = complete(
            factory(
                model, data, None, optimizer=None, scheduler=None, batch_size=64,
                config=config, **given,
            )
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError) or "train_data" not in str(error):
            raise
        raise type(error)(str(error).replace("train_data", "data")) from error
    if not engine.portable:
        raise ValueError(
            f"a model of the backend {engine.name!r} trained as {meant or 'this'} can be neither "
            "exported nor evaluated here; run.export('safetensors') writes the weights alone"
        )
    task = task_of(engine)
    if meant and task.name != meant:
        raise ValueError(
            f"data mean a {task.name}, but {run.id} trained a {meant}; pass targets such as it had"
        )
    return reopened(run, engine, chosen, engine.structure(), task=task, validation=False)


def reopened(
    run: Run, engine: Any, checkpoint: Checkpoint, structure: bytes, *, task: Task, validation: bool
) -> Reopened:
    """With a backend that is there; the weights are a checkpoint's all the same."""
    keeps = resolve(engine.portable).keeps
    contents = read_checkpoint(checkpoint)
    state = (contents.tree or {}).get("state") or {}
    rest = {name: state[name] for name in keeps if name in state}
    way = Way(engine.portable, structure, contents.weights, rest)
    saved = [str(name) for name in run.config.get("data", {}).get("classes") or ()]
    numbers = given_names(task.outcomes(None)) or []
    names = given_names(saved) or []
    names = names if len(names) == len(numbers) else numbers
    return Reopened(engine, validation, task, names, way, checkpoint)
