"""Which backend a model gets; backends of other people, as the documentation has one."""

import contextlib
import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import coflect_widget as coflect
from coflect_widget.backends import registry
from coflect_widget.backends.base import Backend, MissingFrameworkError
from coflect_widget.backends.defaults import BackendDefaults, complete
from coflect_widget.config import Config
from coflect_widget.tasks import Classification
from tests.conftest import eventually, tiny_cnn

FOLDER = Path(__file__).parents[2] / "examples" / "backends"


@pytest.fixture
def logistic(monkeypatch):
    """The module of the documentation, importable here and in workers that start after it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(registry, "_registered", {})
    import numpy_logistic

    return numpy_logistic


@pytest.fixture(scope="module")
def digits():
    data = coflect.data.decoy_digits("train", square="none")
    return data.images[:600], data.labels[:600]


def test_a_backend_of_another_package_has_all_but_guidance(logistic, digits, make_session):
    coflect.register_backend("numpy", logistic.NumpyBackend)
    images = digits[0]
    session = make_session(
        model=logistic.Logistic(10, learning_rate=0.003), data=digits, val=digits,
        config={"forecast_every": 5}, executor=None,
    )  # fmt: skip
    session.train(steps=10**7)
    eventually(lambda: session.metrics["step"] > 50)
    session.pause()
    held = session.metrics["step"]
    explanation = session.explain(3)
    assert session.metrics["step"] == held
    weights = session._backend.model.weights
    assert explanation.top_classes[0] == int((images[3].ravel() @ weights).argmax())
    assert explanation.model_step == held
    assert explanation.map.max() == 1
    with pytest.raises(ValueError, match="takes no guidance"):
        session.feedback(sample=3, ignore=(0, 0, 0.2, 0.2))
    session.resume()
    eventually(lambda: (session.metrics.get("val_accuracy") or 0) > 0.5)
    assert len(session.candidates) == 10
    session.stop()
    saved = load_file(session.run.checkpoints.last.weights)
    assert np.array_equal(saved["weights"], weights)
    assert session.events("run_started")[0].data["backend"] == "numpy"


def test_a_bare_loop_in_numpy(logistic, digits, make_session):
    images, labels = digits
    coflect.register_backend("numpy", logistic.NumpyBackend)
    session = make_session(model=logistic.Logistic(10), data=digits, backend="numpy")
    model = session._backend.model
    for rows in session.loop(np.array_split(np.arange(600), 10), epochs=2):
        x = images[rows].reshape(len(rows), -1)
        logits = x @ model.weights
        session.observe(rows, logits, labels[rows])
        error = logistic.softmax(logits) - np.eye(10)[labels[rows]]
        model.weights -= (0.003 * x.T @ error / len(rows)).astype(np.float32)
    session.wait(240)
    assert (session.metrics["step"], session.metrics["epoch"]) == (20, 2)
    assert session._parts.forecaster.store.seen.all()


def test_a_backend_is_given_what_it_does_not_say_itself(logistic, digits):
    class Sealed:
        __slots__ = ()

    class Judging(logistic.NumpyBackend):
        def set_labels(self, labels):
            pass

    made = [
        complete(kind(
            logistic.Logistic(10), digits, None, num_classes=10, loss=None, optimizer=None,
            scheduler=None, batch_size=32, config=Config(),
        ))
        for kind in (logistic.NumpyBackend, Judging)
    ]  # fmt: skip
    assert [one.takes_labels for one in made] == [False, True]
    assert (made[0].explainer, made[0].task) == ("numpy_logistic:LogisticExplainer", None)
    made[0].warnings.append("mine")
    assert made[1].warnings == []
    assert made[0].readings(0, lambda _: True) == []
    parts = [np.zeros((1, 2)), np.ones((2, 2))]
    assert made[0].concatenate(parts).shape == (3, 2)
    asked = {name for name in vars(BackendDefaults) if not name.startswith("_")}
    assert asked <= set(vars(Backend)) | set(Backend.__annotations__)
    with pytest.raises(TypeError, match=r"derive it from .*BackendDefaults"):
        complete(Sealed())


def test_a_backend_may_name_a_task_of_its_own(logistic, digits, make_session):
    class Grades(Classification):  # next to the right grade is right enough
        words = dataclasses.replace(Classification.words, quality_first="Within one")

        def summarise(self, outputs, targets, losses=None):
            found = super().summarise(outputs, targets, losses)
            near = np.abs(found.predicted - found.target) <= 1
            return found._replace(right=near, margin=np.where(near, 1, -1).astype(np.float32))

        def outcomes(self, names):
            return [f"grade {number}" for number in range(self.classes)]

    class Graded(logistic.NumpyBackend):
        task = Grades(10)

    coflect.register_backend("numpy", Graded)
    session = make_session(
        model=logistic.Logistic(10, learning_rate=0.003), data=digits, executor=None,
    )  # fmt: skip
    session.train(epochs=3)
    session.wait(240)
    store = session._parts.forecaster.store
    off = np.abs(store.predicted - store.target)
    assert (store.correct == (off <= 1)).all()
    assert (off == 1).any()
    assert session.classes[:2] == ["grade 0", "grade 1"]
    assert "Within one" in session._parts.window.status().gates[1].sentence
    assert len(session.explain(3).top_classes) == 3  # the task goes to the worker


def test_a_backend_without_maps_trains_all_the_same(logistic, digits, make_session):
    class NoMaps(logistic.NumpyBackend):
        structure = None

    coflect.register_backend("numpy", NoMaps)
    session = make_session(model=logistic.Logistic(10), data=digits)
    session.train(epochs=1)
    session.wait(240)
    assert session.state == "finished"
    assert "overlays do not" in session.events("notice")[0].data["text"]


def test_an_entry_point_is_found_by_name_and_by_model(logistic, digits, make_session, tmp_path):
    # Once the backport is imported, as some libraries do, the entries are of its own class.
    with contextlib.suppress(ImportError):
        importlib.import_module("importlib_metadata")
    folder = tmp_path / "numpy_coflect-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy-coflect\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[coflect.backends]\nlogistic = numpy_logistic:NumpyBackend\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        importlib.invalidate_caches()
        model = logistic.Logistic(10)
        assert make_session(model=model, data=digits)._backend.name == "numpy"
        make_session(model=model, data=digits, backend="logistic")
    finally:
        sys.path.remove(str(tmp_path))


def test_what_is_not_known_or_not_clear_says_what_to_do(logistic, digits, make_session):
    with pytest.raises(ValueError, match=r"of no known framework.*backend="):
        make_session(model=logistic.Logistic(10), data=digits)
    with pytest.raises(ValueError, match="backend='jax' is not known; known are: torch, keras"):
        make_session(backend="jax")
    with pytest.raises(ValueError, match="built-in"):
        coflect.register_backend("torch", logistic.NumpyBackend)
    with pytest.raises(TypeError, match="must be a class or function"):
        coflect.register_backend("numpy", 3)

    class Both(logistic.NumpyBackend):
        @staticmethod
        def recognises(model):
            return isinstance(model, torch.nn.Module)

    coflect.register_backend("numpy", Both)
    with pytest.raises(ValueError, match=r"backends 'torch' and 'numpy'; say which.*backend="):
        make_session(model=tiny_cnn())
    assert make_session(model=tiny_cnn(), backend="torch").state == "idle"


def test_a_missing_framework_says_what_to_install(monkeypatch):
    parts = registry.BackendParts("x:y", package="not_installed_here", install="pip install it")
    monkeypatch.setitem(registry.BACKENDS, "torch", parts)
    with pytest.raises(MissingFrameworkError, match="not installed; run: pip install it"):
        registry.find_backend(tiny_cnn(), None)


def test_importing_the_package_imports_no_framework():
    code = (
        "import sys, coflect_widget; "
        "print([m for m in ('torch', 'tensorflow', 'keras', 'lightning', 'transformers', 'captum')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_class_weights_for_a_backend_that_takes_none_are_refused(logistic, digits, make_session):
    coflect.register_backend("numpy", logistic.NumpyBackend)
    with pytest.raises(TypeError, match="'NumpyBackend' takes no weights of classes"):
        make_session(model=logistic.Logistic(10), data=digits, class_weight={1: 2.0})


def test_class_weights_for_torch(make_session):
    with pytest.raises(ValueError, match=r"class_weight has 7; classes are 0\.\.3"):
        make_session(class_weight={7: 1.0})
    with pytest.raises(ValueError, match="number of at least 0"):
        make_session(class_weight={1: -1.0})
    with pytest.raises(ValueError, match=r"CrossEntropyLoss\(weight="):
        make_session(class_weight={1: 2.0}, loss=torch.nn.functional.cross_entropy)
    loss = make_session(class_weight={1: 3.0})._backend.loss
    logits, targets = torch.randn(6, 4), torch.tensor([0, 1, 1, 2, 3, 0])
    weights = torch.tensor([1.0, 3.0, 1.0, 1.0])
    expected = torch.nn.functional.cross_entropy(logits, targets, weight=weights)
    assert torch.equal(loss(logits, targets), expected)
