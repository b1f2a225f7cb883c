"""One setting leaves the process alone: nothing is set that holds for all of it."""

import sys

import pytest

from coflect_widget.process import freed_memory, openmp
from coflect_widget.process.turns import TURN


class Library:
    """Notes what the C library, or OpenMP, would have been told."""

    def __init__(self):
        self.told = []

    def mallopt(self, *parameters):
        self.told.append("mallopt")

    def malloc_trim(self, pad):
        self.told.append("malloc_trim")

    def omp_pause_resource_all(self, how):
        self.told.append("omp_pause_resource_all")


@pytest.fixture
def told(monkeypatch):
    library = Library()
    monkeypatch.setattr(freed_memory, "_library", lambda: library)
    monkeypatch.setattr(freed_memory, "_keeping", set())
    monkeypatch.setattr(openmp, "_runtimes", [library])
    monkeypatch.setattr(openmp, "find_runtimes", lambda: library.told.append("find_runtimes"))
    monkeypatch.setattr(
        openmp, "release_after_each_cell", lambda: library.told.append("after_each_cell")
    )
    return library.told


@pytest.mark.parametrize("touch", [True, False])
def test_a_session_sets_something_for_the_process_only_where_it_may(make_session, told, touch):
    usual, turns = sys.getswitchinterval(), set()
    session = make_session(config={"process": {"touch": touch}})
    for _ in session.loop([()] * 2):
        turns.add(sys.getswitchinterval())
    session.train(steps=3)
    session.wait(240)
    session.explain(3)
    session.close()
    assert sys.getswitchinterval() == usual
    if touch:
        assert [*turns] == [pytest.approx(TURN)]
        assert set(told) == {
            "mallopt", "malloc_trim", "omp_pause_resource_all", "find_runtimes", "after_each_cell",
        }  # fmt: skip
    else:
        assert turns == {usual}
        assert told == []
