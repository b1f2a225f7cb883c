"""A search in a notebook: its trials live while the cell is busy, one pruned by hand."""

import pytest

import coflect_widget as coflect
from tests.conftest import eventually
from tests.e2e.lab import chromium, run_cell, write_notebook

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SEARCH = (
    "import coflect_widget as coflect\n"
    "experiment = coflect.Experiment(\n"
    "    data='patients', model='mlp', training={'epochs': 100_000, 'monitor': 'val_accuracy'},\n"
    ")\n"
    "sweep = coflect.tune(\n"
    "    experiment, {'training.lr': (1e-4, 1e-2, 'log')}, n_trials=2, pruner='none',\n"
    ")\n"
    "sweep"
)
ROOT = ".jp-Notebook [data-testid=cr-root]"


def test_a_trial_is_pruned_by_hand_while_the_cell_searches(tmp_path, server):
    write_notebook(tmp_path / "search.ipynb", [SEARCH])
    with chromium() as page:
        server.open(page, tmp_path / "search.ipynb")
        run_cell(page, 0)
        view = page.locator(ROOT)
        view.wait_for(timeout=120_000)
        state = view.get_by_test_id("cr-state")
        for number in (0, 1):  # each would train for hours
            prune = view.get_by_test_id(f"cr-prune-{number}")
            prune.wait_for(timeout=120_000)
            row = view.locator("tbody tr").nth(number)
            eventually(lambda row=row: row.locator("td").nth(1).inner_text() != "", 120)
            prune.click()
            said = f"Trial {number} is pruned: its training stops at the next step."
            view.get_by_text(said).wait_for(timeout=60_000)
            eventually(
                lambda n=number: f"{n + 1} pruned" in state.inner_text(), 60, what="a pruned trial"
            )
        eventually(lambda: state.inner_text().startswith("not searching"), 60, what="an end")
        assert view.count() == 1, "the cell that searched shows it once"
        assert not page.locator(".jp-Notebook .coflect-flat").is_visible()
        page.screenshot(path=tmp_path / "search.png")
    trials = coflect.Sweep(tmp_path / "sweeps" / "sweep").trials
    assert [trial.state for trial in trials] == ["pruned", "pruned"]
    assert all("pruned by" in trial.said for trial in trials)
