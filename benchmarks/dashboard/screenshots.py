"""Pictures of every state of the dashboard, at three widths, light and dark, to be looked at.

    npm run -s harness && python benchmarks/dashboard/screenshots.py [--out DIR] [--only NAME ...]

Also printed is each text that has less room than it takes. Names of the data (classes, features,
what a text says) may be shortened; words of the dashboard may not.

The page of js/harness shows the product's own bundle with the messages of a made-up run, so that
states which are rare in a real one (a failure, a collapse, a thousand classes) are there at once.
docs/make_screenshots.py makes the documentation's pictures, from a real training in JupyterLab.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
#: Size of the window: a wide one, a notebook beside the file browser, a panel; and between them.
SIZES = {"wide": (1600, 900), "between": (1000, 800), "panel": (300, 900), "mid": (850, 800)}
MARGIN = 16  # pixels of the window that are not the widget's
#: Elements whose text is wider or higher than the room that they show of it.
CUT = """() => [...document.querySelectorAll("[data-testid$='-root'] *")].flatMap((e) => {
  const style = getComputedStyle(e);
  const text = (e.textContent ?? "").trim();
  const shown = e.checkVisibility({ visibilityProperty: true }) && e.clientWidth > 4;
  const cuts = [style.overflowX, style.overflowY].some((one) => ["hidden", "clip"].includes(one));
  const whole = e.querySelector("canvas, svg, img, input") && text.length > 80; // a panel
  const rows = e.matches(".cw-facts"); // shown whole or not at all
  if (!shown || !cuts || text === "" || whole || rows) return [];
  const [w, h] = [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight];
  return w > 1 || h > 2 ? [`${e.className}: ${text.slice(0, 60)} (${w} px, ${h} px)`] : [];
})"""
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


def knobs(page: Any) -> None:
    """The panel of the knobs, with all that it holds."""
    for summary in page.locator(".cw-knob-panel summary").all():
        summary.click()


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
    "saved": ("saved", None),
    "finding": ("finding", None),
    "question": ("finding", clicked("coach-act")),
    "proof": ("proof", tab("ledger")),
    "knobs": ("", lambda page, part: (tab("ledger")(page, part), knobs(page))),
    "keep": ("proof", lambda page, part: (tab("ledger")(page, part), part("keep").first.click())),
    "keys": ("", lambda page, _: (page.locator(".cw-root").focus(), page.keyboard.press("q"))),
    "labels-each": ("task=labels", None),
    "segmentation": ("task=segmentation", None),
    **{kind: (f"kind={kind}", None) for kind in ("text", "series", "table", "parts")},
    **{f"{kind}-list": (f"kind={kind}", tab("list")) for kind in ("text", "series", "table")},
    **{f"{kind}-ledger": (f"kind={kind}", tab("ledger")) for kind in ("text", "series", "table")},
    **{
        f"{kind}-question": (f"kind={kind}&finding", clicked("coach-act"))
        for kind in ("text", "series", "table", "parts")
    },
    "runs": ("records=compare&runs=3", None),
    "runs-many": ("records=compare&runs=14", None),
    "search": ("records=sweep&runs=9", None),
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
            for name in args.only:
                shoot(browser, address, args.out, name, size, args.themes)
        browser.close()


def shoot(
    browser: Any, address: str, out: Path, name: str, size: str, themes: Sequence[str]
) -> None:
    """Pictures of one state, in each theme."""
    query, act = STATES[name]
    width, height = SIZES[size]
    title = f"{name}-{size}"
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(5_000)
    page.on("pageerror", lambda error: print(f"{title}: {error}"))
    page.goto(f"{address}?still&theme={themes[0]}&width={width - MARGIN}&{query}")
    part = lambda one: page.locator(f"[data-testid=cw-{one}]")  # noqa: E731
    page.locator("[data-testid=cw-root], [data-testid=cr-root]").wait_for()
    if name not in ("dead", "idle", "saved") and "records=" not in query:
        page.locator(".cw-root[data-connection=live] .cw-focus[data-sample]").wait_for()
    page.wait_for_timeout(450)
    if act is not None:
        try:
            act(page, part)
        except Error as error:
            print(f"{title}: {error.message.splitlines()[0]}")
    page.mouse.move(2, height - 2)
    for theme in themes:
        light = str(theme == "light").lower()
        page.evaluate(f"document.body.setAttribute('data-jp-theme-light', '{light}')")
        page.wait_for_timeout(200)
        page.screenshot(path=str(out / f"{title}-{theme}.png"))
    for text in page.evaluate(CUT):
        print(f"{title}: {text}")
    page.close()


if __name__ == "__main__":
    main()
