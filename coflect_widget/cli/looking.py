"""``coflect open``, ``connect``, ``audit``: a run in JupyterLab, steered, looked through."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from coflect_widget.cli.answer import Answer, Commands, command


def add(commands: Commands) -> None:
    """Add the commands."""
    opened = command(commands, "open", _open, "JupyterLab on a notebook that shows a run")
    opened.add_argument("run", type=Path, help="a run folder")
    opened.add_argument("--notebook", type=Path, help="a new file; open_RUN.ipynb here if left out")
    opened.add_argument(
        "--write-only", action="store_true", help="write the notebook, and start nothing"
    )
    opened.set_defaults(open_ended=True)
    opened.epilog = "Other options go to JupyterLab: --no-browser --port 8890"
    connect = command(commands, "connect", _connect, "show or steer a training that is served")
    connect.add_argument("run", type=Path, help="its run folder")
    connect.add_argument(
        "do", nargs="?", choices=("show", "pause", "resume", "stop"), default="show"
    )
    audit = command(commands, "audit", _audit, "shortcuts that were found in a run; 1 if any")
    audit.add_argument("run", type=Path, help="a run folder")
    audit.add_argument("--threshold", type=float, default=0.5, help="pull from which it is one")


def _open(given: argparse.Namespace) -> Answer:
    from coflect_widget.records.durable import replacing
    from coflect_widget.ui.recorded import open_run

    run = open_run(given.run)
    file = given.notebook or Path(f"open_{run.id}.ipynb")
    inside = run.path.resolve()
    # Jupyter reads settings of the folder that it is called in, and a kernel imports from that of
    # its notebook.
    if any(folder.resolve().is_relative_to(inside) for folder in (Path.cwd(), file.parent)):
        raise ValueError("call it outside the run folder, of which nothing is executed")
    if file.exists():  # of an earlier time, with what was added to it
        return _started(given, file)
    code = f"import coflect_widget as coflect\n\ncoflect.open_run({str(run.path.resolve())!r})"
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(_notebook(code), indent=1), encoding="utf-8")
    return _started(given, file)


def _started(given: argparse.Namespace, file: Path) -> Answer:
    if not given.write_only:
        words = [sys.executable, "-P", "-m", "jupyterlab", str(file), *given.others]
        done = subprocess.run(words, check=False)  # noqa: S603 - Jupyter, on the user's own file
        return {"notebook": str(file)}, "", done.returncode
    return {"notebook": str(file)}, f"{file}\n"


def _notebook(code: str) -> dict[str, object]:
    cell: dict[str, object] = {
        "cell_type": "code", "execution_count": None, "id": "run", "metadata": {}, "outputs": [],
        "source": code.splitlines(keepends=True),
    }  # fmt: skip
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _connect(given: argparse.Namespace) -> Answer:
    from coflect_widget.elsewhere.serving import connect

    session = connect(given.run)
    if given.do != "show":
        getattr(session, given.do)()
    state, metrics = session.state, session.metrics
    session.close()
    shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items() if value is not None)
    return {"state": state, "metrics": metrics}, f"{state}  {shown}\n"


def _audit(given: argparse.Namespace) -> Answer:
    from coflect_widget.projects.audit import of_run
    from coflect_widget.ui.recorded import open_run

    found = of_run(open_run(given.run), given.threshold)
    value = [one.model_dump(mode="json") for one in found.findings]
    return value, f"{found}\n", found.code
