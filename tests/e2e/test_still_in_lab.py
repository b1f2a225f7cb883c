"""What is left below the dashboard: hidden while it is alive, shown where no kernel is."""

import json

import nbformat
import pytest

from tests.conftest import eventually
from tests.e2e.lab import Parts, chromium, run_cell, write_notebook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TRAIN = (
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "data = coflect.data.synthetic(n=256)\n"
    "session = coflect.Session(tiny_cnn(), data, data, run_dir='runs', config={'log_every': 1})\n"
    "session.train(epochs=100_000)\n"
    "session"
)
STILL = ".jp-Notebook .coflect-still"
#: Whatever becomes of the dashboard's element, and of its connection.
WATCH = """
root => {
  root.mark = "the same";
  window.seen = [root.dataset.connection];
  new MutationObserver(() => window.seen.push(root.dataset.connection))
    .observe(root, { attributeFilter: ["data-connection"] });
  window.gone = 0;
  new MutationObserver(changes => {
    for (const change of changes)
      for (const node of change.removedNodes) if (node.contains(root)) window.gone += 1;
  }).observe(root.closest(".jp-OutputArea"), { subtree: true, childList: true });
}
"""


@pytest.mark.slow
def test_it_is_hidden_while_the_dashboard_lives_and_stands_there_without_a_kernel(tmp_path, server):
    root = tmp_path
    cells = [TRAIN, "session.pause()", "session.explain(3)", "session.stop()\nsession.close()"]
    write_notebook(root / "live.ipynb", cells)
    with chromium() as page:
        server.open(page, root / "live.ipynb")
        run_cell(page, 0)
        view = page.locator(".jp-Notebook [data-testid=cw-root][data-connection=live]")
        view.wait_for(timeout=60_000)
        still = page.locator(STILL)
        still.wait_for(state="attached", timeout=30_000)
        assert not still.is_visible()
        eventually(lambda: Parts(view).step() > 3, what="a training")
        view.evaluate(WATCH)
        run_cell(page, 1)
        eventually(lambda: "paused after step" in still.text_content(), what="the pause below")
        assert not still.is_visible()
        run_cell(page, 2)
        own = page.locator(".jp-Notebook .jp-Cell").nth(2).locator("img")
        own.last.wait_for(timeout=90_000)
        assert own.count() == 3
        run_cell(page, 3)
        eventually(lambda: "stopped after step" in still.text_content(), what="the end below")
        # the live view was neither made anew nor did it lose its kernel
        assert view.evaluate("root => root.mark") == "the same"
        assert page.evaluate("window.gone") == 0
        assert set(page.evaluate("window.seen")) == {"live"}
        assert not still.is_visible()
        page.keyboard.press("Control+s")
        saved = root / "live.ipynb"
        eventually(lambda: "stopped after step" in saved.read_text(), what="a saved notebook")

    # as a person has it whose JupyterLab does not save the widgets' state, which is the usual
    notebook = json.loads(saved.read_text())
    assert len(notebook["cells"][0]["outputs"]) == 2
    notebook["metadata"].pop("widgets", None)
    nbformat.write(nbformat.from_dict(notebook), root / "later.ipynb")
    with chromium() as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        server.open(page, root / "later.ipynb")
        still = page.locator(STILL)
        still.wait_for(timeout=30_000)
        assert "stopped after step" in still.inner_text()
        pictures = still.locator("img")
        assert pictures.count() >= 2
        sizes = pictures.evaluate_all("all => all.map(e => e.naturalWidth)")
        assert all(size > 0 for size in sizes)
        assert page.locator(".jp-Notebook [data-testid=cw-root]").count() == 0
        assert [url for url in asked if "127.0.0.1" not in url and url[:5] != "data:"] == []
