"""``coflect.quickstart``: from data to a session in one call, with as few questions as need be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coflect_widget.process.shell import shell_here
from coflect_widget.projects.quickstart.asking.terminal import decided, proposed, refuse, typed
from coflect_widget.projects.quickstart.building import build
from coflect_widget.projects.quickstart.deciding import Choices, Question, decide
from coflect_widget.projects.quickstart.looking import look


def quickstart(
    data: Any,
    target: str | None = None,
    task: str | None = None,
    *,
    kind: str | None = None,
    leave_out: Sequence[str] | None = None,
    yes: bool = False,
    model: str | Callable[..., Any] | None = None,
    run_dir: str | Path | None = None,
    batch_size: int | None = None,
    clusters: int | None = None,
    seed: int = 0,
    **arguments: Any,
) -> Any:
    """Look at data, say what was found, ask what cannot be known, and make a session.

    Parameters
    ----------
    data : path, DataFrame, pair of arrays, data set or mapping
        A file of rows (.csv, .tsv, .txt, .json, .jsonl, .ts), a folder with a folder of pictures
        or of texts for each class, a DataFrame, arrays (inputs, targets), columns by name.
    target : str, optional
        The column to predict.
    task : {"classification", "regression", "clustering", "forecast", "anomaly"}, optional
        A forecast, and what is unusual, are of a timeline; clusters are of a table, without a
        target.
    kind : {"table", "text", "image", "series", "timeline"}, optional
        What the data are.
    leave_out : sequence of str, optional
        Columns that the network is not given. An empty one says that none gives the target away.
    yes : bool
        Ask nothing: take what is proposed. What has no proposal is an error.
    model : {"hist_gradient_boosting", "xgboost", "mini_batch_kmeans", "lstm"} or callable, optional
        Who learns, in place of what is proposed. Boosted trees and clusters are for tables, an LSTM
        is for the forecast of a timeline. A class
        or function makes a network of torch. It is called with those of these that it has arguments
        for: ``outputs``, and of a table ``columns``; of texts ``words``, the number of word ids; of
        pictures ``channels``; of series and timelines ``channels`` and ``length``. The network gets
        inputs (B, columns), ids (B, L), (B, channels, H, W) or (B, channels, length), and gives
        (B, outputs).
    run_dir : path, optional
        Where the run folder is made; ``COFLECT_ROOT`` of the environment, or "runs", if left out.
    batch_size : int, optional
    clusters : int, optional
        How many, 2 to 1,000; the number from 2 to 10 with the highest silhouette where left out.
    seed : int
        Of the division of rows, the first weights and the training.
    **arguments
        Passed on to `Session`.

    Returns
    -------
    DataSession or Asking
        The session. In a notebook, where something has to be asked, selectors and a button:
        ``.session`` is there once it was pressed.

    Raises
    ------
    FileNotFoundError, TypeError
        If the data are not there, or of no form that is read.
    ValueError
        If they cannot be learned from; or if something has to be asked and there is nobody to
        ask: the message says which argument to give.

    Examples
    --------
    >>> session = coflect.quickstart("people.csv", target="insured")  # doctest: +SKIP
    >>> session.train(); session.wait(); session.test()  # doctest: +SKIP
    """
    choices = Choices(target, kind, task, None if leave_out is None else _names(leave_out))
    found = look(data)
    make: Any = partial(
        build, model=model, run_dir=run_dir, batch_size=batch_size, clusters=clusters, seed=seed,
        **arguments,
    )  # fmt: skip
    first = decide(found, choices)
    if isinstance(first, Question) and not yes and _in_notebook():
        from coflect_widget.projects.quickstart.asking.notebook import Asking

        return Asking(found, choices, make)
    _say(str(found))
    ask = proposed if yes else typed if sys.stdin is not None and sys.stdin.isatty() else refuse
    decision = first if not isinstance(first, Question) else decided(found, choices, ask)
    session, said = make(decision)
    _say("\n".join([*decision.said, *said]))
    return session


def _names(leave_out: Sequence[str]) -> tuple[str, ...]:
    if isinstance(leave_out, str):
        return (leave_out,)
    return tuple(str(name) for name in leave_out)


def _in_notebook() -> bool:
    """Whether a cell shows widgets."""
    shell = shell_here()
    return shell is not None and hasattr(shell, "kernel")


def _say(text: str) -> None:
    print(text)  # noqa: T201 - what was found is what a person asked for
