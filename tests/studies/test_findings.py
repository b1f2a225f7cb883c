"""What decides by itself is found, asked about once, and cured by one answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import coflect_widget as coflect
from coflect_widget.events import Finding, PullThen
from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.projects.audit import Audit
from coflect_widget.studies.grouping import groups, interval
from coflect_widget.studies.recorded_findings import findings_of
from tests.conftest import tiny_cnn
from tests.test_several_inputs import Both, arrays


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_heaviest_square_holds_the_strongest_spot(height, width, seed):
    rng = np.random.default_rng(seed)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    values = np.zeros((height, width), np.float32)
    values[y, x] = 1
    region = IMAGE.heaviest(values)
    mask = IMAGE.mask(region, (height, width))
    assert mask[y, x]
    assert mask.sum() == np.prod(IMAGE.window((height, width)))
    assert IMAGE.heaviest(np.ones((height, width), np.float32)) is None


@pytest.mark.parametrize(
    ("kind", "values", "marked"),
    [
        ("series", np.eye(1, 48, 20, dtype=np.float32), 4),
        ("table", np.eye(1, 6, 2, dtype=np.float32)[0], 1),
    ],
)
def test_other_kinds_have_a_region_of_their_own(kind, values, marked):
    modality = find_modality(kind)
    mask = modality.mask(modality.heaviest(values), values.shape)
    assert mask.sum() == marked
    assert mask[values == 1].all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_each_region_is_in_one_group(labels, seed):
    rng = np.random.default_rng(seed)
    same = rng.random((len(labels),) * 2) < 0.2
    same |= same.T | np.eye(len(labels), dtype=bool)
    found = groups(same, labels)
    assert sorted(k for group in found for k in group) == list(range(len(labels)))
    assert [len(group) for group in found] == sorted(map(len, found), reverse=True)
    where = {k: number for number, group in enumerate(found) for k in group}
    assert all(where[i] == where[j] for i, j in np.argwhere(same))


def test_a_mark_with_a_colour_for_each_class_is_one_artefact():
    same = np.kron(np.eye(3), np.ones((2, 2))).astype(bool)
    assert groups(same, [0, 0, 1, 1, 2, 2]) == [[0, 1, 2, 3, 4, 5]]
    # two things that the same class has are two
    assert groups(same, [0, 0, 0, 0, 0, 0]) == [[0, 1], [2, 3], [4, 5]]


def test_an_interval_holds_its_mean():
    low, high = interval(np.array([0.6, 0.8, 0.7, 0.9]), 0)
    assert 0.6 <= low < 0.75 < high <= 0.9


def patched(count, seed, *, planted=True):
    """Noise of two classes, told by a square in a random corner, or by nothing that is small."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.normal(0.5, 0.1, (count, 3, 24, 24)).astype(np.float32)
    if planted:
        for image, label in zip(images, labels, strict=True):
            y, x = rng.choice([1, 18], 2)
            image[:, y : y + 5, x : x + 5] = np.array([label, 0.2, 1 - label])[:, None, None]
    else:
        images[labels == 1] += 0.1
    return images.clip(0, 1), labels


