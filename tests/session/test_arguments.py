"""Bad input is named before any thread starts."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import coflect_widget as coflect
from tests.conftest import tiny_cnn


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"clases": ["a", "b"]}, TypeError, "did you mean 'classes'"),
        ({"config": {"xai_evry": 5}}, ValueError, "did you mean 'xai_every'"),
        ({"classes": ["a", "b"]}, ValueError, "4 outputs but classes= names 2"),
        ({"classes": "abcd"}, TypeError, "list of names"),
        ({"classes": 4}, TypeError, "list of names"),
        ({"config": {"display": {"mean": [0.5, 0.5]}}}, ValueError, "3 channels"),
        ({"config": {"attribution": {"layer": "stem.cnv"}}}, ValueError, "stem.cnv"),
        ({"classes": ["a", "a", "b", "c"]}, ValueError, "all different"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"backend": "tensorflo"}, ValueError, "tensorflo"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_left_behind(
    shapes, tmp_path, arguments, error, words
):
    threads = threading.active_count()
    with pytest.raises(error, match=words):
        coflect.Session(tiny_cnn(), shapes, run_dir=tmp_path / "runs", **arguments)
    assert threading.active_count() == threads
    assert not (tmp_path / "runs").exists()


def test_a_model_of_no_framework_is_refused(shapes, tmp_path):
    with pytest.raises(ValueError, match=r"torch\.nn\.Module"):
        coflect.Session(lambda x: x, shapes, run_dir=tmp_path)


def test_a_missing_framework_gives_the_pip_command(tmp_path):
    code = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
import coflect_widget as coflect, numpy as np
try:
    coflect.Session(object(), (np.zeros((1, 3, 8, 8)), np.zeros(1, int)), backend="torch",
                    run_dir={str(tmp_path)!r})
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'coflect-widget[torch]'" in done.stdout, done.stderr


def test_importing_the_package_imports_no_framework():
    code = "import sys, coflect_widget; print({'torch', 'tensorflow', 'captum'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    "arguments", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"epochs": 1.5}, {"epochs": True}]
)
def test_train_says_what_it_needs(make_session, arguments):
    with pytest.raises(ValueError, match="epochs"):
        make_session().train(**arguments)


def test_training_twice_at_once_is_refused(make_session):
    session = make_session()
    session.train(steps=100_000)
    with pytest.raises(RuntimeError, match="already running"):
        session.train(epochs=1)


def test_no_such_sample(make_session):
    session = make_session()
    with pytest.raises(IndexError, match="indices go from 0 to 255"):
        session.explain(256)
    with pytest.raises(TypeError, match="whole number"):
        session.explain("7")
    with pytest.raises(TypeError, match="must be text"):
        session.feedback(instruction=5)
    assert session.feedback(sample=np.int32(3), look=(0, 0, 0.5, 0.5), strength=np.float32(0.5))
