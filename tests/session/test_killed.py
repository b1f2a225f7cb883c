"""Processes that are killed for good, and resumed; `benchmarks/resume` does it more often."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.resume import kills as kills_script
from benchmarks.resume.kills import kills

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and killed"),
    pytest.mark.timeout(600),
]


@pytest.mark.slow
def test_killed_in_a_batch_a_validation_and_a_checkpoint_it_ends_the_same():
    done, equal, most, differs = kills("torch", 3, seed=2)
    assert [moment for moment, _, _ in done] == ["batch", "validation", "writing"]
    assert equal, most
    assert differs == []


def test_what_was_acknowledged_is_on_disk():
    # In a process of its own, because it forks: a fork of this one might inherit a held lock.
    script = Path(kills_script.__file__)
    said = subprocess.check_output(
        [sys.executable, script, "--parts", "ledger", "--count", "3"], text=True
    )
    [acknowledged, lost] = re.search(r"3 kills, (\d+) acknowledged, (\d+) lost", said).groups()
    assert int(acknowledged) >= 4
    assert lost == "0"
