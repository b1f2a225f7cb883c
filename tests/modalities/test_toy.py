"""A kind of input of somebody else's, a set of numbers, has all that pictures have."""

import importlib
import re
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import coflect_widget as coflect
from coflect_widget.modalities import IMAGE, Rendering, Units, registry
from coflect_widget.session.drawing import stroked
from tests.conftest import eventually, tiny_cnn

COUNT, LEAK = 8, 6


@dataclass(frozen=True)
class Some:
    """Some of the numbers, by their places."""

    which: tuple[int, ...]

    def to_json(self):
        return {"numbers": list(self.which)}


class Numbers(Units):
    """K numbers (K,) in no order that would mean anything."""

    name = "numbers"
    noun, nouns = "row", "rows"
    examples = ("focus number 1", "ignore number 2")

    def recognises(self, x):
        return len(x.shape) == 1

    def check(self, x, argument):
        if len(x.shape) != 1:
            raise ValueError(f"{argument} has inputs of shape {tuple(x.shape)}; give rows (N, K)")

    def region(self, value, argument, extent=None):
        if isinstance(value, Some):
            return value
        value = value["numbers"] if isinstance(value, dict) else value
        which = (value,) if isinstance(value, int) else tuple(value)
        if extent and not set(which) <= set(range(extent[0])):
            raise ValueError(f"{argument}={value!r}: the numbers are 0 to {extent[0] - 1}")
        return Some(which)

    def read(self, words, *, bare):
        found = re.fullmatch(r"number (\d+)", words)
        if bare or not found:
            return "there is no such number"
        return words, (Some((int(found[1]),)),)

    def describe(self, regions):
        return " and ".join(f"number {n}" for region in regions for n in region.which)

    def mask(self, region, extent):
        return np.isin(np.arange(extent[0]), region.which)

    def overlap(self, one, other):
        return bool(set(one.which) & set(other.which))

    def render(self, x, display):
        values = (np.clip(x, -3, 3) + 3) / 6 * 255
        return Rendering(np.repeat(values[None, :, None], 3, 2).round().astype(np.uint8))


# --- and nothing else is said of it anywhere ----------------------------------------------------


