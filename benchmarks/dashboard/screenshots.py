"""Pictures of every state of the dashboard, at three widths, light and dark, to be looked at.

    npm run -s harness && python benchmarks/dashboard/screenshots.py [--out DIR] [--only NAME ...]

The page of js/harness shows the product's own bundle with the messages of a made-up run, so that
states which are rare in a real one (a failure, a collapse, a thousand classes) are there at once.
docs/make_screenshots.py makes the documentation's pictures, from a real training in JupyterLab.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
#: Width of the widget and size of the window: a wide cell, one beside the file browser, a panel.
SIZES = {"between": (960, 800), "wide": (1180, 900), "mid": (850, 800), "panel": (300, 900)}
Act = Callable[[Any, Callable[[str], Any]], None]


def tab(name: str) -> Act:
    """Go to a tab, where there are tabs."""

    def go(_: Any, part: Callable[[str], Any]) -> None:
        if part(f"tab-{name}").is_visible():
            part(f"tab-{name}").click()

    return go


def page_of(name: str) -> Act:
    """Show one of the lists."""

    def go(page: Any, part: Callable[[str], Any]) -> None:
        tab("list")(page, part)
        part(f"page-{name}").click()

    return go


def drawn(page: Any, part: Callable[[str], Any]) -> None:
    """A box that is not submitted yet."""
    part("tool-ignore").click()
    place = part("picture").bounding_box()
    page.mouse.move(place["x"] + 0.68 * place["width"], place["y"] + 0.68 * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + 0.99 * place["width"], place["y"] + 0.99 * place["height"])
    page.mouse.up()


def submitted(page: Any, part: Callable[[str], Any]) -> None:
    """A box that was submitted, with the answer."""
    drawn(page, part)
    part("submit").click()
    part("echo").get_by_text("Applied").wait_for()


def clicked(*names: str) -> Act:
    """Press one control after the other."""

    def go(_: Any, part: Callable[[str], Any]) -> None:
        for name in names:
            if part(name).is_visible():
                part(name).click()

    return go


def suspect(page: Any, part: Callable[[str], Any]) -> None:
    """A sample whose label is in doubt, opened from its list."""
    page_of("suspects")(page, part)
    part("queue-item").first.click()
    page.wait_for_timeout(700)


#: State's name: query of the page, and what is done before the picture is taken.
STATES: dict[str, tuple[str, Act | None]] = {
    "training": ("", None),
    "drawn": ("", drawn),
    "submitted": ("", submitted),
    "paused": ("state=paused", None),
    "stopping": ("", clicked("stop")),
    "stopped": ("state=stopped", None),
    "finished": ("state=finished", None),
    "failed": ("state=failed", None),
    "trace": ("state=failed", clicked("coach-act")),
    "idle": ("empty", None),
    "advice": ("advice", None),
    "alarms": ("alarms", None),
    "doubtful": ("doubtful", None),
    "compare": ("", clicked("view-all")),
    "picture": ("", clicked("view-off")),
    "looks": ("", clicked("looks")),
    "more": ("", clicked("more")),
    "help": ("", clicked("more", "help")),
    "risk": ("", page_of("risk")),
    "wrong": ("", page_of("wrong")),
    "forgotten": ("", page_of("forgotten")),
    "labels": ("", page_of("suspects")),
    "suspect": ("", suspect),
    "alike": ("", page_of("alike")),
    "gates": ("window=shut", lambda page, part: (tab("list")(page, part), part("window").click())),
    "charts": ("spike", tab("charts")),
    "behind": (
        "",
        lambda page, part: (tab("charts")(page, part), part("behind").select_option(index=1)),
    ),
    "ledger": ("", tab("ledger")),
    "many": ("many", page_of("risk")),
    "long": ("classes=long", None),
    "regression": ("regression", page_of("risk")),
    "dead": ("dead", None),
}


@contextmanager
def served() -> Iterator[str]:
    """The repository over http, on this machine alone."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing of each file."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/js/harness/index.html"
    finally:
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--themes", nargs="+", choices=("light", "dark"), default=["light", "dark"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for size in args.sizes:
            for theme in args.themes:
                for name in args.only:
                    shoot(
                        browser, address, args.out / f"{name}-{size}-{theme}.png", name, size, theme
                    )
        browser.close()


def shoot(browser: Any, address: str, file: Path, name: str, size: str, theme: str) -> None:
    """One picture of one state."""
    query, act = STATES[name]
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width + 16, "height": height}, color_scheme=theme)
    page.set_default_timeout(5_000)
    page.on("pageerror", lambda error: print(f"{file.stem}: {error}"))
    page.goto(f"{address}?still&theme={theme}&width={width}&{query}")
    part = lambda one: page.locator(f"[data-testid=cw-{one}]")  # noqa: E731
    part("root").wait_for()
    if name not in ("dead", "idle"):
        page.locator(".cw-root[data-connection=live] .cw-focus[data-sample]").wait_for()
    page.wait_for_timeout(500)
    if act is not None:
        try:
            act(page, part)
        except Error as error:
            print(f"{file.stem}: {error.message.splitlines()[0]}")
        page.wait_for_timeout(250)
    page.mouse.move(2, height - 2)
    page.wait_for_timeout(120)
    page.screenshot(path=str(file))
    page.close()


if __name__ == "__main__":
    main()
