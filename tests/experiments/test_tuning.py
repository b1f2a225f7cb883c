"""A search: pruned, gone on with, told by a person; a space that contradicts itself."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from IPython.core import display_functions
from IPython.core.interactiveshell import InteractiveShell

import coflect_widget as coflect
from coflect_widget.experiments.shown import SweepScreen
from coflect_widget.experiments.space import grid, read_space
from coflect_widget.experiments.sweep import open_study
from coflect_widget.ui import records_view


def searched(file, **changes):
    return coflect.Experiment.from_config(file).changed(
        {"training.loop": "heard", "training.epochs": 9, **changes}
    )


def until(found, seconds=300):
    """Wait for it; what it gives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (value := found()) is not None:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_search_prunes_keeps_the_best_and_goes_on(file, tmp_path):
    experiment, folder = searched(file), tmp_path / "sweep"
    rates = [0.5, 1e-7, 2e-7, 3e-7]
    space = {"training.lr": rates}
    sweep = coflect.tune(
        experiment, space, n_trials=3, sampler="grid", pruner="halving", folder=folder
    )
    states = [trial.state for trial in sweep.trials[:3]]
    assert states == ["finished", "pruned", "pruned"]
    assert [trial.epochs for trial in sweep.trials[:3]] == [9, 1, 1]
    # pruning really stopped the training, within an epoch
    assert [run.state for run in sweep.runs] == ["finished", "stopped", "stopped"]
    steps = [run.events("state")[-1].step for run in sweep.runs]  # one an epoch
    assert steps[0] == 9
    assert max(steps[1:]) <= 2
    assert sweep.runs[1].labels.tags["trial"] == 1
    assert sweep.best.values == {"training.lr": 0.5}
    best = coflect.Experiment.from_config(folder / "best.yaml")
    assert best.training.lr == 0.5
    assert best.expanded().keys() == experiment.expanded().keys()

    # a person enqueues what the pruner would end, and pins one of two; then it goes on
    sweep.enqueue({"training.lr": 1e-7})
    sweep.enqueue({"training.lr": 2e-7})
    sweep.pin(4)
    told = []
    again = coflect.tune(
        experiment, space, n_trials=4, sampler="grid", pruner="halving", folder=folder,
        on_trial=told.append,
    )  # fmt: skip
    assert [trial.number for trial in told] == [3, 4, 5]
    by = {trial.number: trial for trial in again.trials}
    assert [by[k].state for k in (3, 4, 5)] == ["pruned", "finished", "pruned"]
    assert by[4].pinned
    assert by[4].epochs == 9
    assert "asked for by" in by[4].said
    assert [t.values["training.lr"] for t in told] == [1e-7, 2e-7, 3e-7]
    assert "(best)" in again._repr_html_()
    with pytest.raises(ValueError, match="trial 4 has ended: finished"):
        again.prune(4)
    with pytest.raises(ValueError, match="there is no trial 9; there are 6"):
        again.pin(9)
    with pytest.raises(ValueError, match=r"training\.lr = 0\.1 is none of"):
        again.enqueue({"training.lr": 0.1})
    with pytest.raises(ValueError, match=r"'training\.rl' is not searched; did you mean"):
        again.enqueue({"training.rl": 0.1})
    with pytest.raises(ValueError, match="a search with another space; give another folder"):
        coflect.tune(experiment, {"training.lr": [0.1, 0.2]}, folder=folder)


def page_of(sweep):
    """The screen of a search, and what it answers its page."""
    screen, answers = SweepScreen(sweep), []
    screen.view.send = answers.append
    return screen, answers


