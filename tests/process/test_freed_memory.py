"""What a step frees stays for the next one, until training ends."""

import json
import os
import platform
import subprocess
import sys

import pytest

from coflect_widget.process import freed_memory
from coflect_widget.process.freed_memory import KeptMemory

on_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told"
)

SCRIPT = """
import json, resource, sys, time
import psutil, torch
import coflect_widget as coflect
from torch import nn

def conv(width, wider):
    return nn.Sequential(nn.Conv2d(width, wider, 3, padding=1), nn.ReLU())

model = nn.Sequential(
    conv(3, 32), conv(32, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)
)
session = coflect.Session(model, coflect.data.synthetic(n=512), batch_size=64, run_dir=sys.argv[1])

def after(steps):
    step = session.metrics["step"] + steps
    while session.metrics["step"] < step:
        time.sleep(0.01)
    return session.metrics["step"], resource.getrusage(resource.RUSAGE_SELF).ru_minflt

session.train(steps=10**6)
first, before = after(30)
last, now = after(60)
during = psutil.Process().memory_info().rss
session.stop()
session.wait()
freed = during - psutil.Process().memory_info().rss
session.close()
print(json.dumps({"faults": (now - before) / (last - first), "freed": freed}))
"""


def trained(folder, **environment):
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUN"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=mine | environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@on_glibc
def test_a_step_finds_the_memory_of_the_one_before(tmp_path):
    kept = trained(tmp_path / "kept")
    # Whoever has chosen is left alone: with the library's own start value each step asks anew.
    chosen = trained(tmp_path / "chosen", MALLOC_TRIM_THRESHOLD_="131072")
    assert chosen["faults"] > 1000
    assert kept["faults"] < chosen["faults"] / 10
    assert kept["freed"] > 8 * 2**20  # one layer's output, and more


class Library:
    def __init__(self):
        self.told = []

    def mallopt(self, name, value):
        self.told.append(value)

    def malloc_trim(self, pad):
        self.told.append("trimmed")


def test_the_last_of_several_trainings_gives_back(monkeypatch):
    library = Library()
    monkeypatch.setattr(freed_memory, "_library", lambda: library)
    monkeypatch.setattr(freed_memory, "_keeping", set())
    first, second = KeptMemory(), KeptMemory()
    first.keep()
    first.keep()
    kept = list(library.told)
    second.keep()
    first.give_back()
    first.give_back()
    assert library.told == kept
    second.give_back()
    assert library.told.count("trimmed") == 1
    assert library.told[-1] == "trimmed"


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")],
)
def test_who_has_chosen_is_left_alone(monkeypatch, name, value):
    freed_memory._library.cache_clear()
    monkeypatch.setenv(name, value)
    assert freed_memory._library() is None
    freed_memory._library.cache_clear()


def test_another_c_library_is_left_alone(monkeypatch):
    freed_memory._library.cache_clear()
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert freed_memory._library() is None
    freed_memory._library.cache_clear()
