"""A file gives what the model gives, and what cannot be a file is refused with the reason."""

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.backends.portable import ExportError
from coflect_widget.backends.torch.structure import structure
from coflect_widget.records.exports.onnx_files import open_onnx
from coflect_widget.records.exports.writing import write
from coflect_widget.records.reopened import Way
from tests.records.exports.architectures import ARCHITECTURES, Branches, Eigenvalues, made

PORTABLE = "coflect_widget.backends.torch.portable:TorchPortable"


def way_of(model):
    """As a checkpoint has the model; its own weights change afterwards."""
    weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    return Way(PORTABLE, structure(model), weights, {})


def check_parity(name, tmp_path):
    model, inputs = made(name)
    found = write(way_of(model), "onnx", tmp_path / "model.onnx", inputs)
    assert found.rows == 8
    assert 0 <= found.difference <= 1e-4
    with torch.no_grad():
        output = model.eval()(*(torch.from_numpy(x[:5]) for x in inputs))
    wanted = (output["logits"] if isinstance(output, dict) else output).numpy()
    given = open_onnx(tmp_path / "model.onnx")(tuple(x[:5] for x in inputs))
    assert np.abs(wanted).max() > 1e-2
    assert np.abs(given - wanted).max() <= 1e-4


@pytest.mark.parametrize("name", ["text transformer"])
def test_onnx_gives_what_the_model_gives(name, tmp_path):
    check_parity(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"text transformer"}))
def test_onnx_gives_what_models_of_other_kinds_give(name, tmp_path):
    check_parity(name, tmp_path)


def test_ten_architectures():
    assert len(ARCHITECTURES) == 10


@pytest.mark.parametrize("name", ["demo", "table", "lstm", "two inputs"])
def test_torchscript_gives_what_the_model_gives(name, tmp_path):
    model, inputs = made(name)
    assert write(way_of(model), "torchscript", tmp_path / "model.pt", inputs).difference <= 1e-4


def test_a_batch_whose_length_became_a_constant_is_refused(tmp_path):
    model, inputs = made("vision transformer")
    with pytest.raises(ExportError, match=r"batch of \d.*write x.shape\[0\]"):
        write(way_of(model), "torchscript", tmp_path / "model.pt", inputs)


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_two_ways_through_a_model_are_refused(form, tmp_path):
    inputs = (np.ones((8, 6), np.float32),)
    with pytest.raises(ExportError, match=r"asks for the value of a tensor.*torch\.where"):
        write(way_of(Branches()), form, tmp_path / "model", inputs)


@pytest.mark.slow
def test_an_operator_that_the_format_lacks_is_named(tmp_path):
    inputs = (np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32),)
    with pytest.raises(ExportError, match=r"no such operator as 'aten\.linalg_eig'"):
        write(way_of(Eigenvalues()), "onnx", tmp_path / "model.onnx", inputs)


def test_weights_of_another_model_are_refused():
    way = way_of(nn.Linear(6, 3))
    other = Way(PORTABLE, structure(nn.Linear(6, 4)), way.weights, {})
    with pytest.raises(ValueError, match=r"'(weight|bias)' is of shape"):
        other.model()
    lacking = Way(PORTABLE, way.structure, {"weight": way.weights["weight"]}, {})
    with pytest.raises(ValueError, match="no weight 'bias'"):
        lacking.model()


def test_a_framework_without_the_format(tmp_path):
    with pytest.raises(ValueError, match="can be exported as 'onnx', 'torchscript', 'safetensors'"):
        write(way_of(nn.Linear(6, 3)), "keras", tmp_path / "m", (np.ones((8, 6), np.float32),))