def test_one_answer_ignores_what_decides(tmp_path, capsys):
    torch.manual_seed(0)
    train, val = patched(240, 1), patched(120, 2)
    config = {
        "findings": {"act": "ask"},
        "guidance": {"effect_after": 0},
        "attribution": {"budget": 0},
    }
    session = coflect.Session(
        tiny_cnn(2), train, val, run_dir=tmp_path, batch_size=24, config=config
    )
    with session:
        blind = coflect.audit(session)  # before any training
        assert (blind.code, "nothing can be told" in str(blind).lower()) == (2, True)
        with pytest.warns(UserWarning, match="of 160 samples the model is surely right on"):
            assert not session.find_shortcuts()
        session.train(epochs=8)
        assert session.wait(240)
        assert session.find_shortcuts(timeout=240)
        first = session.findings[0]
        assert first.pull > 0.5
        assert first.interval[0] <= first.pull <= first.interval[1]
        assert first.held_out
        having = int(np.isin(train[1], first.classes).sum())  # of two colours one may be enough
        assert 0.9 * having <= first.count <= 240
        for index, roi in zip(first.index, first.regions, strict=True):
            planted = (train[0][index, 1] == np.float32(0.2)) & (train[0][index, 0] % 1 == 0)
            assert (IMAGE.mask(IMAGE.region(roi, "roi"), (24, 24)) & planted).sum() > 6
        assert session.advice.key == f"finding:{first.id}"
        assert "<img" in session.findings._repr_html_()

        found = coflect.audit(session, pictures=tmp_path / "found.html")
        assert found.code == 1
        assert first.id in capsys.readouterr().out
        assert "<img" in (tmp_path / "found.html").read_text()
        with pytest.raises(ValueError, match="no finding 'f9'; findings are: f1"):
            session.answer("f9", "wrong reason")
        with pytest.raises(ValueError, match="wrong reason"):
            session.answer(first, "no")
        assert not session.interventions

        told = session.answer(first, "wrong reason")
        assert len(told.record.found.index) == first.count
        assert [one.id for one in session.interventions] == [told.id]
        assert session.findings[0].answer == "wrong reason"
        with pytest.raises(ValueError, match=f"ignored already, by {told.id}; undo"):
            session.answer(first, "right reason")  # the place would stay ignored
        session.undo(told)
        assert session.interventions[0].undone
        # it is open again, as after a key that was not meant, and no second finding is made of it
        session._parts.stream.flush()
        assert (session.findings[0].answer, session.findings[0].intervention) == ("", "")
        assert session.advice.key == f"finding:{first.id}"
        session.answer(first, "right reason")
        assert [one.id for one in session.find_shortcuts()] == [one.id for one in session.findings]
        assert session.findings[0].answer == "right reason"
        assert coflect.audit(session).code == 0
        recorded = findings_of(session.events())
        assert recorded == list(session.findings)
        path = session.run.path
    assert coflect.audit(path).findings == recorded
    with pytest.raises(TypeError, match="give the model"):
        coflect.audit(path, train)


@pytest.mark.parametrize("kind", ["several labels", "two inputs"])
def test_what_cannot_be_looked_at_passes_no_audit(tmp_path, kind):
    if kind == "several labels":
        data = coflect.data.blobs(count=24, task="multi_label")
        model, more = tiny_cnn(3), {"task": "multi_label", "classes": data.classes}
        why = "only classifiers of one class"
    else:
        images, tables, labels = arrays()
        data, model, more = ((images, tables), labels), Both(), {}
        why = "models of several inputs"
    found = coflect.audit(model, data, **more)
    assert (found.code, why in str(found)) == (2, True)
    with coflect.Session(model, data, run_dir=tmp_path, **more) as session:
        with pytest.raises(ValueError, match=why):
            session.find_shortcuts()
        session.train(epochs=1)
        session.wait()
        run = session.run
    assert "did not look by itself" in str(coflect.audit(run))
    assert coflect.audit(run).code == 2


def test_what_has_faded_is_no_shortcut_any_more():
    rows = [PullThen(step=k, epoch=k, pull=p, low=p, high=p) for k, p in enumerate((0.9, 0.1))]
    kept = Finding(
        id="f1", index=[0], regions=[{}], looked=40, share=0.5, pull=0.9, interval=(0.8, 0.95),
        held_out=True, classes=[0], since=1, count=9, text="This place", history=rows[:1],
    )  # fmt: skip
    gone = kept.model_copy(update={"history": rows})
    assert Audit([kept], 0.5).code == 1
    assert Audit([gone], 0.5).code == 0
    assert "now 0.10: no longer" in str(Audit([gone], 0.5))


@pytest.mark.slow
def test_nothing_small_decides_and_off_looks_at_nothing(tmp_path):
    torch.manual_seed(0)
    train, val = patched(240, 1, planted=False), patched(120, 2, planted=False)
    for act in ("report", "off"):
        config = {"findings": {"act": act}, "attribution": {"budget": 0}}
        with coflect.Session(
            tiny_cnn(2), train, val, run_dir=tmp_path, batch_size=24, config=config
        ) as session:
            session.train(epochs=6)  # 60 steps, so that it would be looked at by itself
            assert session.wait(240)
            assert session._parts.findings.wait(240)
            assert not session.findings
            assert (session._parts.findings.rounds > 0) == (act == "report")
