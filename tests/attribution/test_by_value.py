"""Models of modules that only this process can import: maps by real workers, and the same ones."""

import importlib.util
import os
import sys
import textwrap
import types

import numpy as np
import pytest
import torch
from attribution_models import PlainCNN, snapshots_of, views
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.attribution.work import explaining
from coflect_widget.attribution.worker import Job, JobResult, Model
from coflect_widget.backends import by_value
from coflect_widget.backends.errors import ModelNotSendableError
from coflect_widget.backends.torch.methods import TorchWorkerModel, load, structure
from coflect_widget.tasks import Classification
from coflect_widget.workers.pool import WorkerPool
from tests.conftest import eventually

TORCH = "coflect_widget.backends.torch.methods:load"
X = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
METHODS = ("livecam", "smoothgrad")

NET = """
import functools
import math
import threading
import torch.nn as nn

guard = threading.Lock()  # not of the model, and cannot be pickled

def scale(x):
    return x * FACTOR

FACTOR = 3.0

@functools.lru_cache(maxsize=None)
def root(n):
    return math.sqrt(n)

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 3))
    def forward(self, x):
        return super().forward(scale(x)) / root(2)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder for modules; afterwards nothing of it is loaded or on the path."""
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")) or "elsewhere" in name:
            del sys.modules[name]
    sys.modules.pop("elsewhere_text", None)


def from_hub(folder):
    (folder / "elsewhere_hub").mkdir()
    (folder / "elsewhere_hub/__init__.py").write_text("from . import parts, arch\n")
    (folder / "elsewhere_hub/parts.py").write_text(NET + "import elsewhere_hub.arch as arch\n")
    (folder / "elsewhere_hub/arch.py").write_text(
        # each holds the other as a module
        "import torch.nn as nn\nimport elsewhere_hub.parts as parts\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.inner = parts.Net()\n"
        "    def forward(self, x):\n        return self.inner(parts.scale(x))\n"
    )
    (folder / "hubconf.py").write_text(
        "def net():\n    from elsewhere_hub.arch import Net\n    return Net()\n"
    )
    return torch.hub.load(str(folder), "net", source="local")


def from_spec(folder, known):
    (folder / "elsewhere_file.py").write_text(NET)
    spec = importlib.util.spec_from_file_location("elsewhere_net", folder / "elsewhere_file.py")
    module = importlib.util.module_from_spec(spec)
    if known:
        sys.modules["elsewhere_net"] = module
    spec.loader.exec_module(module)
    return module.Net()


def from_text(_folder):
    module = types.ModuleType("elsewhere_text")
    sys.modules["elsewhere_text"] = module
    exec(NET, vars(module))
    return module.Net()


def imported(folder, text=NET, name="elsewhere_mine"):
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return __import__(name).Net()


def from_a_file_that_is_gone(folder):
    made = imported(folder)
    (folder / "elsewhere_mine.py").unlink()
    return made


def from_a_file_that_has_changed(folder):
    made = imported(folder)
    (folder / "elsewhere_mine.py").write_text(NET.replace("FACTOR = 3.0", "FACTOR = 0.0"))
    return made


def from_another_module_of_that_name(folder):
    (folder / "one").mkdir()
    made = imported(folder / "one", name="elsewhere_twice")
    sys.path.remove(str(folder / "one"))
    (folder / "elsewhere_twice.py").write_text("Net = None\n")
    sys.path.insert(0, str(folder))
    return made


def from_a_folder_put_on_the_path_later(folder):
    with WorkerPool(explaining(Model("first", TORCH, structure(PlainCNN())))) as pool:
        pool.interactive.start()  # the process that forks workers runs from here on
    return imported(folder)


MODELS = {
    "hub": from_hub,
    "file spec": lambda folder: from_spec(folder, known=True),
    "file spec, not in sys.modules": lambda folder: from_spec(folder, known=False),
    "executed text": from_text,
    "file gone": from_a_file_that_is_gone,
    "file changed": from_a_file_that_has_changed,
    "another of that name": from_another_module_of_that_name,
    "path changed": from_a_folder_put_on_the_path_later,
}


def in_process(model):
    """Maps by the model itself, which nobody sent anywhere."""
    explainer = ModelExplainer(TorchWorkerModel(model.eval(), {}, set()))
    return explainer.explain(X[None], 1, METHODS, 8, 0.1, None, 0)


