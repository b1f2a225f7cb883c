"""The page that save_html writes, in a real Chromium: no network, no kernel, no serious barrier."""

import pytest

import coflect_widget as coflect
from tests.conftest import tiny_cnn
from tests.e2e.lab import serious_barriers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOSTILE = "</script><img src=x onerror=\"document.title='broken into'\">\u202e" + "y" * 10_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    data = coflect.data.synthetic(n=256)
    with coflect.Session(
        tiny_cnn(), data, data, classes=[HOSTILE, "b", "c", "d"], run_dir=folder / "runs"
    ) as session:
        session.explain(3)  # before training: its maps are of two steps
        session.train(epochs=8)
        session.explain(9)
        session.wait(240)
        session.explain(3)
        session.feedback(sample=3, look=(0.2, 0.2, 0.7, 0.7))
        return session.save_html(folder / "run.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [700, 1600])
def test_it_shows_the_run_and_asks_nobody(saved, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    asked, problems = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(saved.as_uri())
    part = lambda name: page.locator(f"[data-testid=cw-{name}]")  # noqa: E731
    part("root").wait_for(timeout=15_000)
    assert part("state").inner_text() == "Finished"
    assert part("connection").inner_text() == "saved view"
    assert part("ledger-item").count() == 1
    assert not part("pause").is_visible()
    assert not part("instruction").is_visible()

    # any text of the run is text
    assert page.title() != "broken into"
    assert page.locator("img[src='x']").count() == 0
    inside = part("root").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert inside[0] <= inside[1], "it scrolls sideways"

    # the recorded maps of the sample, by keyboard
    assert part("explain-index").input_value() == "3"
    newest = part("model-step").inner_text()
    part("timeline").focus()
    page.keyboard.press("Home")
    page.wait_for_function(
        "old => document.querySelector('[data-testid=cw-model-step]').textContent !== old",
        arg=newest,
    )
    # another sample that was explained, by its number
    part("explain-index").fill("9")
    page.keyboard.press("Enter")
    page.locator("[data-sample='9']").wait_for(timeout=5_000)

    # one whose maps were not kept says so quietly
    part("explain-index").fill("200")
    page.keyboard.press("Enter")
    part("placeholder").get_by_text("No map of sample 200 was kept").wait_for(timeout=5_000)
    assert part("coach").get_attribute("data-level") == "info"
    part("explain-index").fill("9")
    page.keyboard.press("Enter")
    page.locator("[data-sample='9']").wait_for(timeout=5_000)

    # the three maps beside each other, and the list of keys
    part("view-all").click()
    part("side-by-side").wait_for()
    page.keyboard.press("?")
    part("help-dialog").wait_for()
    page.keyboard.press("Escape")

    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert problems == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(saved, browser, scheme):
    # the policy of the page would keep the checker itself out
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 1200, "height": 1000}
    )
    page = context.new_page()
    page.goto(saved.as_uri())
    page.locator("[data-testid=cw-root]").wait_for(timeout=15_000)
    assert serious_barriers(page) == []
    context.close()
