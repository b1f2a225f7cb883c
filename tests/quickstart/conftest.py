"""What tests of quickstart share: sessions that are closed, and one short training of a service."""

import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import coflect_widget as coflect
from coflect_widget.projects.quickstart.pipeline import Pipeline


@pytest.fixture
def start(tmp_path):
    """Makes sessions by quickstart and closes them."""
    made = []

    def make(data, **arguments):
        session = coflect.quickstart(data, run_dir=tmp_path / "runs", **arguments)
        made.append(session)
        return session

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make
    torch.set_num_threads(threads)
    for session in made:
        session.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A table of people: ``run``, ``data``, ``split``, and ``row`` and ``map`` of one."""
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame({
        "age": rng.normal(45, 12, n), "paid": rng.gamma(2, 800, n),
        "plan": rng.choice(["basic", "plus"], n),
        "joined": pd.date_range("2020-01-01", periods=20).repeat(10)[rng.permutation(n)],
    })  # fmt: skip
    frame["left"] = np.where(frame["age"] > 45, "yes", "no")
    folder = tmp_path_factory.mktemp("served")
    with coflect.quickstart(frame, "left", leave_out=(), run_dir=folder) as session:
        session.train(steps=30)
        assert session.wait(240)
        session.test()
        cells = session.sheet.rows(session.split.train[:1]).cells
        row = {name: cells[name][0] for name in session.pipeline.inputs.sources}
        row = {name: cell if isinstance(cell, str) else _plain(cell) for name, cell in row.items()}
        return SimpleNamespace(
            run=session.run.path,
            data=frame,
            row=row,
            split=session.split,
            map=session.explain(0, 240).map,
        )


@pytest.fixture
def run(trained, tmp_path):
    """The run in a folder of its own; nothing in it is written anew but what is kept."""
    for file in trained.run.rglob("*"):
        place = tmp_path / "run" / file.relative_to(trained.run)
        if file.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, place)
    return tmp_path / "run"


@pytest.fixture(scope="session")
def exported(trained):
    """The ONNX file of `trained`."""
    pipeline = Pipeline.of(trained.run)
    x = pipeline.preprocess(trained.data.drop(columns="left"))
    y = pipeline.goal.transform(trained.data["left"].to_numpy(object))
    return coflect.open_run(trained.run).export("onnx", pipeline.model, (x, y)).file


def _plain(cell):
    return str(cell) if isinstance(cell, np.datetime64) else float(cell)
