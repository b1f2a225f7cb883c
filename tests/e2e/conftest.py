"""A browser for pages that need no JupyterLab."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.e2e.lab import FLAGS


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is missing; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
