"""From a decision to a session: rows chosen and divided, inputs and goal fitted, a network made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import Config
from coflect_widget.projects.quickstart.deciding import Decision
from coflect_widget.projects.quickstart.divided import remember
from coflect_widget.projects.quickstart.duplicates import by_chance, groups
from coflect_widget.projects.quickstart.goals import GOALS, cells_of, values_of, with_target
from coflect_widget.projects.quickstart.held import names_of
from coflect_widget.projects.quickstart.inputs import KINDS
from coflect_widget.projects.quickstart.learners import learner_given
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.projects.quickstart.splitting import divide
from coflect_widget.projects.quickstart.started import DataSession

#: Rows up to which batches are so large.
_BATCHES = ((600, 16), (6000, 32))
_BATCH = 64


def build(
    decision: Decision,
    *,
    model: str | Callable[..., Any] | None = None,
    begin: Pipeline | None = None,
    more: tuple[NDArray[Any], NDArray[Any]] | None = None,
    run_dir: str | Path | None = None,
    batch_size: int | None = None,
    clusters: int | None = None,
    seed: int = 0,
    config: Config | Mapping[str, Any] | None = None,
    **arguments: Any,
) -> tuple[DataSession, list[str]]:
    """The session, and sentences about how the data were prepared.

    Parameters
    ----------
    decision : Decision
    model : str or callable, optional
        Who learns, where it is not the network that is proposed; see `quickstart`.
    begin : Pipeline, optional
        Of another run: its inputs, goal and network are gone on with.
    more : (x, y), optional
        Further samples of the training part, as the network takes them. Those that equal a sample
        of the validation or the test part are left out.
    run_dir : path, optional
        ``COFLECT_ROOT`` of the environment, or "runs", if left out.
    batch_size : int, optional
        By the number of rows where left out.
    clusters : int, optional
        How many, of a task that tells clusters; by their silhouette where left out.
    seed : int
        Of the division of rows and the first weights; of the training, where `config` says none.
    config, **arguments
        Passed on to `Session`.

    Raises
    ------
    ValueError
        If there is too little to learn from.
    """
    columns, target = decision.columns, decision.target
    kind, task = KINDS[decision.kind], GOALS[decision.task]
    proposed = task.learner or None
    learner = learner_given(proposed if model is None else model)
    if begin is not None:
        learner = begin.learner
    why_not = learner.refuses(kind, task)
    if why_not:
        raise ValueError(why_not)
    sheet = decision.look.sheet
    sheet = sheet.rows(with_target(task, cells_of(task, sheet, target)))
    bad, what = kind.unusable(sheet, columns)
    said = []
    if bad:
        said.append(f"{len(bad):,} {what}: left out.")
        sheet = sheet.rows(np.setdiff1d(np.arange(len(sheet)), bad))
    inputs, goal = (kind(), task()) if begin is None else (begin.inputs, begin.goal)
    if begin is None:
        told = [*columns, *(c for c in decision.look.columns if c.name == target)]
        inputs.marks = {column.name: column.marks for column in told if column.marks}
    if clusters is not None:
        goal.choose(clusters)
    sheet = inputs.samples(sheet, columns, target)
    coded = task.coded(cells_of(task, sheet, target))
    told_by = inputs.told_by(columns)
    equal = groups(sheet, told_by)
    own = [c for c in decision.look.columns if c.name == target and c.name in sheet.cells]
    chance = by_chance(equal, groups(sheet, [*told_by, *own]), told_by)
    split = divide(
        coded, equal, sheet.part,
        classes=task.by_class, together=not chance, seed=seed,
    )  # fmt: skip
    train = sheet.rows(split.train)
    if begin is None:
        inputs.fit(train, columns)
        goal.fit(values_of(goal, train, target, inputs.transform))
    if goal.outputs < 1 + goal.by_class:
        raise ValueError(
            f"{target!r} has one class in the training part: there is nothing to learn"
        )
    x = inputs.transform(train)
    y = goal.transform(values_of(goal, train, target, inputs.transform))
    if goal.by_class:  # of data with classes that the run to go on with has not seen
        x, y = x[y >= 0], y[y >= 0]
    validation = sheet.rows(split.validation)
    if goal.by_class:  # a class that only the validation part has cannot be learned
        known = goal.transform(validation.cells[target]) >= 0
        validation = validation.rows(known)
        split = replace(split, validation=split.validation[known])
    if begin is None or not learner.goes_on:
        plan = learner.plan(inputs.network(x, goal.outputs))
        made = learner.make(plan, seed, x, goal.evidence(y))
    else:
        plan, made = begin.network, begin.model
    x_validation = inputs.transform(validation)
    y_validation = goal.transform(values_of(goal, validation, target, inputs.transform))
    if more is not None:
        held = [x_validation, inputs.transform(sheet.rows(split.test))]
        new = _others(more[0], held)
        if not new.all():
            said.append(
                f"{np.sum(~new):,} labelled rows equal rows of the validation or the test part: "
                "left out."
            )
        more = (more[0][new], more[1][new])
        x, y = (np.concatenate(pair) for pair in zip((x, y), more, strict=True))
    size = batch_size or next((b for rows, b in _BATCHES if len(x) <= rows), _BATCH)
    session = DataSession(
        Pipeline(inputs, goal, target, plan, made, learner),
        sheet,
        split,
        learner.epochs(kind.steps, len(x), size),
        (x, y),
        (x_validation, y_validation),
        batch_size=size,
        run_dir=run_dir,
        config={"seed": seed} if config is None else config,
        **{**inputs.arguments(), **learner.arguments(goal), **arguments},
    )
    remember(session.run.path, [column.name for column in columns], seed)
    return session, [*said, *split.said, *inputs.said, *goal.said]


def _others(x: NDArray[Any], held: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which samples (N,) equal none of those held."""
    known = {name for part in held for name in names_of(part)}
    return np.array([name not in known for name in names_of(x)], bool)
