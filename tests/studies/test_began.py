"""When a finding began, from its pull in weights that were kept over the run."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import coflect_widget as coflect
from coflect_widget.backends.base import WeightSpec
from coflect_widget.data import synthetic
from coflect_widget.events import Finding, PullThen
from coflect_widget.modalities.image import IMAGE
from coflect_widget.studies.began import MOST, Course, Kept, Past, began, thinned
from coflect_widget.studies.looking import snapshot_of
from coflect_widget.studies.recorded_findings import findings_of
from coflect_widget.ui.began import add_pulls, with_beginning
from coflect_widget.ui.view import replay
from tests.conftest import tiny_cnn


def rising(means, donors=16, seed=0):
    """Pulls (n, donors) about these means."""
    rng = np.random.default_rng(seed)
    return np.array(means)[:, None] + rng.normal(0, 0.1, (len(means), donors))


@given(st.integers(0, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_change_is_found_where_it_is(at, seed):
    pulls = rising([0.0] * at + [0.9] * (10 - at), seed=seed)
    since, (low, high) = began(range(1, 11), pulls, 0)
    assert low <= since <= high
    assert since == at + 1


def test_what_came_and_went_has_begun_where_it_came_to_stay():
    pulls = rising([0.8, 0.1, 0.0, 0.2, 0.8, 0.9])
    assert began(range(2, 8), pulls, 0)[0] == 6
    assert began([3, 6, 12], rising([0.0, 0.0, 0.9]), 0) == (12, (7, 12))  # between two copies
    assert began([3, 6], rising([0.9, 0.9]), 0) == (3, (1, 3))  # before the first one
    assert began([1, 2], rising([0.9, -0.2]), 0) is None
    pulls[0] = np.nan  # nothing could be measured there
    assert began(range(2, 8), pulls, 0)[0] == 6
    apart = np.zeros((8, 8))  # of half of the samples it came earlier
    apart[2:, :4] = apart[5:, 4:] = 0.9
    assert began(range(1, 9), apart, 0)[1] == (3, 6)


@pytest.mark.parametrize(
    ("later", "dated"),
    [([0.5, 0.9], {"since": 4, "began": (4, 4)}), ([0.5, 0.1], {})],
    ids=["rising", "falling"],
)
def test_a_finding_is_dated_again_only_where_its_pull_is_largest(later, dated):
    fixed = dict(enumerate([0.0, 0.0, 0.4, *later], 1))
    looking = SimpleNamespace(
        carriers=lambda finding: [SimpleNamespace(x=np.zeros((3, 24, 24), np.float32))],
        bare=lambda weights, receivers: receivers,
        pulls=lambda weights, *given: np.full(8, fixed[weights], np.float32),
    )
    course = Course(lambda: lambda: None, 1000)
    past = Past(course, looking, IMAGE, lambda rng: np.zeros((4, 3, 24, 24)), 0)
    finding, pulls = Finding(
        id="f1", index=[1], regions=[{}], looked=9, share=1, pull=1, interval=(0.9, 1),
        held_out=False, classes=[0], since=3, count=1, text="?",
    ), {}  # fmt: skip

    def measured(newest):
        course.kept = [Kept(step, step, lambda step=step: step) for step in range(1, newest)]
        return past.measured(finding, pulls, Kept(newest, newest, lambda: newest))

    found = measured(3)
    assert (found["since"], found["began"]) == (3, (3, 3))
    finding = finding.model_copy(update=found)
    found = measured(5)
    assert [one.pull for one in found["history"]] == pytest.approx(list(fixed.values()))
    assert {key: found[key] for key in found if key != "history"} == dated


def test_copies_span_the_run_and_take_little_room():
    course = Course(lambda: lambda: None, 1000)
    for step in range(10, 10_010, 10):
        if course.copies(step):
            course.add(step, step // 10)
    steps = [one.step for one in course.kept]
    assert MOST // 3 <= len(steps) <= MOST
    assert steps[0] == 10
    assert steps[-1] > 9000
    assert max(np.diff(steps)) <= 3 * min(np.diff(steps)[:-1])
    assert not course.copies(steps[-1])
    again = course.add(steps[-1], 7)
    assert again is course.kept[-1]
    assert [one.step for one in course.kept] == steps
    course.go_back(5000)
    assert course.kept[-1].step <= 5000
    large = Course(lambda: lambda: None, 2**26)
    assert not large.copies(10)
    large.add(10, 1)  # to be looked at now
    assert not large.kept
    assert thinned(list(range(7))) == [0, 2, 4, 6]
    assert thinned(list(range(6))) == [0, 2, 4, 5]


class OnDevice:
    """A backend whose copies wait in memory that the next one takes once they were read."""

    explainer = ""

    def __init__(self):
        self.weight, self.pool, self.made = 0.0, [], 0

    def weight_specs(self):
        return [WeightSpec("w", (1,), "float32")]

    def copy_weights(self, destination):
        memory = self.pool.pop() if self.pool else np.zeros(1, np.float32)
        self.made += not memory[0]
        memory[0] = self.weight

        def finish():
            destination[0][:] = memory
            self.pool.append(memory)

        return finish


def test_weights_that_are_looked_at_again_are_those_that_were_copied():
    backend = OnDevice()
    course = Course(lambda: snapshot_of(backend, b"", None), 1000)
    for step in range(1, 6):
        backend.weight = float(step)
        course.add(step, step)
        course.finish()
        seen = [one.made().weights["w"][0] for one in course.kept]
        assert seen == list(range(1, step + 1))
    assert len(backend.pool) == backend.made == 1


def test_of_a_course_that_was_left_no_pull_is_kept(tmp_path):
    data = synthetic(n=40)
    given = {
        "run_dir": tmp_path,
        "batch_size": 20,
        "config": {"findings": {"act": "off"}, "attribution": {"budget": 0}},
    }
    with coflect.Session(tiny_cnn(4), data, **given) as session:
        session.train(steps=1)
        assert session.wait(240)
        session.checkpoint("early")
        session.train(steps=2)
        assert session.wait(240)
        rows = [PullThen(step=step, epoch=step, pull=0.5, low=0, high=1) for step in (1, 3)]
        session._parts.tell.emit(
            Finding(
                id="f1", index=[1], regions=[{}], looked=9, share=1, pull=1, interval=(0.9, 1),
                held_out=False, classes=[0], since=2, count=1, text="?", history=rows,
            )
        )  # fmt: skip
    early = session.run.checkpoints["early"]
    with coflect.Session(tiny_cnn(4), data, **given, resume=early) as session:
        assert [one.step for one in session._parts.findings.found[0].history] == [1]


def test_the_charts_have_its_line_and_its_mark():
    rows = [PullThen(step=10 * k, epoch=k, pull=k / 4, low=0, high=1) for k in range(1, 5)]
    finding = Finding(
        id="f1", index=[1], regions=[{}], looked=9, share=1, pull=1, interval=(0.9, 1),
        held_out=False, classes=[0], since=2, began=(2, 3), count=1, text="?", history=rows[:3],
    )  # fmt: skip
    series, marks = {}, [{"step": 5, "kind": "intervention", "text": "", "id": "i1"}]
    for newer in (finding, finding.model_copy(update={"history": rows})):
        add_pulls(newer, series)
        marks = with_beginning(marks, newer)
    assert series["f1/pull"].tolist() == [10, 0.25, 20, 0.5, 30, 0.75, 40, 1]
    assert [(one["kind"], one["step"]) for one in marks] == [("intervention", 5), ("finding", 20)]
    assert marks[1]["text"] == "finding f1 began at epoch 2 (epochs 2 to 3)"
    unknown = finding.model_copy(update={"began": None})
    assert len(with_beginning(marks, unknown)) == 1


class Switched(torch.utils.data.Dataset):
    """Noise that tells nothing; once `on`, a square in a corner tells the class."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.labels = np.arange(count) % 2
        self.plain = rng.normal(0.5, 0.1, (count, 3, 24, 24)).astype(np.float32)
        self.corner = rng.choice([1, 18], (count, 2))
        self.on = False

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image, label = self.plain[index].copy(), self.labels[index]
        if self.on:
            y, x = self.corner[index]
            image[:, y : y + 5, x : x + 5] = np.array([label, 0.2, 1 - label])[:, None, None]
        return image, int(label)


