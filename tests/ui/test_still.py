"""What is left of a dashboard where no kernel runs: the last state, as pictures and text."""

import base64
import io
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

import coflect_widget as coflect
from coflect_widget.ui.publisher import snapshot
from coflect_widget.ui.still import bundle, chart
from coflect_widget.ui.view import replay
from tests.conftest import eventually

HOSTILE = "<img src=x onerror=alert(1)>"
TRAINS = [
    "import coflect_widget as coflect\n"
    "from tests.conftest import tiny_cnn\n"
    "data = coflect.data.synthetic(n=256)\n"
    f"session = coflect.Session(tiny_cnn(), data, data, classes=[{HOSTILE!r}, 'b', 'c', 'd'],\n"
    "                         config={'log_every': 1})\n"
    "session.train(epochs=4)\n"
    "session",
]


def executed(tmp_path, cells):
    """The notebook as it is saved after Run All, without a browser."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    return notebook


def as_html(notebook):
    return HTMLExporter().from_notebook_node(notebook)[0]


class Images(HTMLParser):
    """The images of a page, by their alternative text."""

    def __init__(self, text):
        super().__init__()
        self.found = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "img":
            assert given["src"].startswith("data:image/png;base64,"), "it fetches something"
            self.found[given["alt"]] = base64.b64decode(given["src"].partition(",")[2])


def pictures(text):
    """Each picture of a page as (H, W, 3) integers, by its alternative text."""
    return {
        words: np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)
        for words, file in Images(text).found.items()
    }


def drawn(picture, colour):
    """How many pixels have this colour."""
    return int((np.abs(picture - np.array(colour)).sum(-1) < 30).sum())


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """One that waited, with a map and a stroke."""
    folder = tmp_path_factory.mktemp("still")
    cells = [
        *TRAINS,
        "session.wait()",
        "session.explain(9)\n"
        "session.feedback(sample=9, ignore=(.1, .1, .4, .4))\n"
        "session.train(epochs=2)\n"
        "session.wait()",
        "session.explain(9)",
        "session.candidates",
        "session.close()",
    ]
    return executed(folder, cells), folder


def test_a_page_of_nbconvert_shows_the_last_state_without_network(notebook):
    saved, _ = notebook
    page = as_html(saved)
    still = re.search(r'<div class="coflect-still">.*', page, re.S)[0]
    assert "finished after step 24 of 24, 6 epochs" in still
    shown = pictures(still)
    charts = [words for words in shown if " by step: training (blue) " in words]
    assert [words.split()[0] for words in charts] == ["accuracy", "loss"]
    for words in charts:
        assert drawn(shown[words], (31, 111, 235)) > 200
        assert drawn(shown[words], (217, 119, 6)) > 100
    looked = shown["sample 9: where the model looks"]
    plain = shown["sample 9: the sample"]
    assert looked.shape == plain.shape == (192, 192, 3)
    assert np.abs(looked - plain).max() > 60
    data = coflect.data.synthetic(n=256)
    x = (np.moveaxis(data[9][0], 0, -1) * 255).round()
    assert np.abs(plain[3::6, 3::6] - x).max() <= 1, "it is another picture"
    assert "step 16: ignore a box" in still
    assert len(pictures(page)) >= len(shown)  # each image of the page is a PNG within it
    left = saved.cells[0].outputs[1]["data"]["text/html"]
    assert HOSTILE not in left
    assert "&lt;img src=x onerror" in left


def test_each_result_shows_its_pictures(notebook):
    saved, _ = notebook
    explanation, candidates = (saved.cells[k].outputs[0]["data"] for k in (3, 4))
    assert explanation["text/plain"].startswith("Explanation(index=9")
    assert set(pictures(explanation["text/html"])) == {
        "sample 9: the sample", "sample 9: where the model looks", "sample 9: the map alone",
    }  # fmt: skip
    thumbnails = pictures(candidates["text/html"])
    assert len(thumbnails) == 10
    assert all(re.fullmatch(r"sample \d+", words) for words in thumbnails)
    assert candidates["text/plain"].startswith("[Candidate(index=")
    for shown in (explanation, candidates):
        assert HOSTILE not in shown["text/html"]


def test_the_widget_and_what_is_left_of_it_are_two_outputs(notebook):
    saved, _ = notebook
    live, left = saved.cells[0].outputs
    assert set(live["data"]) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert live["data"]["text/plain"].startswith("Dashboard of run_001")
    assert set(left["data"]) == {"text/html", "text/plain"}
    assert left["data"]["text/plain"].endswith("finished after step 24 of 24, 6 epochs")
    assert "http" not in left["data"]["text/html"]
    assert "<script" not in left["data"]["text/html"]


@pytest.mark.slow
def test_a_notebook_that_only_closes_shows_its_last_state_too(tmp_path):
    saved = executed(tmp_path, [*TRAINS, "session.close()"])
    assert re.search(
        r"(stopped|finished) after step \d+ of 16", saved.cells[0].outputs[1]["data"]["text/plain"]
    )


@pytest.mark.slow
def test_a_pause_and_a_run_from_disk_are_shown(tmp_path):
    saved = executed(
        tmp_path,
        [
            TRAINS[0].replace("epochs=4", "epochs=4000"),
            "session.pause()",
            "session.stop()\nsession.close()\ncoflect.open_run(session.run.path)",
        ],
    )
    paused, recorded = saved.cells[0].outputs[1], saved.cells[2].outputs[1]
    assert "stopped after step" in paused["data"]["text/plain"]
    assert recorded["data"]["text/plain"] == paused["data"]["text/plain"]


def test_it_says_what_it_cannot_show(make_session):
    session = make_session()
    made = bundle(snapshot(replay(session.run)))
    assert made["text/plain"].endswith("not started after step 0, 0 epochs")
    assert pictures(made["text/html"]) == {}
    flat = chart({"train": np.array([[1.0, 0.5]])})
    assert flat.shape == (300, 840, 3)


def test_samples_that_are_wrong_already_are_listed_apart_and_no_risk_is_certain(make_session):
    shown = snapshot(replay(make_session().run))
    risks = {1: 0.998, 2: 0.42, 3: 0.003, 4: 0.9}
    items = [
        {"index": k, "risk": risk, "target": 0, "predicted": 1, "thumbnail_buffer": None,
         "wrong_now": k == 4}
        for k, risk in risks.items()
    ]  # fmt: skip
    shown["update"]["queue"] = {"due": 7, "items": items}
    page = bundle(shown)["text/html"]
    ahead, _, wrong = page.partition("Wrong when training last saw them")
    assert "Likely to be wrong at epoch 7" in ahead
    assert re.findall(r"#(\d) · ([^<]+)<", ahead) == [
        ("1", "&gt;99%"), ("2", "42%"), ("3", "&lt;1%"),
    ]  # fmt: skip
    assert re.findall(r"#(\d) · ([^<]+)<", wrong) == [("4", "90%")]
    shown["update"]["queue"] = {"due": 7, "items": items[3:]}
    assert "Likely to be wrong" not in bundle(shown)["text/html"]
    assert "more" not in bundle(shown)["text/html"].partition("Wrong when")[2]
    shown["update"]["queue"]["wrong"] = 812  # of all samples, of which the queue lists one
    assert "and 811 more" in bundle(shown)["text/html"]


def test_effects_show_the_stroke(make_session, shapes):
    session = make_session(val=shapes, config={"guidance": {"effect_after": 4}})
    session.train(epochs=2)
    session.wait()
    session.feedback(sample=3, ignore=(0.25, 0.25, 0.75, 0.75))
    session.train(epochs=3)
    session.wait()
    eventually(lambda: session.effects, 60)
    page = session.effects._repr_html_()
    (picture,) = pictures(page).values()
    side = len(picture)
    red = np.abs(picture - (198, 40, 40)).sum(-1) < 30
    for axis in (0, 1):
        marked = np.flatnonzero(red.any(axis)) / side
        assert abs(marked.min() - 0.25) < 0.03
        assert abs(marked.max() - 0.75) < 0.03
    assert red.sum() > 2 * side, "no frame"
    assert not red[side // 2 - 9 : side // 2 + 9, side // 2 - 9 : side // 2 + 9].any()
    assert session.effects[0].verdict in page
    assert isinstance(session.effects[:1]._repr_html_(), str)