def test_a_person_ends_a_trial_that_would_never_end(file, tmp_path):
    """On the page that shows the search, while the cell that searches is busy."""
    experiment = searched(file, **{"training.epochs": 10**6})
    folder, faults, seen = tmp_path / "sweep", [], []

    def person():
        try:
            started = until(lambda: (folder / "best.yaml").parent.is_dir() or None)
            assert started
            sweep = until(lambda: _opened(folder))
            until(lambda: next((t for t in sweep.trials if t.epochs > 0), None))
            with pytest.raises(RuntimeError, match="another process searches"):
                coflect.tune(experiment, {"training.lr": (0.1, 0.2)}, folder=folder)
            screen, answers = page_of(sweep)
            screen.take({"kind": "look", "id": "p"})
            until(lambda: screen.view._data["trials"][0]["epochs"] or None)  # it is live
            assert screen.view._data["state"] == "searching"
            screen.take({"kind": "prune", "number": 0, "id": "a"})
            assert answers == [
                {
                    "kind": "reply", "id": "a", "ok": True,
                    "text": "Trial 0 is pruned: its training stops at the next step.",
                }
            ]  # fmt: skip
            trial = until(lambda: pruned(screen))
            seen.append(trial["said"])
        except BaseException as error:
            faults.append(error)
            raise

    thread = threading.Thread(target=person)
    thread.start()
    found = coflect.tune(
        experiment, {"training.lr": (0.1, 0.2)}, n_trials=1, pruner="none", folder=folder
    )
    thread.join()
    assert not faults
    assert [trial.state for trial in found.trials] == ["pruned"]
    assert "pruned by" in found.trials[0].said
    assert seen == [found.trials[0].said]
    assert found.best is None


def pruned(screen):
    """The first trial of a search that is over; a screen stops that no page is heard of."""
    screen.take({"kind": "look", "id": "p"})
    data = screen.view._data
    first = data["trials"][0]
    return first if (first["state"], data["state"]) == ("pruned", "not searching") else None