@pytest.mark.slow
def test_a_shortcut_that_comes_late_is_dated(tmp_path):
    torch.manual_seed(0)
    train, val = Switched(240, 1), Switched(120, 2)
    config = {"guidance": {"effect_after": 0}, "attribution": {"budget": 0}}
    session = coflect.Session(
        tiny_cnn(2), train, val, run_dir=tmp_path, batch_size=24, config=config,
        optimizer=lambda p: torch.optim.Adam(p, 3e-3),
    )  # fmt: skip
    with session:
        session.train(epochs=3)
        assert session.wait(240)
        train.on = val.on = True
        session.train(epochs=8)
        assert session.wait(240)
        [first, *_] = session.find_shortcuts(timeout=240)
        assert [one.epoch for one in first.history] == list(range(1, 12))
        assert all(one.pull < 0.3 for one in first.history[:3])
        assert first.history[-1].pull > 0.5
        learned = [one.epoch for one in first.history if one.pull >= first.history[-1].pull / 2]
        assert 3 < first.since <= max(learned)
        assert first.since in learned
        low, high = first.began
        assert low <= first.since <= high
        assert high - low <= 6
        assert findings_of(session.events())[0] == first
        full = replay(session.run).update(full=True)[0]
        assert [one["name"] for one in full["metrics"]].count(f"{first.id}/pull") == 1
        assert {"finding"} <= {one["kind"] for one in full["markers"]}
        session.train(epochs=1)  # the pull is followed where it is looked at again
        assert session.wait(240)
        again = session.find_shortcuts(timeout=240)[0]
        assert first.since <= again.since <= 12
        assert [one.epoch for one in again.history] == list(range(1, 13))
