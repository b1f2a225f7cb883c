"""What varies by itself stands behind its protocol, and nothing else branches on it."""

import ast
from functools import cache
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
    "projects/quickstart/goals/classes.py": "asks scikit-learn for its logistic estimator",
    "projects/quickstart/goals/values.py": "what is learned of a target that is a number",
    "data/arrays.py": "checks labels of a data set beside its names, before there is a model",
}
NAMES = ("num_classes", "regression")


@cache
def parsed(file: Path) -> ast.Module:
    """The code of a file; several tests look at all of the package."""
    return ast.parse(file.read_text(encoding="utf-8"))


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
        names = named(parsed(file))
        if names and place not in EXPLAINED:
            found[place] = names
    assert not found, "ask the task instead (coflect_widget/tasks/base.py)"
    assert all((PACKAGE / place).exists() for place in EXPLAINED)


@pytest.mark.parametrize("place", EXPLAINED)
def test_exceptions_that_are_none_any_more_are_taken_off(place):
    assert named(parsed(PACKAGE / place))


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
        for node in ast.walk(parsed(file)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert not roots & {"torch", "keras", "tensorflow", "jax"}, file.name
            own = [name for name in names if name.startswith("coflect_widget.")]
            assert all(name.startswith("coflect_widget.tasks") for name in own), file.name


FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "captum", "lightning", "transformers"}
#: Rooms that import a framework, and a file elsewhere that does.
OF_FRAMEWORKS = (
    "backends/torch/", "backends/keras/", "integrations/", "projects/demo_model.py",
    "projects/architectures.py", "projects/quickstart/networks/",
)  # fmt: skip


def test_frameworks_are_imported_in_their_own_rooms_alone():
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(parsed(file)):
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
        for node in ast.walk(parsed(file)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("hasattr", "getattr") and node.args:
                asked = ast.unparse(node.args[0])
                if asked.rpartition(".")[2].strip("_") in ("backend", "engine"):
                    found.add(f"{file.relative_to(PACKAGE).as_posix()}: {ast.unparse(node)}")
    assert not found


# --- what an input is -----------------------------------------------------------------------------

#: Rooms that may know height and width: pictures' own, and data sets of pictures.
OF_PICTURES = ("modalities", "data")
#: Files elsewhere, and why they know pictures all the same.
EXPLAINED_PICTURES = {
    "attribution/methods.py": "what an explainer takes where nobody says",
    "attribution/timeline.py": "runs of before other inputs are of pictures",
    "attribution/worker.py": "what a model takes where nobody says",
    "backends/keras/kinds.py": "which of its inputs are pictures, and where their channels are",
    "backends/in_batches.py": "what data in batches call their pictures",
    "backends/layers.py": "which layers' outputs are maps of a picture",
    "backends/named_items.py": "what is said of texts",
    "backends/keras/several.py": "where the channels of a picture stand among several inputs",
    "backends/torch/arrays.py": "whole numbers of pictures are scaled",
    "backends/torch/checks.py": "where a torch model has its channels",
    "events/run.py": "runs of before other inputs are of pictures",
    "guidance/ledger.py": "ledgers of before other inputs are of pictures",
    "projects/demo_model.py": "makes a model of its own",
    "projects/quickstart/inputs/pictures.py": "what pictures in files and arrays are",
    "projects/quickstart/networks/made.py": "makes models of its own",
    "projects/quickstart/networks/picture.py": "makes a model of its own",
    "records/cells.py": "what a cell shows is a picture, whatever it is of",
    "records/pictures.py": "what lies in a run folder is a picture, whatever it is of",
    "records/sinks/tensorboard.py": "an image of TensorBoard has its height and width beside it",
    "records/sketches/parts.py": "of several inputs one may be a picture",
    "records/sketches/series.py": "the sketch of a curve is a picture",
    "ui/protocol.py": "a browser draws a picture with cells of a map on it, whatever it is of",
    "ui/still.py": "a chart is a picture, and a browser draws cells of a map on one",
    "ui/explained.py": "a browser draws a picture with cells of a map on it, whatever it is of",
}
SIDES = {"height", "image_size", "picture_shape", "rasterise", "x0", "x1", "y0", "y1"}
AXES = ((1, 2), (2, 3), (-2, -1))


def literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def of_pictures(tree: ast.Module) -> set[str]:
    """What in the code is about pictures alone: names of sides, two axes, their kind, imports."""
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name in SIDES:
                found.add(name)
        if isinstance(node, ast.Constant) and node.value in ("image", *SIDES):
            found.add(repr(node.value))
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            found |= {str(axes) for arg in given if (axes := literal(arg)) in AXES}
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            ours = "coflect_widget.modalities.image"
            found |= {name for name in named if name.lower().startswith(ours)}  # IMAGE too
    return found


def files_elsewhere() -> list[Path]:
    return [
        file
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).parts[0] not in OF_PICTURES
    ]


def test_only_modalities_know_what_a_picture_is():
    found = {}
    for file in files_elsewhere():
        place = file.relative_to(PACKAGE).as_posix()
        said = of_pictures(parsed(file))
        if said and place not in EXPLAINED_PICTURES:
            found[place] = said
    assert not found, "ask the modality instead (coflect_widget/modalities/base.py)"


@pytest.mark.parametrize("place", EXPLAINED_PICTURES)
def test_files_that_know_pictures_no_more_are_taken_off(place):
    assert of_pictures(parsed(PACKAGE / place))


@pytest.mark.parametrize(
    "code",
    ["height, width = x.shape[-2:]", "def f(image_size): pass", "backend.image_size",
     "x.sum((1, 2))", "f(axis=(-2, -1))", "if modality.name == 'image': pass",
     "f(x0=0)", "d['height']",
     "from coflect_widget.modalities import IMAGE",
     "from coflect_widget.modalities.image.regions import Box"],
)  # fmt: skip
def test_each_way_to_know_a_picture_is_seen(code):
    assert of_pictures(ast.parse(code))


def test_what_any_input_has_is_not_taken_for_a_picture():
    code = "mask = modality.mask(region, extent)\nif len(item) in (2, 3): pass\nwidth = task.width"
    assert not of_pictures(ast.parse(code))
