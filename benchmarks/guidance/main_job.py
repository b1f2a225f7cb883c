"""The README's figures on the main job: the trap and the rescue, and cats and dogs.

    python benchmarks/guidance/main_job.py [--data-root DIR]

Runs the scripts of examples/hitl with their defaults, under a line that names machine and day.
Without --data-root, the folder that holds cifar-10-batches-bin, only the digits are run.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "hitl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root")
    root = parser.parse_args().data_root
    with tempfile.TemporaryDirectory() as folder:
        run("run_quickstart.py", "--run-dir", folder)
        if root is not None:
            run("run_cats_and_dogs.py", "--run-dir", folder, "--data-root", root)


def run(script: str, *arguments: str) -> None:
    """Run one example as a user would, in this process."""
    print(f"\n{script}: {describe()}", flush=True)
    sys.argv = [script, *arguments]
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


if __name__ == "__main__":
    main()