def test_what_a_cell_keeps_is_the_search_at_its_end(file, tmp_path, monkeypatch):
    outputs = []
    monkeypatch.setattr(records_view, "in_notebook", lambda: True)
    monkeypatch.setattr(InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(
        display_functions, "publish_display_data", lambda **output: outputs.append(output)
    )
    found = coflect.tune(
        searched(file, **{"training.epochs": 1}), {"training.lr": [0.1, 0.2]}, n_trials=1,
        folder=tmp_path / "sweep", show=True,
    )  # fmt: skip
    *_, first, last = outputs
    assert first["transient"] == last["transient"]
    assert last["update"]
    assert "finished (best)" in last["data"]["text/html"]
    data = found._on_screen().view._data
    assert (data["state"], data["trials"][0]["state"]) == ("not searching", "finished")


def test_what_a_page_says_is_checked_before_it_is_done(tmp_path):
    study = open_study(tmp_path, direction="minimize")
    space = {"training.lr": [0.1, 0.2], "model.width": {"low": 8, "high": 16}}
    for name, value in {"metric": "val_loss", "space": space, "experiment": {}}.items():
        study.set_user_attr(name, value)
    screen, answers = page_of(coflect.Sweep(tmp_path))
    assert [one["choices"] for one in screen.view._data["space"]] == [[0.1, 0.2], None]
    screen.take({"kind": "enqueue", "values": {"training.lr": 0.2}, "id": "1"})
    [trial] = screen.view._data["trials"]
    assert (trial["state"], trial["values"]) == ("waiting", {"training.lr": 0.2})
    for bad, words in (
        ({"kind": "enqueue", "values": {"training.lr": 0.3}}, "is none of"),
        ({"kind": "enqueue", "values": {"training.lr": [0.1]}}, "Not understood"),
        ({"kind": "enqueue", "values": {"model.width": 8.5}}, "is no whole number"),
        ({"kind": "prune", "number": 7}, "there is no trial 7"),
        ({"kind": "prune", "number": "0"}, "Not understood"),
        ({"kind": "stop"}, "Not understood"),
        ({"kind": "pin", "number": 0, "more": 1}, "Not understood"),
    ):
        screen.take({**bad, "id": "2"})
        assert not answers[-1]["ok"]
        assert words in answers[-1]["text"]
    count = len(answers)
    for nothing in (None, [], {"kind": "prune", "number": 0}, {"id": "x" * 65}, {"id": 3}):
        screen.take(nothing)
    assert len(answers) == count
    assert [t.state for t in coflect.Sweep(tmp_path).trials] == ["waiting"]
    screen.take({"kind": "pin", "number": 0, "id": "3"})
    assert screen.view._data["trials"][0]["pinned"]


def _opened(folder):
    try:
        sweep = coflect.Sweep(folder)
        return sweep if sweep.metric and sweep.trials else None
    except (FileNotFoundError, KeyError):
        return None


def test_a_trial_that_fails_is_named_and_the_first_one_ends_the_search(file, tmp_path):
    experiment = searched(file, **{"training.epochs": 2})
    with pytest.warns(UserWarning, match="trial 1 failed: "):
        sweep = coflect.tune(
            experiment, {"training.loop.name": ["heard", "breaks"]}, sampler="grid",
            folder=tmp_path / "one", pruner="none",
        )  # fmt: skip
    assert [trial.state for trial in sweep.trials] == ["finished", "failed"]
    assert "RuntimeError: it breaks" in sweep.trials[1].said
    with pytest.raises(RuntimeError, match="it breaks"):
        coflect.tune(
            experiment, {"training.loop.name": ["breaks", "heard"]}, sampler="grid",
            folder=tmp_path / "two",
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"did you mean 'val_accuracy'"):
        coflect.tune(
            experiment, {"training.lr": (0.1, 0.2)}, metric="val_acuracy", folder=tmp_path / "three"
        )


def test_a_search_of_others_is_read_and_told_without_running_what_it_names(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('it was imported')")
    study = open_study(tmp_path, direction="minimize")
    experiment = coflect.Experiment(data="evil:x", model="evil:y", modules=["evil"])
    for name, value in {
        "metric": "val_loss", "space": {"training.lr": [0.1, 0.2]},
        "experiment": experiment.expanded(),
    }.items():  # fmt: skip
        study.set_user_attr(name, value)
    sweep = coflect.Sweep(tmp_path)
    sweep.enqueue({"training.lr": 0.2})
    sweep.pin(0)
    sweep.prune(0)
    [trial] = coflect.Sweep(tmp_path).trials  # as another process reads it
    assert (trial.state, trial.values, trial.pinned) == ("waiting", {"training.lr": 0.2}, True)
    assert "pruned by" in trial.said
    assert sweep.experiment.model.name == "evil:y"
    for told in ("run_001_x", "/etc", "../../etc", "..", ""):
        study.ask().set_user_attr("run", told)
    runs = tmp_path / "runs"
    away = [trial.run for trial in coflect.Sweep(tmp_path).trials]
    assert away == [runs / "run_001_x", runs / "etc", runs / "etc", None, None]
    (tmp_path / "journal.log").rename(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="holds no search"):
        coflect.Sweep(tmp_path)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "space is empty"),
        ({"training.lr": (0.1, 0.001)}, r"low = 0.1 is above high = 0.001; give low < high"),
        ({"training.lr": (0.1, 0.1)}, "is all there is; leave it out"),
        ({"training.lr": (0, 0.1, "log")}, "low = 0 has no logarithm"),
        ({"training.lr": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, "contradict"),
        ({"training.lr": {"low": 0.1, "high": 0.2, "step": 0.5}}, "step = 0.5 does not fit"),
        ({"training.lr": {"low": 0.1, "hihg": 0.2}}, "has 'hihg'; did you mean 'high'"),
        ({"training.lr": (0.1, float("inf"))}, "high = inf is no number"),
        ({"training.lr": (0.1, 0.2, 0.3)}, "choices are a list"),
        ({"training.lr": 0.1}, "leaves no choice"),
        ({"training.lr": []}, "has no choices"),
        ({"training.lr": [0.1, 0.1]}, "has 0.1 twice"),
        ({"training.lr": [-1, 0.1]}, "training.lr = -1: input should be greater than 0"),
        ({"training.batch_size": (0, 8)}, "training.batch_size = 0: input should be greater"),
        ({"training.rl": [0.1, 0.2]}, "training.rl is not a setting; did you mean 'lr'"),
        ({"model.widht": [8, 16]}, "model.widht is no argument of it; did you mean 'width'"),
        ({"model.name": ["thin", "mlpp"]}, "architecture 'mlpp' is not known: did you mean 'mlp'"),
        ({"model": ["thin"], "model.width": [8, 16]}, "has 'model' and, within it, 'model.width'"),
    ],
)
def test_a_space_that_contradicts_itself(file, space, words):
    with pytest.raises(ValueError, match=words):
        read_space(space, coflect.Experiment.from_config(file))