@pytest.fixture(autouse=True)
def no_other_kinds(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def rows(count, seed, *, leaking):
    """Numbers of which the first two tell the class; where it leaks, one alone nearly does."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, COUNT), np.float32)
    y = ((x[:, 0] + x[:, 1] > 0) ^ (rng.random(count) < 0.08)).astype(np.int64)
    leaks = leaking & (rng.random(count) < 0.97)
    x[:, LEAK] = 2 * np.where(leaks, y, rng.integers(0, 2, count)) - 1
    return x, y


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(COUNT, 32), nn.ReLU(), nn.Linear(32, 2))


def test_metrics_queue_map_stroke_undo_and_effect(make_session):
    model = network()
    session = make_session(
        model, rows(600, 1, leaking=True), rows(300, 2, leaking=False), batch_size=50,
        inputs=Numbers(), optimizer=torch.optim.Adam(model.parameters(), 0.01),
        config={"guidance": {"effect_after": 240}, "attribution": {"checks": True}},
    )  # fmt: skip
    session.train(epochs=6)
    session.wait(240)
    assert session.events("run_started")[0].data.inputs == "numbers"
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.75  # the leak has nothing to say there
    assert session.candidates[0].thumbnail.startswith(b"\x89PNG")
    found = session.explain(3)
    assert found.map.shape == (COUNT,)
    assert found.map.argmax() == LEAK
    assert found.focus_bbox == (LEAK / COUNT, (LEAK + 1) / COUNT)
    assert found.method == "smoothgrad"
    assert found.quality is not None
    assert found.modality_focus == {"numbers": 1.0}
    stroke = session.feedback(sample=3, ignore=LEAK, strength=0.6)
    assert stroke.understood == f"ignore number {LEAK} on sample 3, strength 0.60"
    assert stroke.record.loss == "fill, at like places of other samples too"
    session.train(epochs=25)
    session.wait(240)
    assert session.metrics["val_accuracy"] > max(0.85, spoiled + 0.15)
    assert session.explain(3).map.argmax() != LEAK
    assert not session.events("lapsed")
    effect = eventually(lambda: session.effects, what="the measurement")[0]
    assert effect.verdict == "helped"
    assert "of other rows to its class" in effect.text
    assert effect.explainer == "smoothgrad"
    drawn = stroked(np.zeros((8, 64, 3), np.uint8), stroke.record.strokes, Numbers(), (COUNT,))
    assert np.flatnonzero(drawn.any((0, 2))).tolist() == list(range(8 * LEAK, 8 * LEAK + 8))
    assert "sample 3" in session.effects._repr_html_()
    # what the numbers have in words, too
    look = session.feedback(instruction="focus number 0", scope="everywhere")
    assert look.understood == "focus number 0 on every sample, strength 0.30"
    assert "input gradient inside" in look.record.loss
    assert session.undo(stroke).undone
    assert [s.region for s in session.ledger.state().strokes] == [Some((0,))]
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    with pytest.raises(ValueError, match=r"ignore=\[9\]: the numbers are 0 to 7"):
        session.feedback(ignore=9)
    with pytest.raises(ValueError, match="nothing is looked for in other samples"):
        session.similar(session.feedback(sample=4, ignore=(1, 2)))
    page = session.save_html(session.run.path.parent / "page.html")
    assert page.stat().st_size > 100_000
    session.close()
    recorded = coflect.open_run(session.run.path)
    assert {e.map.shape for e in recorded.timeline(3)} == {(COUNT,)}
    assert (session.run.path / "overlays/thumbnails").is_dir()
    # what it was told goes on in another session of the same kind, and in no other
    saved = session.ledger.save(session.run.path / "ledger.json")
    data = rows(600, 1, leaking=True)
    other = make_session(network(), data, inputs=Numbers(), guidance=saved)
    assert [s.region for s in other.ledger.state().strokes] == [Some((0,)), Some((1, 2))]
    with pytest.raises(ValueError, match="inputs of the kind 'numbers', and these are 'image'"):
        make_session(guidance=other.ledger)


def test_a_registered_kind_is_found_by_its_name_and_by_the_data(make_session):
    coflect.register_modality(Numbers())
    data = rows(60, 1, leaking=True)
    assert make_session(network(), data, inputs="numbers")._parts.modality.name == "numbers"
    assert make_session(network(), data)._parts.modality.name == "numbers"
    assert make_session()._parts.modality is IMAGE
    with pytest.raises(ValueError, match=r"of shape \(3, 32, 32\); give rows"):
        make_session(inputs="numbers")
    with pytest.raises(ValueError, match=r"'livecam' is no map of inputs of the kind 'numbers'"):
        make_session(network(), data, config={"attribution": {"method": "livecam"}})
    with pytest.raises(ValueError, match=r"'layer'\] = '0': inputs of the kind 'numbers' have no"):
        make_session(network(), data, config={"attribution": {"layer": "0"}})


def test_an_entry_point_names_a_kind(make_session, tmp_path, monkeypatch):
    folder = tmp_path / "numbers_coflect-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: numbers-coflect\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[coflect.modalities]\nnumbers = {Numbers.__module__}:Numbers\n"
        "broken = not_there:Nothing\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    data = rows(60, 1, leaking=True)
    assert make_session(network(), data, inputs="numbers")._parts.modality.name == "numbers"
    assert make_session(network(), data)._parts.modality.name == "table"  # what is built in first
    with pytest.raises(ValueError, match="inputs='broken' is not known; known are: 'image', "):
        make_session(network(), data, inputs="broken")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [("speech", ValueError, "inputs='speech' is not known; known are: 'image'"),
     (Numbers, TypeError, "must be a name, such as 'image', or an object"), (3, TypeError, "name")],
)  # fmt: skip
def test_what_is_no_kind_of_input_is_refused(make_session, given, error, says):
    with pytest.raises(error, match=says):
        make_session(tiny_cnn(), inputs=given)


def test_a_kind_needs_a_name_of_its_own():
    class Nameless(Numbers):
        name = "two words"

    with pytest.raises(ValueError, match="must be a word"):
        coflect.register_modality(Nameless())
    with pytest.raises(ValueError, match="built-in"):
        coflect.register_modality(IMAGE)
