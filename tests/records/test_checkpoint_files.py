"""Checkpoints on disk: what is written comes back, and what somebody else wrote is not believed."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from coflect_widget.records.checkpoint_files import (
    Contents,
    NoCheckpointError,
    Score,
    find_checkpoints,
    look_at,
    needless,
    pick,
    read_checkpoint,
    remove,
    sweep,
    weight_shapes,
    write_checkpoint,
)
from coflect_widget.records.tensors import NoTensorsError, read_tensors, write_tensors
from coflect_widget.records.trees import Bits, pack, unpack

KEYS = st.one_of(st.text(max_size=6), st.integers(-(2**70), 2**70), st.booleans())
ARRAYS = st.sampled_from(
    [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4)), np.array(3, np.uint8),
     np.array([True, False]), np.array([np.nan, np.inf]), np.array([1 + 2j], np.complex64)]
)  # fmt: skip
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


def alike(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype != bool)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return all(a == b and type(a) is type(b) and alike(x, y) for (a, x), (b, y) in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


@given(TREES)
def test_a_tree_comes_back_as_it_was(tree):
    packed = pack(tree)
    assert packed.lacks == []
    plain = json.loads(json.dumps(packed.plain, allow_nan=False))
    assert alike(unpack(plain, packed.arrays), tree)


def test_what_is_no_plain_value_is_left_out_and_named():
    packed = pack({"a": object(), "b": [1, {2, 3}], "c": {(1, 2): 1}, "d": np.array(["x"])})
    assert packed.lacks == [
        "a (object)", "b/1 (set)", "c/(1, 2) (its key is a tuple)", "d (an array of <U1)",
    ]  # fmt: skip
    assert unpack(packed.plain, packed.arrays) == {"b": [1, None], "c": {}}
    with pytest.raises(ValueError, match="is nothing that this version knows"):
        unpack({"$import": "os"}, {})


def test_any_reader_of_safetensors_reads_them(tmp_path):
    arrays = {"w": np.arange(4, dtype=np.float32), "n": np.array(7, np.int64)}
    file = tmp_path / "a.safetensors"
    size = write_tensors(file, {**arrays, "half": Bits(np.array([16256], np.uint16), "BF16")})
    assert size == file.stat().st_size
    with safe_open(file, "pt") as opened:
        assert opened.get_tensor("half").tolist() == [1.0]
        assert opened.get_tensor("w").tolist() == [0, 1, 2, 3]
    with file.open("rb") as opened:
        found = read_tensors(opened, size)
    assert found["half"].kind == "BF16"
    assert found["n"].shape == ()


def hostile(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff" * 8, struct.pack("<Q", 2**60), hostile(b"[1"), hostile([]),
        hostile({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}, bytes(8)),
        hostile({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(4)),
        hostile({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}}, bytes(8)),
        hostile({"w": {"dtype": "object", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        hostile({"w": 3}),
    ],
)  # fmt: skip
def test_a_file_that_lies_is_refused(tmp_path, content):
    file = tmp_path / "a"
    file.write_bytes(content)
    with file.open("rb") as opened, pytest.raises(NoTensorsError):
        read_tensors(opened, len(content))


def manifest(step, seq, **more):
    return {
        "step": step, "epoch": 0, "seq": seq, "reason": "time", "name": "", "score": None,
        "when": "2026-11-29T12:00:00+00:00", "lacks": [], "inexact": [], "facts": {}, **more,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path):
    (tmp_path / "events.jsonl").touch()
    return tmp_path


def written(run, step, seq, **more):
    contents = Contents({"w": np.full(3, step, np.float32)}, {"a": (1, np.arange(2))}, "{}")
    return write_checkpoint(run / "checkpoints", manifest(step, seq, **more), contents)


def resumed(run, number, seq, checkpoint):
    """The run goes on from that checkpoint, and leaves what came after event `seq`."""
    data = {"checkpoint": f"checkpoints/{checkpoint.path.name}", "seq": seq}
    event = {"seq": number, "ts": "2026-01-01T00:00:00Z", "run_id": "r", "type": "resumed",
             "step": 4, "epoch": 0, "data": data}  # fmt: skip
    with (run / "events.jsonl").open("a") as record:
        record.write(json.dumps(event) + "\n")


def test_the_best_is_of_the_course_that_the_run_took(run):
    best = {"metric": "accuracy", "direction": "higher", "value": 0.9}
    first = written(run, 2, 20, score={**best, "value": 0.6})
    left = written(run, 5, 50, score=best)
    kept = written(run, 4, 60)

    assert find_checkpoints(run).best == left
    resumed(run, 61, 30, kept)
    assert find_checkpoints(run).best == first
    assert find_checkpoints(run).of_course() == [first, kept]
    later = written(run, 7, 70, score={**best, "value": 0.7})
    assert find_checkpoints(run).best == later
    resumed(run, 80, 60, kept)  # once more, from there
    assert find_checkpoints(run).of_course() == [first, kept]
    resumed(run, 90, 50, left)  # and back to what was before
    assert find_checkpoints(run).of_course() == [first, left]


def test_why_none_is_the_best_is_said(run):
    written(run, 1, 10)
    with pytest.raises(ValueError, match='because no validation was made; pass checkpoint="last"'):
        pick("r", find_checkpoints(run), "best")
    written(run, 5, 50, score={"metric": "accuracy", "direction": "higher", "value": 0.9})
    kept = written(run, 3, 60)
    resumed(run, 61, 20, kept)  # a branch is kept: what was validated is left
    with pytest.raises(ValueError, match="no epoch was validated since it went on from"):
        pick("r", find_checkpoints(run), "best")
    assert pick("r", find_checkpoints(run), "last") == kept


def test_last_best_named_and_one_of_a_step(run):
    best = {"metric": "accuracy", "direction": "higher", "value": 0.9}
    written(run, 5, 50, name="a", score=best)
    written(run, 9, 90, score={**best, "value": 0.7})
    late = written(run, 5, 95)  # gone back, and at that step again
    found = find_checkpoints(run)
    assert [one.path.name for one in found] == [
        "step_00000005", "step_00000009", "step_00000005-2",
    ]  # fmt: skip
    assert found.last == late
    assert found.best is found["a"]
    assert found.of(5) == late
    assert str(found.best.score) == "accuracy 0.9 on validation, higher is better"
    assert not Score("loss", "lower", 2.0).beats(Score("loss", "lower", 1.0))
    assert load_file(late.weights)["w"].tolist() == [5, 5, 5]
    assert weight_shapes(late) == {"w": (3,)}
    assert alike(read_checkpoint(late).tree, {"a": (1, np.arange(2))})
    remove([late])
    assert find_checkpoints(run).of(5).name == "a"


def test_what_is_needless_counts_states_from_before_words_by_step(run):
    for seq, (step, reason) in enumerate(
        [(1, "said"), (2, "said"), (3, "knob"), (3, "knob"), (3, "said"), (5, "time"), (6, "time")]
    ):
        written(run, step, seq, reason=reason)
    written(run, 7, 9)
    found = find_checkpoints(run)
    left = [(one.step, one.seq) for one in found if one not in needless(found)]
    assert left == [(1, 0), (2, 1), (3, 4), (6, 6), (7, 9)]


def test_what_is_half_there_is_none_and_is_swept_away(run, monkeypatch):
    written(run, 1, 10)
    (run / "checkpoints" / ".step_00000002.00ff00ff00ff.part").mkdir()
    (run / "checkpoints" / ".step_00000002.00ff00ff00ff.part" / "weights.safetensors").touch()
    (run / "checkpoints" / "mine").mkdir()
    assert [one.step for one in find_checkpoints(run)] == [1]
    sweep(run)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["mine", "step_00000001"]

    def refused(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refused)
    with pytest.raises(OSError, match="No space"):
        written(run, 3, 30)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["mine", "step_00000001"]


def test_links_out_of_the_run_folder_are_not_followed(run, tmp_path_factory):
    one = written(run, 1, 10)
    other = tmp_path_factory.mktemp("other") / "weights.safetensors"
    one.weights.rename(other)
    one.weights.symlink_to(other)
    with pytest.raises(NoCheckpointError, match="leads outside the run folder"):
        look_at(run, one.path.name)
    assert find_checkpoints(run) == []


def test_more_than_is_asked_for_is_not_read(run):
    one = written(run, 1, 10)
    with pytest.raises(NoCheckpointError, match="at most 16 are read"):
        read_checkpoint(one, most=16)
