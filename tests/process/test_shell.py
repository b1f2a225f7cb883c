"""Whether this process is a notebook, asked while IPython may still be on its way."""

import sys
import types

import pytest

from coflect_widget.process.shell import shell_here


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        (None, None),
        (types.SimpleNamespace(), None),  # another thread is in the middle of its import
        (types.SimpleNamespace(get_ipython=lambda: None), None),
        (types.SimpleNamespace(get_ipython=lambda: "shell"), "shell"),
    ],
)
def test_a_shell_is_there_once_ipython_is(monkeypatch, loaded, expected):
    monkeypatch.setitem(sys.modules, "IPython", loaded)
    assert shell_here() == expected
