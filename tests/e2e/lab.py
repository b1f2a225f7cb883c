"""A real JupyterLab with a real kernel, and a real Chromium that looks at it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parents[2]
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, path)


@contextmanager
def jupyterlab(root, *, dark=False, module="jupyterlab", threads=1):
    """A server on `root`; gives its address and token. Module "notebook" is Notebook 7.

    Its kernels compute on so many OpenMP threads, with None on one for each processor. Several
    wait for one another at each operation, and beside any other program that takes a second.
    """
    token = secrets.token_hex(16)
    settings = root / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    set_theme(root, dark=dark)
    widgets = root / ".settings" / "@jupyter-widgets" / "jupyterlab-manager"
    widgets.mkdir(parents=True)
    (widgets / "plugin.jupyterlab-settings").write_text('{"saveState": true}')
    log = (root / "jupyterlab.log").open("w")
    server = subprocess.Popen(
        [
            sys.executable, "-m", module, "--no-browser", "--allow-root",
            "--ServerApp.port=0", f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={root}",
            # else each page has Node look for seconds whether JupyterLab is to be built anew
            "--ServerApp.tornado_settings={'page_config_data':"
            " {'buildCheck': False, 'buildAvailable': False}}",
        ],
        stdout=log, stderr=subprocess.STDOUT, cwd=root,
        env={
            **os.environ,
            **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
            # kernels take the package of this working tree, wherever another one is installed
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
            "JUPYTER_CONFIG_DIR": str(root / ".jupyter"),
            "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
            "IPYTHONDIR": str(root / ".ipython"),
        },
    )  # fmt: skip
    try:
        for _ in range(240):
            assert server.poll() is None, (root / "jupyterlab.log").read_text()
            try:
                # the server chooses its port, and says which
                told = json.loads((root / ".runtime" / f"jpserver-{server.pid}.json").read_text())
                address = f"http://127.0.0.1:{told['port']}"
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=1).read()
                break
            except (OSError, ValueError):
                time.sleep(0.25)
        else:
            raise AssertionError((root / "jupyterlab.log").read_text())
        yield address, token
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def set_theme(root, *, dark):
    """The theme of pages that are opened from now on."""
    file = root / ".settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    file.write_text('{"theme": "%s"}' % ("JupyterLab Dark" if dark else "JupyterLab Light"))


@dataclass(frozen=True)
class Server:
    """A server on `root`, for the notebooks of many tests."""

    root: Path
    address: str
    token: str

    def open(self, page, notebook):
        """Open a notebook with a fresh layout and a ready kernel."""
        path = str(notebook.relative_to(self.root))
        open_notebook(page, self.address, self.token, path)
        # The page calls a kernel idle before it has one, and asks which to take if cells are run.
        until = time.monotonic() + 90
        while not has_kernel(self.address, self.token, path):
            assert time.monotonic() < until, f"{path} has no kernel"
            time.sleep(0.05)

    def end_kernels(self):
        for one in json.loads(sessions(self.address, self.token)):
            sessions(self.address, self.token, "DELETE", f"/{one['id']}")


@contextmanager
def chromium(width=1600, height=1100, *, dark=False):
    """A page in a headless Chromium; fails at the end if the page met an error."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is missing; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield page
        finally:
            browser.close()
        assert not [e for e in errors if "cw" in e or "widget" in e.lower()], errors


def open_notebook(page, address, token, name):
    """Open a notebook with a fresh layout and a ready kernel."""
    ready(page, f"{address}/lab/workspaces/e2e/tree/{name}?reset&token={token}")


def ready(page, address):
    """Go to a page with a notebook, and wait for its kernel."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    # Attached, not visible: a narrow toolbar folds the indicator away.
    idle = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
    page.wait_for_selector(idle, state="attached", timeout=90_000)


def sessions(address, token, method="GET", identifier=""):
    asked = urllib.request.Request(
        f"{address}/api/sessions{identifier}",
        headers={"Authorization": f"token {token}"},
        method=method,
    )
    return urllib.request.urlopen(asked, timeout=60).read()


def has_kernel(address, token, path):
    """Whether the notebook has a kernel that answered its page."""
    return any(
        one["path"] == path
        and one["kernel"]["connections"]
        and one["kernel"]["execution_state"] == "idle"
        for one in json.loads(sessions(address, token))
    )


def run_cell(page, number):
    """Run one cell with Shift+Enter, as a person would."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    prompt = cell.locator(".jp-InputPrompt").first
    # JupyterLab may call a kernel idle before it takes the first cell; a person presses again.
    for _ in range(10):
        if (dialog := page.locator(".jp-Dialog")).count():
            asked = dialog.first.inner_text()
            # beside a kernel that has just been killed JupyterLab may ask which one to start
            assert "Select Kernel" in asked, f"JupyterLab asks: {asked}"
            dialog.first.locator(".jp-mod-accept").click(timeout=10_000)
            dialog.first.wait_for(state="detached", timeout=10_000)
        cell.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Shift+Enter")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            if prompt.inner_text().strip() not in ("", "[ ]:"):
                return cell
            time.sleep(0.05)
    raise AssertionError(f"cell {number} was not taken by the kernel")


def recorded(run, kind=None):
    """Whole records of a run folder, read as plain JSON."""
    lines = (run / "events.jsonl").read_text().split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    return [event for event in found if kind is None or event["type"] == kind]


class Parts:
    """Parts of one view by their test ids."""

    def __init__(self, view):
        self.view = view

    def __call__(self, name):
        return self.view.locator(f"[data-testid=cw-{name}]")

    def step(self):
        return int(self("step").first.get_attribute("data-step") or 0)

    def look_at(self, sample):
        """Type a sample's number, and wait for its picture and maps."""
        self("explain-index").fill(str(sample))
        self("explain-index").press("Enter")
        self.view.locator(f".cw-focus[data-sample='{sample}']").wait_for(timeout=60_000)
        self("explain-index").blur()


def drag(page, picture, start, end):
    """Draw with the mouse from one fraction of the picture to another; the box drawn."""
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    points = [
        (place["x"] + x * place["width"], place["y"] + y * place["height"]) for x, y in (start, end)
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()
    return [*start, *end]


def serious_barriers(page):
    """What axe finds serious or critical in the dashboards of the page: (rule, examples)."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run('.cw-root')")["violations"]
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
