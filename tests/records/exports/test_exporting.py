"""Exports of a run: from a checkpoint, with a card, promoted under versions."""

import json
import threading

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch

import coflect_widget as coflect
from coflect_widget.backends.portable import ExportError
from coflect_widget.records.exports.onnx_files import open_onnx
from coflect_widget.records.exports.promoting import promote
from coflect_widget.records.reopened import Reopened
from tests.conftest import eventually, tiny_cnn

NASTY = "<b>bold</b> | [x](http://x) `code`"


@pytest.fixture(scope="module")
def data():
    return coflect.data.synthetic(n=96), coflect.data.synthetic(n=64, seed=1)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run that a person has steered, and its model as it was at the end."""
    folder = tmp_path_factory.mktemp("runs")
    model = tiny_cnn()
    session = coflect.Session(
        model, *data, classes=["a", NASTY, "c", "d"], run_dir=folder,
        optimizer=torch.optim.Adam(model.parameters(), 0.01),
    )  # fmt: skip
    session.train(epochs=3)
    session.wait(300)
    kept = session.feedback(sample=0, ignore=(0.0, 0.0, 0.5, 0.5))
    session.undo(session.feedback(sample=1, look=(0.5, 0.5, 1.0, 1.0)).id)
    session.checkpoint("mine")
    session.close()
    return coflect.open_run(session.run.path), model.eval(), kept


def test_onnx_from_a_checkpoint_with_eight_bits_and_a_card(trained, data):
    run, model, kept = trained
    other = tiny_cnn(seed=7)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    made = run.export("onnx", other, data[1], checkpoint="mine", quantise="int8")
    assert made.file == run.path / "exports" / "export_001" / "model.onnx"
    assert made.difference <= 1e-4
    assert made.rows == 64
    assert f"largest difference from the model on 64 inputs: {made.difference:.2g}" in str(made)
    after = other.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    x = np.stack([data[1][i][0] for i in range(5)])
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    assert np.abs(open_onnx(made.file)((x,)) - wanted).max() <= 1e-4

    small = made.quantised
    assert small.file.stat().st_size > 0
    assert made.difference < small.difference < 5, "eight bits are coarser, and the same model"
    assert abs(small.metrics["accuracy"] - made.metrics["accuracy"]) < 0.2
    assert small.metrics.keys() == made.metrics.keys()

    facts = json.loads((made.path / "export.json").read_text())
    assert facts["difference"] == made.difference
    assert facts["step"] == made.step == run.checkpoints["mine"].step
    text = (made.path / "README.md").read_text()
    card = huggingface_hub.ModelCard(text)
    assert card.data.to_dict()["library_name"] == "onnx"
    assert kept.understood.replace("(", "\\(").replace(")", "\\)") in text.replace("\\.", ".")
    assert "undone" in text
    assert "<b>" not in text
    assert "](http" not in text
    for part in ("Checkpoint", "Training samples", "accuracy, of model_int8", "Fingerprint"):
        assert part.replace("_", "\\_") in text


def test_best_last_and_weights_alone(trained, data):
    run, model, _ = trained
    best = run.export("torchscript", tiny_cnn(), data[0])
    assert best.step == run.checkpoints.best.step
    weights = run.export("safetensors", checkpoint="last")
    found = safetensors.torch.load_file(weights.file)
    state = model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert weights.difference is None
    assert best.path != weights.path


def test_what_cannot_be_exported_leaves_nothing(trained, data, tmp_path):
    run, _, _ = trained
    before = sorted((run.path / "exports").iterdir())
    with pytest.raises(ValueError, match="needs model= and data=: a model such as the run"):
        run.export("onnx")
    with pytest.raises(ValueError, match="known are: 'onnx', 'torchscript', 'keras'"):
        run.export("onxx", tiny_cnn(), data[1])
    with pytest.raises(ValueError, match="this model can be exported as"):
        run.export("keras", tiny_cnn(), data[1])
    with pytest.raises(ValueError, match="'best', 'last', 'mine'"):
        run.export("onnx", tiny_cnn(), data[1], checkpoint="mien")
    with pytest.raises(ValueError, match=r"of shape \(16|no weight"):
        run.export("torchscript", torch.nn.Sequential(*tiny_cnn(), torch.nn.Linear(4, 4)), data[1])
    with pytest.raises(ExportError, match="gives other outputs"):
        run.export("torchscript", tiny_cnn(), data[1], tolerance=-1.0)
    with pytest.raises(ValueError, match='is for "onnx"'):
        run.export("torchscript", tiny_cnn(), data[1], quantise="int8")
    assert sorted((run.path / "exports").iterdir()) == before


@pytest.mark.slow
def test_a_model_in_training_is_exported_beside_it(make_session, data, monkeypatch):
    readers, rows = [], Reopened.rows

    def watched(opened, count):
        readers.append(threading.current_thread())
        return rows(opened, count)

    monkeypatch.setattr(Reopened, "rows", watched)
    session = make_session(val=data[1])
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3, 300)
    made = session.export("torchscript")
    assert session.state == "training"
    assert made.difference <= 1e-4
    assert readers == [threading.current_thread()], "training waited while samples were read"
    # where reading draws random numbers, training does it between two steps
    session._backend.val_source.draws_random_numbers = True
    session.export("torchscript")
    assert readers[1] is not threading.current_thread()
    session.stop()
    first = made.step
    assert 3 <= first < session.metrics["step"]
    assert session.export("safetensors").step == session.metrics["step"]


# --- promoted ------------------------------------------------------------------------------------


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export_001"
    folder.mkdir()
    for name in ("model.onnx", "model_int8.onnx", "export.json", "README.md"):
        (folder / name).write_text(f"{name} first")
    return folder


def files(export):
    return [export / "model.onnx", export / "model_int8.onnx"]


def test_versions_are_never_overwritten(export, tmp_path):
    root = tmp_path / "exports"
    first = promote(export, files(export), "net", "digits", root, None)
    assert first == root / "digits" / "net_v1.onnx"
    (export / "model.onnx").write_text("second")
    assert promote(export, files(export), "net", "digits", root, None).name == "net_v2.onnx"
    assert promote(export, files(export), "net", "digits", root, 7).name == "net_v7.onnx"
    assert promote(export, files(export), "net", "digits", root, None).name == "net_v8.onnx"
    assert promote(export, files(export), "net", "other", root, None).name == "net_v1.onnx"
    with pytest.raises(FileExistsError, match="is not overwritten"):
        promote(export, files(export), "net", "digits", root, 1)
    assert first.read_text() == "model.onnx first"
    assert {path.name for path in first.parent.glob("net_v1*")} == {
        "net_v1.onnx", "net_v1_int8.onnx", "net_v1.json", "net_v1.md",
    }  # fmt: skip
    assert not list(first.parent.glob(".*"))


def test_many_at_once_get_a_version_each(export, tmp_path):
    found, ready = [], threading.Barrier(8)

    def make():
        ready.wait(60)
        found.extend(
            promote(export, files(export), "net", "p", tmp_path / "x", None) for _ in range(5)
        )

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({path.name for path in found}) == 40
    assert all(path.read_text() == "model.onnx first" for path in found)


@pytest.mark.parametrize("name", ["", "../net", "a/b", ".net", "x" * 65, None])
def test_names_that_lead_elsewhere(export, tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits"):
        promote(export, files(export), name, "p", tmp_path / "x", None)
    with pytest.raises(ValueError, match="letters, digits"):
        promote(export, files(export), "net", name, tmp_path / "x", None)
