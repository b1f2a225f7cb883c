"""What varies by itself stands behind its protocol, and nothing else branches on it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "coflect_widget"
#: Rooms that may know how many classes there are, or that there are none.
ROOMS = ("tasks", "backends")
#: Files elsewhere, and why they name it all the same.
EXPLAINED = {
    "session/session.py": "hands the number of names in classes= to the factory of a backend",
    "projects/demo.py": "makes a model of its own",
    "projects/demo_model.py": "makes a model of its own",
    "data/arrays.py": "checks labels of a data set beside its names, before there is a model",
}
NAMES = ("num_classes", "regression")


def named(tree: ast.Module) -> set[str]:
    """Which of `NAMES` the code has in names, attributes, arguments and what it says."""
    said = set()
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and id(node) not in documents:
                said.add(node.value)
        else:
            fields = ("id", "attr", "arg", "name", "module")
            said |= {v for f in fields if isinstance(v := getattr(node, f, None), str)}
    return {name for name in NAMES if any(name in text.lower() for text in said)}


def elsewhere() -> list[Path]:
    return [
        file
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).parts[0] not in ROOMS
    ]


def test_only_tasks_and_backends_ask_how_many_classes_there_are():
    found = {}
    for file in elsewhere():
        place = file.relative_to(PACKAGE).as_posix()
        names = named(ast.parse(file.read_text(encoding="utf-8")))
        if names and place not in EXPLAINED:
            found[place] = names
    assert not found, "ask the task instead (coflect_widget/tasks/base.py)"
    assert all((PACKAGE / place).exists() for place in EXPLAINED)


@pytest.mark.parametrize("place", EXPLAINED)
def test_exceptions_that_are_none_any_more_are_taken_off(place):
    assert named(ast.parse((PACKAGE / place).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "code",
    ["if not store.num_classes: pass", "f(num_classes=3)", "def f(num_classes): pass",
     "x = f'{backend.num_classes}'", "from a import Regression", "say('a regression')"],
)  # fmt: skip
def test_each_way_to_name_it_is_seen(code):
    assert named(ast.parse(code))
    assert not named(ast.parse('def f():\n    """Of a regression."""\n    # num_classes'))


def test_tasks_import_no_framework():
    for file in sorted((PACKAGE / "tasks").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert not roots & {"torch", "keras", "tensorflow", "jax"}, file.name
            own = [name for name in names if name.startswith("coflect_widget.")]
            assert all(name.startswith("coflect_widget.tasks") for name in own), file.name


FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "captum", "lightning", "transformers"}
#: Rooms that import a framework, and a file elsewhere that does.
OF_FRAMEWORKS = ("backends/torch/", "backends/keras/", "integrations/", "projects/demo_model.py")


def test_frameworks_are_imported_in_their_own_rooms_alone():
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if FRAMEWORKS & {name.partition(".")[0] for name in names}:
                found.add(place)
    assert not {place for place in found if not place.startswith(OF_FRAMEWORKS)}
    assert all(any(place.startswith(room) for place in found) for room in OF_FRAMEWORKS)


def test_only_one_file_asks_what_a_backend_has():
    """`backends/defaults.py` completes a backend; everybody else may call all of the protocol."""
    found = set()
    for file in elsewhere():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("hasattr", "getattr") and node.args:
                asked = ast.unparse(node.args[0])
                if asked.rpartition(".")[2].strip("_") in ("backend", "engine"):
                    found.add(f"{file.relative_to(PACKAGE).as_posix()}: {ast.unparse(node)}")
    assert not found
