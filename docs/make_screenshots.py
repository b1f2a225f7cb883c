"""Makes the pictures in docs/images from the real thing: JupyterLab, a kernel, a training.

python docs/make_screenshots.py          (in the environment of `make setup`, with Chromium)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.e2e.lab import (  # noqa: E402
    chromium,
    jupyterlab,
    open_notebook,
    recorded,
    run_cell,
    write_notebook,
)

CELL = """import coflect_widget as coflect

session = coflect.demo(config={"xai_every": 20})
session.train(epochs=16)
session"""
DRAW = """train = coflect.data.decoy_digits("train")
for sample in (0, 100, 200, 300, 400):
    session.feedback(sample=sample, ignore=tuple(train.squares[sample]))"""
SIDE = "panel = session.sidebar()"


def main() -> None:
    for theme in ("light", "dark"):
        with tempfile.TemporaryDirectory() as folder:
            shoot(Path(folder), theme)


def shoot(root: Path, theme: str) -> None:
    dark = theme == "dark"
    write_notebook(root / "digits.ipynb", [CELL, DRAW, SIDE])
    images = HERE / "images"
    with (
        jupyterlab(root, dark=dark) as (address, token),
        chromium(1640, 1280, dark=dark) as page,
    ):
        open_notebook(page, address, token, "digits.ipynb")
        page.keyboard.press("Control+b")  # the file browser takes room
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        run = next((root / "runs").iterdir())
        wait_for_step(run, 100)
        run_cell(page, 1)
        wait_for_step(run, 330)
        # every number settles while it is held
        view.locator("[data-testid=cw-pause]").click()
        view.locator("[data-testid=cw-explain-index]").fill("400")
        view.locator("[data-testid=cw-explain-index]").press("Enter")
        view.locator("[data-sample='400']").first.wait_for(timeout=60_000)
        time.sleep(3)
        view.screenshot(path=images / f"dashboard-{theme}.png")
        print("wrote", f"dashboard-{theme}.png")
        run_cell(page, 2)
        panel = page.locator("#jp-right-stack [data-testid=cw-root]")
        panel.wait_for(timeout=30_000)
        time.sleep(2)
        page.screenshot(path=images / f"sidebar-{theme}.png")
        print("wrote", f"sidebar-{theme}.png")


def wait_for_step(run: Path, step: int, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while max((event["step"] for event in recorded(run)), default=0) < step:
        if time.monotonic() > until:
            raise TimeoutError(f"step {step} was not reached")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
