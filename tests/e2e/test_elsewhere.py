"""A notebook in JupyterLab shows and steers a training of a script, live, and knows its end."""

import pytest

from coflect_widget.elsewhere.connection import NAME
from tests.conftest import eventually
from tests.e2e.lab import (
    Parts,
    chromium,
    drag,
    jupyterlab,
    open_notebook,
    recorded,
    run_cell,
    write_notebook,
)
from tests.elsewhere.test_served import script

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CELL = (
    "import sys\n"
    "import coflect_widget as coflect\n"
    "session = coflect.connect({run!r}, by='ada')\n"
    "assert not {{'torch', 'tensorflow'}} & set(sys.modules)\n"
    "session"
)


def test_a_notebook_steers_a_training_of_a_script(tmp_path):
    with script(tmp_path / "runs") as (process, run):
        write_notebook(tmp_path / "steer.ipynb", [CELL.format(run=str(run))])
        with jupyterlab(tmp_path) as (address, token), chromium() as page:
            open_notebook(page, address, token, "steer.ipynb")
            run_cell(page, 0)
            view = page.locator(".jp-Notebook [data-testid=cw-root]").first
            view.wait_for(timeout=60_000)
            part = Parts(view)
            part("state").get_by_text("Training").wait_for(timeout=60_000)
            step = part.step()
            eventually(lambda: part.step() > step, 60, "a later step on the screen")
            part("pause").click()
            part("state").get_by_text("Paused").wait_for(timeout=20_000)
            part.look_at(3)
            part("tool-ignore").click()
            drag(page, part("picture"), (0.1, 0.2), (0.4, 0.5))
            part("submit").click()
            eventually(lambda: part("ledger-item").count() == 1, 60, "a ledger entry")
            (told,) = recorded(run, "intervention")
            assert (told["data"]["sample"], told["data"]["author"]) == (3, "ada")
            (stroke,) = told["data"]["strokes"]
            assert stroke["roi"]["box"] == pytest.approx([0.1, 0.2, 0.4, 0.5], abs=0.03)
            part("pause").click()
            part("state").get_by_text("Training").wait_for(timeout=20_000)
            eventually(lambda: part.step() > told["step"] + 1, 60, "later steps")
            assert (run / NAME).is_file()
            process.kill()
            view.get_by_text(f"The process {process.pid} that trained").wait_for(timeout=60_000)
            view.get_by_text("kernel gone").wait_for(timeout=10_000)
