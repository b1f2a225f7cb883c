"""Makes the pictures in docs/images from the real thing: JupyterLab, a kernel, a training.

python docs/make_screenshots.py          (in the environment of `make setup`, with Chromium)
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import coflect_widget as coflect  # noqa: E402
from tests.e2e.lab import (  # noqa: E402
    Parts,
    chromium,
    drag,
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
FLIPPED = """import coflect_widget as coflect
from coflect_widget.projects.demo_model import small_resnet

digits = coflect.data.decoy_digits("train", square="none")
labels = digits.labels.copy()
labels[:30] = (labels[:30] + 1) % 10
session = coflect.Session(small_resnet(10), (digits.images, labels), classes=digits.classes)
session.train(epochs=40)
session"""
SIDE = "panel = session.sidebar()"
SAVE = "session.save_html('run.html')\nprint('saved')"
IMAGES = HERE / "images"


def main() -> None:
    for theme in ("light", "dark"):
        with tempfile.TemporaryDirectory() as folder:
            shoot(Path(folder), theme)
    with tempfile.TemporaryDirectory() as folder:
        labels(Path(folder))


def shoot(root: Path, theme: str) -> None:
    dark = theme == "dark"
    write_notebook(root / "digits.ipynb", [CELL, DRAW, SIDE, SAVE])
    with (
        jupyterlab(root, dark=dark) as (address, token),
        chromium(1640, 1280, dark=dark) as page,
    ):
        open_notebook(page, address, token, "digits.ipynb")
        page.keyboard.press("Control+b")  # the file browser takes room
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root]").first
        view.wait_for(timeout=60_000)
        part = Parts(view)
        run = next((root / "runs").iterdir())
        wait_for_step(run, 100)
        run_cell(page, 1)
        wait_for_step(run, 330)
        # every number settles while it is held
        part("pause").click()
        part.look_at(400)
        time.sleep(3)
        save(view, f"dashboard-{theme}")
        if not dark:
            strokes(page, part)
            alike(part)
        run_cell(page, 2)
        panel = page.locator("#jp-right-stack [data-testid=cw-root]")
        panel.wait_for(timeout=30_000)
        time.sleep(2)
        save(page, f"sidebar-{theme}")
        if not dark:
            cell = run_cell(page, 3)
            cell.get_by_text("saved", exact=True).wait_for(timeout=60_000)
            page.set_viewport_size({"width": 1000, "height": 1000})
            page.goto((root / "run.html").as_uri())
            page.locator("[data-testid=cw-root]").wait_for()
            time.sleep(1)
            save(page, "saved-light", full_page=True)


def strokes(page: Any, part: Parts) -> None:
    """A box that says "ignore", a polygon that says "look here", not yet submitted."""
    part.look_at(300)
    x0, y0, x1, y1 = (float(v) for v in coflect.data.decoy_digits("train").squares[300])
    part("tool-ignore").click()
    drag(page, part("picture"), (x0, y0), (x1, y1))
    part("tool-look").click()
    part("shape-polygon").click()
    place = part("picture").bounding_box()
    for x, y in ((0.4, 0.2), (0.68, 0.3), (0.66, 0.75), (0.36, 0.8), (0.3, 0.45), (0.4, 0.2)):
        page.mouse.click(place["x"] + x * place["width"], place["y"] + y * place["height"])
        time.sleep(0.4)
    save(part("focus"), "focus-light")


def alike(part: Parts) -> None:
    """What looks like a place that one intervention ignores, found in other samples."""
    part("ledger-item").first.get_by_role("button", name="Find alike").click()
    part("hits-text").get_by_text("Take out").wait_for(timeout=60_000)
    save(part.view.locator(".cw-list"), "alike-light")
    part("page-risk").click()


def labels(root: Path) -> None:
    """Samples whose label is suspected, with what a person can say of each."""
    write_notebook(root / "labels.ipynb", [FLIPPED])
    with jupyterlab(root) as (address, token), chromium(1640, 1280) as page:
        open_notebook(page, address, token, "labels.ipynb")
        page.keyboard.press("Control+b")
        run_cell(page, 0)
        part = Parts(page.locator(".jp-Notebook [data-testid=cw-root]").first)
        part.view.wait_for(timeout=60_000)
        run = next((root / "runs").iterdir())
        until = time.monotonic() + 240
        while not any(event["data"]["count"] >= 10 for event in recorded(run, "suspects")):
            if time.monotonic() > until:
                raise TimeoutError("no label is suspected")
            time.sleep(0.2)
        part("pause").click()
        part("page-suspects").click()
        part("queue-item").nth(1).click()
        part("judge").wait_for()
        time.sleep(3)
        save(part.view, "labels-light")


def save(what: Any, name: str, **how: Any) -> None:
    """Write a picture without loss, in half of the bytes that a PNG takes."""
    with Image.open(io.BytesIO(what.screenshot(**how))) as shot:
        shot.convert("RGB").save(IMAGES / f"{name}.webp", lossless=True, method=6)
    print("wrote", f"{name}.webp")


def wait_for_step(run: Path, step: int, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while max((event["step"] for event in recorded(run)), default=0) < step:
        if time.monotonic() > until:
            raise TimeoutError(f"step {step} was not reached")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
