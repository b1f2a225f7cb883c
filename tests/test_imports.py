"""Imports point one way, each room to those below it, and no files import each other in turn."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "coflect_widget"
#: From the ground up; rooms of one line may import each other, files in a circle may not.
LEVELS = (
    ("events", "config", "native", "screens", "registry"),
    ("modalities", "tasks", "data"),
    ("records", "backends", "distributed"),
    ("telemetry", "workers", "process"),
    ("guidance", "forecast", "attribution", "training"),
    ("studies", "integrations"),
    ("session",),
    ("ui",),
    ("elsewhere",),
    ("projects", "experiments", "cli", "__init__"),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}


def modules():
    """Each module's name without the package's, and its code."""
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield name, ast.parse(file.read_text(encoding="utf-8"))


def imported(tree, known):
    """Modules of the package that the code imports, for types and within functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "imports name the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "coflect_widget":
                yield rest if rest in known else rest.rpartition(".")[0] or "__init__"


@pytest.fixture(scope="module")
def edges():
    """What each module imports of the package."""
    trees = dict(modules())
    return {name: set(imported(tree, trees)) - {name} for name, tree in trees.items()}


def room(module):
    return module.partition(".")[0]


def upward(edges):
    return {
        (module, other)
        for module, others in edges.items()
        for other in others
        if LEVEL[room(other)] > LEVEL[room(module)]
    }


def circles(edges):
    """Modules that import each other in turn (Tarjan's strongly connected parts)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            cut = stack.index(node)
            if len(stack) - cut > 1:
                found.append(sorted(stack[cut:]))
            del stack[cut:]

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_each_room_has_its_level(edges):
    assert {room(module) for module in edges} <= set(LEVEL)


def test_imports_point_one_way(edges):
    assert not upward(edges)


def test_no_circle(edges):
    assert not circles(edges)


@pytest.mark.parametrize(
    ("edges", "found"),
    [({"a": {"b"}, "b": {"a"}}, [["a", "b"]]), ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
     ({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}, [["b", "c"]])],
)  # fmt: skip
def test_a_circle_is_seen(edges, found):
    assert circles(edges) == found


def test_an_import_upward_is_seen():
    assert upward({"tasks.base": {"session.desk"}, "ui.view": {"events"}}) == {
        ("tasks.base", "session.desk")
    }
