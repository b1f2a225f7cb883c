"""Texts, series and tables in a real Chromium: saved pages, light and dark, wide and narrow."""

import pytest

import coflect_widget as coflect
from tests.e2e.lab import serious_barriers
from tests.kinds import HOSTILE, NAMES, Curve, Features, Words, session_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KINDS = {
    "text": (Words, {"word": "a"}),
    "series": (Curve, {"interval": [0.75, 0.875]}),
    "table": (Features, {"features": ["leak"]}),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A page for each kind: a run that was looked at and told something."""
    folder = tmp_path_factory.mktemp("kinds")

    def make(*args, **named):
        return coflect.Session(*args, run_dir=folder / "runs", **named)

    pages = {}
    for name, (kind, stroke) in KINDS.items():
        with session_of(make, kind()) as session:
            session.train(epochs=6)
            session.wait(240)
            session.explain(5)
            session.explain(3)
            session.feedback(sample=3, ignore=stroke)
            pages[name] = session.save_html(folder / f"{name}.html")
    return pages


def opened(browser, page, **more):
    found = browser.new_page(viewport={"width": 1500, "height": 900}, **more)
    problems = []
    found.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.goto(page.as_uri())
    found.locator("[data-testid=cw-root]").wait_for(timeout=15_000)
    return found, problems


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_page_shows_what_it_is(saved, browser, kind):
    page, problems = opened(browser, saved[kind])
    listed(page, kind)
    for width, scheme in ((1500, "light"), (760, "dark"), (340, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.locator("[data-testid=cw-root]").wait_for(timeout=15_000)
        shown(page, kind)
    assert problems == []
    page.close()


def shown(page, kind):
    """The sample, what was told of it, and its map, which can be taken away."""
    part = lambda name: page.locator(f"[data-testid=cw-{name}]")  # noqa: E731
    part("explain-index").fill("3")
    page.keyboard.press("Enter")
    page.locator(".cw-focus[data-sample='3']").wait_for(timeout=5_000)
    part(kind).wait_for(timeout=5_000)
    assert not page.locator(".cw-picture").is_visible()
    # whatever the run says is text
    assert page.title() != "broken into"
    assert page.locator("img[src='x']").count() == 0
    inside = part("root").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert inside[0] <= inside[1], "it scrolls sideways"
    # what was told stands on the sample
    given = page.locator(".cw-place:not([hidden]) [data-given=ignore]")
    if kind == "text":
        assert given.all_inner_texts() == ["a", "a"]
        assert page.locator(".cw-words > .cw-token").all_inner_texts() == list(NAMES)
    elif kind == "table":
        assert given.count() == 1
        assert given.get_attribute("data-feature") == "leak"
        assert part("features").locator("[data-feature]").first.inner_text().startswith("leak")
    else:
        assert page.locator(".cw-interval[data-given]").count() == 1
        assert page.locator(".cw-curves .cw-band").count() > 0
        assert page.locator(".cw-curves .cw-curve-line").get_attribute("d")
    # without the map nothing is coloured, framed or weighed
    drawn = {
        "text": "() => [...document.querySelectorAll('.cw-words [data-word]')]"
        ".some((e) => e.style.getPropertyValue('--cw-heat') > 0)",
        "series": "() => document.querySelector('.cw-curves .cw-band') !== null",
        "table": "() => document.querySelector('.cw-wide[data-plain]') === null",
    }[kind]
    page.wait_for_function(drawn)
    part("view-off").click()
    page.wait_for_function(f"() => !({drawn})()")
    part("view-map").click()
    page.wait_for_function(drawn)


def listed(page, kind):
    """The list and the ledger show what it is, too."""
    cards = page.locator("[data-testid=cw-queue] .cw-glance")
    entry = page.locator("[data-testid=cw-ledger] .cw-glance").first
    entry.wait_for(timeout=5_000)
    assert cards.count() > 0 or page.locator("[data-testid=cw-queue-empty]").is_visible()
    if kind == "text":
        assert entry.locator("[data-kind=ignore]").all_inner_texts() == ["a", "a"]
        assert HOSTILE in entry.inner_text()
    elif kind == "table":
        assert entry.locator("[data-kind=ignore] .cw-feature-name").inner_text() == "leak"
        assert entry.locator(".cw-feature-name").count() == 3
    else:
        assert entry.locator(".cw-interval").get_attribute("data-kind") == "ignore"


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(saved, browser, kind):
    # the policy of the page would keep the checker itself out
    page, _ = opened(browser, saved[kind], bypass_csp=True)
    page.set_viewport_size({"width": 1200, "height": 900})
    page.locator(f"[data-testid=cw-{kind}]").wait_for(timeout=5_000)
    root = page.locator("[data-testid=cw-root]")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        root.and_(page.locator(f"[data-theme={scheme}]")).wait_for(timeout=5_000)
        assert serious_barriers(page) == []
    page.close()
