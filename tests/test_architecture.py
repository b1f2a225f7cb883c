"""docs/architecture.md names places in the code: they exist, and no way through it is too long."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`([a-z_/]+\.py):([A-Za-z_.]+)`", PAGE)))
WAYS = re.findall(r"^\*\*(.+)\*\*\n\n((?:\d+\. .+\n)+)", PAGE, re.MULTILINE)
MOST_HOPS = 10


def defined(tree, name):
    """Whether a module defines `Class.method`, `Class` or `function`."""
    first, _, rest = name.partition(".")
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in tree.body if isinstance(node, kinds) and node.name == first]
    return bool(found) and (not rest or any(defined(node, rest) for node in found))


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_a_place_that_is_named_exists(file, name):
    tree = ast.parse((ROOT / "coflect_widget" / file).read_text(encoding="utf-8"))
    assert defined(tree, name)


def test_four_ways_of_at_most_ten_hops():
    assert len(WAYS) == 4
    for title, lines in WAYS:
        assert len(lines.splitlines()) <= MOST_HOPS, title


def test_the_test_sees_what_is_missing():
    tree = ast.parse("class A:\n    def b(self): pass\ndef c(): pass")
    assert [defined(tree, n) for n in ("A", "A.b", "c", "A.c", "b")] == [True] * 3 + [False] * 2
