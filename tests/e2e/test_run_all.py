"""Run All: the dashboard is live at once and steers while later cells are queued."""

import contextlib
import re
import time

import pytest

from tests import standin_data
from tests.conftest import eventually
from tests.e2e.lab import (
    HERE,
    Parts,
    Server,
    chromium,
    has_kernel,
    jupyterlab,
    recorded,
    write_notebook,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: Shows what four epochs do before anything is told.
ITS_OWN_LENGTH = ("01_torch_quickstart",)
EXAMPLES = sorted(path.stem for path in (HERE / "examples" / "hitl").glob("[0-9]*.ipynb"))
ROOT = "[data-testid=cw-root]"
SHOWN_BEFORE_A_LONG_CELL = [
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "data = coflect.data.synthetic(n=512)\n"
    "session = coflect.Session(tiny_cnn(), data, data, config={'log_every': 1})\n"
    "session.train(epochs=100_000)\n"
    "session",
    "import time\ntime.sleep(600)",
    "print('not yet')",
]
#: When a dashboard came into the page, and when it said that it is live.
STOPWATCH = """
window.dashboards = [];
const watches = new WeakMap();
new MutationObserver(() => {
  for (const root of document.querySelectorAll('[data-testid=cw-root]')) {
    let watch = watches.get(root);
    if (!watch) {
      watch = { shown: performance.now(), live: null };
      watches.set(root, watch);
      window.dashboards.push(watch);
    }
    if (root.dataset.connection === 'live') watch.live ??= performance.now();
  }
}).observe(document, { subtree: true, childList: true, attributeFilter: ['data-connection'] });
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server for both: Notebook 7's serves JupyterLab too. Each notebook has its folder."""
    root = tmp_path_factory.mktemp("run_all")
    for front in ("lab", "notebooks"):
        for name in EXAMPLES:
            folder = root / front / name
            folder.mkdir(parents=True)
            text = (HERE / "examples" / "hitl" / f"{name}.ipynb").read_text()
            if name not in ITS_OWN_LENGTH:  # it trains for as long as somebody steers
                text = re.sub(r"epochs=\d+", "epochs=1000", text)
            (folder / f"{name}.ipynb").write_text(text)
        folder = root / front / "busy"
        folder.mkdir()
        write_notebook(folder / "busy.ipynb", SHOWN_BEFORE_A_LONG_CELL)
    standin_data.write(root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COFLECT_DATA", str(root / "data"))
        patch.setenv("COFLECT_EPOCHS", "1000")
        with jupyterlab(root, module="notebook") as (address, token):
            yield Server(root, address, token)


@pytest.fixture(scope="module")
def browser():
    """One browser for all: JupyterLab's program is loaded once."""
    with chromium() as page:
        yield page.context.browser.new_context(viewport={"width": 1500, "height": 1100})


@contextlib.contextmanager
def opened(served, browser, front, name):
    """A page with one notebook that nothing was run in yet; its kernel is ended afterwards."""
    address, token = served.address, served.token
    path = f"{front}/{name}/{name}.ipynb"
    where = f"lab/workspaces/{name}/tree" if front == "lab" else front
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(STOPWATCH)
    page.goto(f"{address}/{where}/{path}?{'reset&' if front == 'lab' else ''}token={token}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    # The page calls a kernel idle before it has one, and asks which to take if cells are run.
    eventually(lambda: has_kernel(address, token, path), 90, what="a kernel")
    try:
        yield page, served.root / front / name
        assert not [e for e in errors if "cw" in e or "widget" in e.lower()], errors
    finally:
        page.close()
        served.end_kernels()


def choose(page, menu, entry):
    """Choose from the menu bar, as a person does."""
    page.locator(".lm-MenuBar-itemLabel", has_text=menu).first.click()
    page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


def run_all(page, front, *, restart=False):
    """Run All, or Restart & Run All; it is done by menu in both front ends."""
    if not restart:
        choose(page, "Run", "Run All Cells")
        return
    choose(page, "Run" if front == "lab" else "Kernel", "Restart Kernel and Run All Cells…")
    page.locator(".jp-Dialog .jp-mod-accept").click(timeout=10_000)


def live_dashboard(page):
    """The first dashboard of the page, once it trains; live within 3 s of being shown."""
    part = Parts(page.locator(f".jp-Notebook {ROOT}").first)
    part.view.wait_for(timeout=180_000)
    part("connection").get_by_text("live", exact=True).wait_for(timeout=30_000)
    watch = page.evaluate("window.dashboards.at(-1)")
    took = (watch["live"] - watch["shown"]) / 1000
    print(f"live {took:.2f} s after it was shown")
    assert took < 3
    part("state").get_by_text("Training").wait_for(timeout=60_000)
    return part


def steer(page, part, folder):
    """Pause and Resume are answered, while cells are queued before and after; the run's folder."""
    assert queued(page), "no cell waits any more"
    run = max((folder / "runs").iterdir())
    count = len(recorded(run, "command"))
    part("pause").click()
    part("state").get_by_text("Paused").wait_for(timeout=60_000)
    step = part.step()
    time.sleep(0.5)
    assert part.step() == step
    part("pause").click()
    part("state").get_by_text("Training").wait_for(timeout=60_000)
    eventually(lambda: part.step() > step, what="training that goes on")
    said = [e["data"]["command"] for e in recorded(run, "command")]
    assert said[count:] == ["pause", "resume"]
    assert queued(page), "the cells were over already"
    return run


def queued(page):
    """Cells that run or wait to be run."""
    return page.locator(".jp-Notebook .jp-InputPrompt").get_by_text("[*]:").count()


#: Notebook 7 shares JupyterLab's front end: `test_states.py` is in both by every run of the tests.
FRONTS = ["lab", pytest.param("notebooks", marks=pytest.mark.slow)]


#: The others' cells are run by nbval each time, and in a browser by `make slow`.
ALWAYS = ("01", "03", "04", "08", "10")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name.startswith(ALWAYS) else pytest.mark.slow)
        for name in EXAMPLES
    ],
)
@pytest.mark.parametrize("front", FRONTS)
def test_an_example_by_run_all(served, browser, front, name):
    with opened(served, browser, front, name) as (page, folder):
        run_all(page, front)
        run = steer(page, live_dashboard(page), folder)
        if (front, name) == ("lab", "01_torch_quickstart"):
            boxes_come_after_the_trap(run)