def assert_same_maps(one, other):
    for method in METHODS:
        assert one[method].max() > 0
        np.testing.assert_allclose(one[method], other[method], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", MODELS)
def test_a_worker_makes_maps_of_it(how, folder, monkeypatch):
    torch.manual_seed(0)
    model = MODELS[how](folder).eval()
    before = {n: vars(type(model))[n] for n in ("__init__", "forward")}
    if how == "path changed":  # and its file is an old one
        monkeypatch.setattr(by_value, "_began", lambda: float("inf"))
    registered = by_value.cloudpickle.list_registry_pickle_by_value()
    data = structure(model)
    assert (b"guard" in data or b"FACTOR" in data) == (how != "path changed")
    expected = in_process(model)
    snapshots = snapshots_of(model)
    with WorkerPool(explaining(Model(how, TORCH, data))) as pool, snapshots.lease() as lease:
        answer = pool.interactive.run(
            Job(
                model_id=how, model=None, weights=lease.ref, step=0, input=X, target=1,
                task=Classification(2),
                method="consensus", samples=8, sigma=0.1, layer=None, seed=0, checks=False,
            ),
            60,
        )  # fmt: skip
    snapshots.close()
    assert isinstance(answer, JobResult), answer
    for method in METHODS:
        shown = expected[method] - expected[method].min()
        shown = shown / shown.max()
        assert np.corrcoef(getattr(answer, method).ravel(), shown.ravel())[0, 1] > 0.99
    # The user's own class and cloudpickle's own list are as they were.
    assert {n: vars(type(model))[n] for n in before} == before
    assert by_value.cloudpickle.list_registry_pickle_by_value() == registered


def test_what_can_be_imported_travels_by_name():
    data = structure(nn.Sequential(PlainCNN(), nn.ReLU()))
    assert b"attribution_models" in data
    assert len(data) < 5000
    for name in ("torch", "torch._C._nn", "os.path", "collections.abc", "builtins", "sys",
                 "coflect_widget.attribution.worker", "attribution_models"):  # fmt: skip
        assert name not in sys.modules or by_value.importable(name), name


def test_rebuilding_a_class_of_a_cell_does_not_write_over_it():
    cell = {"__name__": "__main__"}
    exec(
        textwrap.dedent("""
        import torch
        SCALE = 1.0
        class Cell(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 2)
            def forward(self, x):
                return self.layer(x) * SCALE
        """),
        cell,
    )
    model = cell["Cell"]()
    forward = cell["Cell"].forward
    load(structure(model))
    assert cell["Cell"].forward is forward
    cell["SCALE"] = 0.0  # the next cell
    assert float(model(torch.ones(1, 2)).abs().sum()) == 0


def test_a_module_that_no_worker_finds_is_named_with_the_way_out(folder):
    text = NET + (
        "class Own(dict):\n    def __reduce__(self):\n        return 'TABLE'\nTABLE = Own()\n"
    )
    (folder / "elsewhere_odd").mkdir()
    model = imported(folder / "elsewhere_odd", text, "elsewhere_odd_net")
    sys.path.remove(str(folder / "elsewhere_odd"))
    model.table = sys.modules["elsewhere_odd_net"].TABLE  # pickled by its name alone
    with pytest.raises(ModelNotSendableError, match=r"'elsewhere_odd_net'.*sys.path.append"):
        structure(model)
    sys.path.append(str(folder / "elsewhere_odd"))  # as it says
    assert structure(model)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT


COMPUTED = {
    "weight norm": lambda m: [parametrizations.weight_norm(m[k]) for k in (0, 2)],
    "spectral norm": lambda m: [parametrizations.spectral_norm(m[k]) for k in (0, 2, 6)],
    "orthogonal": lambda m: parametrizations.orthogonal(m[6]),
    "orthogonal, Cayley": lambda m: parametrizations.orthogonal(m[6], orthogonal_map="cayley"),
    "old weight norm": lambda m: nn.utils.weight_norm(m[0]),
    "old spectral norm": lambda m: [nn.utils.spectral_norm(m[k]) for k in (0, 2)],
    "pruning": lambda m: prune.l1_unstructured(m[2], "weight", amount=0.4),
    "one's own": lambda m: parametrize.register_parametrization(m[2], "weight", Symmetric()),
    "two on one weight": lambda m: [
        parametrize.register_parametrization(m[2], "weight", Symmetric()),
        parametrizations.spectral_norm(m[2]),
    ],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*deprecated.*")
@pytest.mark.parametrize("how", COMPUTED)
def test_a_weight_that_is_computed_gives_the_maps_of_the_model_itself(how):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    COMPUTED[how](model)
    explainer = ModelExplainer(load(structure(model)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(3):  # training goes on after the structure was sent
        optimizer.zero_grad()
        model.train()(torch.rand(8, 3, 16, 16)).square().mean().backward()
        optimizer.step()
        now = {name: array.copy() for name, array in views(model).items()}
        explainer.load_weights(now)
        found = explainer.explain(X[None], 1, METHODS, 8, 0.1, None, 0)
        assert_same_maps(found, in_process(model))
        assert "parametrizations" not in found["layer"]
    explainer.randomise(0)
    random = explainer.explain(X[None], 1, METHODS, 8, 0.1, None, 0)
    assert all(np.isfinite(random[m]).all() and random[m].max() > 0 for m in METHODS)
    explainer.load_weights({name: value * 3 for name, value in now.items()})
    explainer.randomise(0)  # whatever was there before
    again = explainer.explain(X[None], 1, METHODS, 8, 0.1, None, 0)
    if how not in ("pruning", "orthogonal", "orthogonal, Cayley"):  # their buffers stay
        for method in METHODS:
            np.testing.assert_allclose(again[method], random[method], rtol=1e-3, atol=1e-6)
    explainer.load_weights(now)
    assert_same_maps(explainer.explain(X[None], 1, METHODS, 8, 0.1, None, 0), in_process(model))


def test_a_model_that_no_worker_can_rebuild_is_said_before_the_first_click(
    folder, make_session, monkeypatch
):
    text = f"import os\nif os.getpid() != {os.getpid()}:\n    import elsewhere_license\n" + NET
    model = imported(folder, text, "elsewhere_licensed")
    monkeypatch.setattr(by_value, "_began", lambda: float("inf"))  # the file is an old one
    session = make_session(model=nn.Sequential(model, nn.Linear(3, 4)))
    text = eventually(lambda: [e.data["text"] for e in session.events("notice")])[0]
    assert text.startswith("Training works, overlays do not: the model cannot be rebuilt")
    assert "'elsewhere_license'" in text
    assert "sys.path" in text
    session.train(steps=2)
    assert session.wait(240)


def test_a_session_of_a_hub_model_makes_maps_without_a_word(folder, make_session):
    session = make_session(model=nn.Sequential(from_hub(folder), nn.Linear(3, 4)))
    session.train(steps=2)
    session.wait(240)
    assert session.explain(3, timeout=60).map.shape == (32, 32)
    assert not [e for e in session.events("notice") if e.data.level != "info"]