def test_a_grid_has_each_combination_and_an_end(file):
    experiment = coflect.Experiment.from_config(file)
    space = {"training.lr": [0.1, 0.2], "model.width": {"low": 8, "high": 16, "step": 4}}
    points = grid(read_space(space, experiment))
    assert len(points) == 6
    assert {"training.lr": 0.2, "model.width": 12} in points
    with pytest.raises(ValueError, match="has no end of values"):
        grid(read_space({"training.lr": (0.1, 0.2)}, experiment))
    with pytest.raises(ValueError, match="points or more; give fewer"):
        grid(read_space({"model.width": (1, 20_000)} | {"training.lr": [0.1, 0.2]}, experiment))
    for name in ("pruner", "sampler"):
        with pytest.raises(ValueError, match=f"{name}='hyper': "):
            coflect.tune(experiment, space, **{name: "hyper"})


def test_what_a_process_that_is_gone_had_under_way_is_tried_anew(file, tmp_path):
    experiment, rates = searched(file, **{"training.epochs": 2}), [0.1, 0.2, 0.3]
    first = coflect.tune(experiment, {"training.lr": rates}, n_trials=1, folder=tmp_path / "sweep")
    study = open_study(first.path)
    gone = study.ask()
    gone.suggest_categorical("training.lr", rates)
    first.pin(1)
    with (first.path / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":8,"worker')  # it was killed in the middle of a line
    again = coflect.tune(experiment, {"training.lr": rates}, n_trials=2, folder=first.path)
    assert [trial.state for trial in again.trials] == ["finished", "killed", "finished"]
    assert again.trials[2].values == again.trials[1].values == gone.params
    assert again.trials[2].pinned
    # and one that was complete is left alone
    assert (
        len(coflect.tune(experiment, {"training.lr": rates}, n_trials=2, folder=first.path).trials)
        == 3
    )


@pytest.mark.slow
def test_a_killed_search_goes_on_when_the_command_is_run_again(file, tmp_path):
    with file.open("a") as more:
        more.write("tune: {sampler: random, pruner: none, space: {training.lr: [0.1, 0.2, 0.3]}}\n")
    folder = tmp_path / "sweep"
    words = [sys.executable, "-m", "coflect_widget.cli", "tune", str(file), "--trials", "3"]
    words += ["--folder", str(folder), "--training.loop", "heard"]
    first = subprocess.Popen([*words, "--training.epochs", "400"], start_new_session=True)
    try:
        sweep = until(lambda: _opened(folder))
        until(lambda: next((t for t in sweep.trials if t.epochs > 2), None))
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    with (folder / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":8,"worker')  # killed in the middle of a line
    done = subprocess.run(
        [*words, "--training.epochs", "400"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    trials = coflect.Sweep(folder).trials
    assert trials[0].state == "killed"
    assert sorted(t.state for t in trials[1:]) == ["finished"] * 3
    assert trials[1].values == trials[0].values
