"""A browser for pages that need no JupyterLab, and one JupyterLab for all that need it."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.e2e.lab import FLAGS, Server, jupyterlab, set_theme


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is missing; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """A server of JupyterLab and Notebook 7, on the folder in which those of the tests lie."""
    root = tmp_path_factory.getbasetemp()
    with jupyterlab(root, module="notebook") as (address, token):
        yield Server(root, address, token)


@pytest.fixture
def server(jupyter):
    """The server, as a test is to find it: light, without kernels."""
    yield jupyter
    jupyter.end_kernels()
    set_theme(jupyter.root, dark=False)