def boxes_come_after_the_trap(run):
    """The boxes are drawn when four epochs have shown what is wrong without them."""
    told = eventually(lambda: recorded(run, "intervention"), 120, what="a box")[0]
    tested = [e for e in recorded(run, "metrics") if e["split"] == "val"]
    before = [e["data"]["values"]["accuracy"] for e in tested if e["step"] <= told["step"]]
    assert len(before) == 4
    assert max(before) < 0.5


@pytest.mark.parametrize("front", FRONTS)
def test_restarted_and_run_again(served, browser, front):
    with opened(served, browser, front, "busy") as (page, folder):
        run_all(page, front)
        steer(page, live_dashboard(page), folder)
        old = page.evaluate("window.dashboards.length")
        run_all(page, front, restart=True)
        page.wait_for_function(f"window.dashboards.length > {old}", timeout=120_000)
        steer(page, live_dashboard(page), folder)


def test_beside_a_busy_cell_a_second_view_and_a_reloaded_page_are_live(served, browser):
    with opened(served, browser, "lab", "busy") as (page, folder):
        run_all(page, "lab")
        part = live_dashboard(page)

        page.locator(".jp-Notebook .jp-OutputArea-output").first.click(button="right")
        page.locator(".lm-Menu-itemLabel").get_by_text("Create New View for Cell Output").click()
        second = Parts(page.locator(f".jp-LinkedOutputView {ROOT}").first)
        second("connection").get_by_text("live", exact=True).wait_for(timeout=15_000)
        second("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        second("pause").click()
        part("state").get_by_text("Training").wait_for(timeout=15_000)

        page.locator(".jp-Notebook .jp-InputPrompt").first.click()
        page.keyboard.press("Control+s")
        saved = folder / "busy.ipynb"
        eventually(lambda: "widget-view" in saved.read_text(), what="a saved notebook")
        page.reload()
        part = Parts(page.locator(f".jp-Notebook {ROOT}").first)
        part("connection").get_by_text("live", exact=True).wait_for(timeout=60_000)
        step = part.step()
        eventually(lambda: part.step() > step, what="a moving step counter")
        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        assert page.get_by_text("not yet", exact=True).count() == 0
