"""`import coflect_widget` imports no room of the house; a public name imports its own."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import coflect_widget as coflect

ROOT = Path(coflect.__file__).parent


def imported(code):
    """Modules that a process of its own has imported after this code."""
    code += "\nimport json, sys; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_import_brings_no_room_and_no_library():
    found = imported("import coflect_widget; dir(coflect_widget)")
    ours = {name for name in found if name.partition(".")[0] == "coflect_widget"}
    assert ours == {"coflect_widget", "coflect_widget.screens"}
    assert not {"numpy", "pydantic", "yaml", "torch", "sklearn", "anywidget"} & found


def test_a_name_brings_its_room():
    found = imported("import coflect_widget as c; c.Config")
    assert "coflect_widget.config" in found
    assert not {"coflect_widget.session", "coflect_widget.ui", "numpy"} & found


def test_type_checkers_are_told_each_name_and_where_it_is():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    told = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for one in node.body:
                for alias in one.names:
                    assert alias.asname == alias.name, "as the same name, or it is not exported"
                    told[alias.name] = one.module.removeprefix("coflect_widget").removeprefix(".")
    homes = {
        name: home.rstrip(".").rpartition(".")[0] if home.endswith(".") else home
        for name, home in coflect._HOMES.items()
    }
    assert told == homes


@pytest.mark.parametrize("name", coflect.__all__)
def test_each_public_name_is_there(name):
    assert name in dir(coflect)
    assert getattr(coflect, name) is not None
    # a module of that name would take the place of what is meant, once something imports it
    taken = (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()
    assert taken == (coflect._HOMES[name] == f"{name}.")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        coflect.Sesion  # noqa: B018
