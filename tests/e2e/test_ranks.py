"""Two processes under torchrun are steered from a notebook that is killed, and from the next."""

import os
import signal

import pytest

from tests.conftest import eventually
from tests.distributed.test_torchrun import ended, served, started, steps_of
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    ready,
    recorded,
    run_cell,
    write_notebook,
)
from tests.e2e.test_elsewhere import CELL, stop

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def test_two_ranks_are_steered_as_one_from_two_notebooks(tmp_path, server):
    with started(tmp_path, "short") as process:  # no collective of the script may take 20 s
        run = served(tmp_path, process)
        for by in ("ada", "grace"):
            write_notebook(tmp_path / f"{by}.ipynb", [CELL.format(run=str(run), by=by)])
        with chromium() as page:
            server.open(page, tmp_path / "ada.ipynb")
            first = steer(page, shown(page), run, "ada", pause=60)
            os.kill(int((tmp_path / "ada").read_text()), signal.SIGKILL)
            step = newest(run)
            eventually(lambda: newest(run) > step, 120, "steps after the kernel's end")

            grace = (tmp_path / "grace.ipynb").relative_to(server.root)
            ready(page, f"{server.address}/notebooks/{grace}?token={server.token}")
            part = shown(page)
            assert part("ledger-item").count() == len(first)
            second = steer(page, part, run, "grace", pause=1)
            stop(part, run)
        mine, other = ended(tmp_path, process)
        assert process.returncode == 0, (tmp_path / "said").read_text()
    said = steps_of(mine, "intervention")
    assert [name for name, _ in said] == [*first, *second]
    for kind in ("intervention", "undo", "state"):
        assert steps_of(mine, kind) == steps_of(other, kind), kind
    assert [name for name, _ in steps_of(other, "undo")] == [first[0], second[0]]
    for same in ("weights", "momentum", "step", "lr"):
        assert mine[same] == other[same], same
    assert mine["lr"] == 0.05 / 4
    both = 2 * 16 * mine["step"]  # 16 samples a step in each
    assert 0.95 * both < mine["seen"] <= both
    assert (mine["finite"], mine["error"], other["error"]) == (True, "", "")


def newest(run):
    return max(one["step"] for one in recorded(run))


def shown(page):
    """Connect in the notebook that is open, and wait for a dashboard that trains."""
    run_cell(page, 0)
    part = Parts(page.locator(".jp-Notebook [data-testid=cw-root]").first)
    part.view.wait_for(timeout=90_000)
    part("state").get_by_text("Training").wait_for(timeout=90_000)
    return part


def steer(page, part, run, by, pause):
    """Choose, draw, pause for so many seconds, turn the rate, resume, undo; what was told."""
    before = len(recorded(run, "intervention"))
    step = part.step()
    eventually(lambda: part.step() > step, 120, "a later step on the screen")
    for name in ("metric-train-loss", "metric-val-loss"):
        eventually(lambda n=name: part(n).inner_text() not in ("", "\u2013"), 120, name)
    part("page-wrong").click()
    part("queue-item").first.hover()  # the list stands still under the pointer
    sample = int(part("queue-item").first.get_attribute("data-index"))
    part("queue-item").first.click()
    part.view.locator(f".cw-focus[data-sample='{sample}']").wait_for(timeout=120_000)
    part("tool-ignore").click()
    box = drag(page, part("picture"), (0.1, 0.2), (0.4, 0.5))
    part("submit").click()
    part("echo").get_by_text("Applied at step").wait_for(timeout=120_000)

    part("pause").click()
    part("state").get_by_text("Paused").wait_for(timeout=60_000)
    held = newest(run)
    page.wait_for_timeout(1000 * pause)
    assert newest(run) == held
    assert part("state").inner_text() == "Paused"
    if not part("knob-values").is_visible():
        part("knobs").locator("xpath=..").locator("summary").first.click()
    part("knob-values").locator("[data-knob=lr]").get_by_label("Halve").click()
    added = lambda: recorded(run, "intervention")[before:]  # noqa: E731
    eventually(lambda: len(added()) == 2, 60, "the knob on record")
    page.keyboard.press("Escape")  # the knobs lie over the ledger
    drawn, turned = (one["data"] for one in added())
    assert (drawn["sample"], drawn["author"], turned["author"]) == (sample, by, by)
    assert drawn["strokes"][0]["roi"]["box"] == pytest.approx(box, abs=0.03)
    assert [one["name"] for one in turned["knobs"]] == ["lr"]

    part("pause").click()
    part("state").get_by_text("Training").wait_for(timeout=60_000)
    eventually(lambda: part.step() > held + 1, 120, "later steps")
    entry = part.view.locator(f"[data-testid=cw-ledger-item][data-id='{drawn['id']}']")
    entry.get_by_role("button", name="Undo").click()
    entry.get_by_text("undone").wait_for(timeout=60_000)
    assert recorded(run, "undo")[-1]["data"]["id"] == drawn["id"]
    return [drawn["id"], turned["id"]]
