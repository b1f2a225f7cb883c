import errno
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from coflect_widget.attribution.errors import StaleSnapshotError
from coflect_widget.attribution.snapshots import SnapshotReader, Snapshots
from coflect_widget.backends.base import WeightSpec
from coflect_widget.workers.shared_memory import SharedBlock, attach

SPECS = [
    WeightSpec("a", (3, 5), "float32"),
    WeightSpec("steps", (), "int64"),
    WeightSpec("empty", (0, 4), "float32"),
    WeightSpec("b", (1000,), "float16"),
]


def fill(value):
    def copy(arrays):
        for array in arrays:
            array[...] = value

    return copy


def read(reader, ref):
    found = {}
    reader.read(ref, lambda views: found.update({k: v.copy() for k, v in views.items()}))
    return found


@pytest.mark.parametrize("anonymous", [None, False])
def test_a_block_is_read_by_another_process_and_gone_after_close(anonymous):
    with SharedBlock(100, anonymous=anonymous) as block:
        block.buffer[:5] = b"hello"
        path = block.address.path
        code = (
            "import pickle, sys; from coflect_widget.workers.shared_memory import attach\n"
            "view = attach(pickle.loads(bytes.fromhex(sys.argv[1])))\n"
            "assert view.readonly; print(bytes(view[:5]).decode(), len(view))"
        )
        address = pickle.dumps(block.address).hex()
        out = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, check=True
        )
        assert out.stdout.split() == ["hello", "100"]
    assert not Path(path).exists()
    with pytest.raises(FileNotFoundError):
        attach(block.address)


def test_another_file_under_the_same_number_is_noticed():
    block = SharedBlock(100)
    address = block.address
    block.close()
    others = [SharedBlock(100) for _ in range(3)]
    if any(other.address.path == address.path for other in others):
        with pytest.raises(FileNotFoundError, match="gone"):
            attach(address)
    for other in others:
        other.close()


def test_what_is_written_is_read_and_cannot_be_changed_by_the_reader():
    snapshots = Snapshots(SPECS)
    assert snapshots.lease() is None
    snapshots.wanted = True
    assert snapshots.write(7, fill(2))
    assert not snapshots.wanted
    with snapshots.lease() as lease:
        assert lease.step == snapshots.newest_step == 7
        found = read(SnapshotReader(lease.ref), lease.ref)
        for spec in SPECS:
            assert found[spec.name].shape == spec.shape
            assert found[spec.name].dtype == spec.dtype
            assert (found[spec.name] == 2).all()

        def vandal(views):
            views["a"][0] = 1

        with pytest.raises(ValueError, match="read-only"):
            SnapshotReader(lease.ref).read(lease.ref, vandal)
    snapshots.close()


def test_arrays_are_aligned():
    snapshots = Snapshots(SPECS)
    for slot in (0, 1):
        for array in snapshots.views(slot).values():
            assert array.ctypes.data % 64 == 0
    del array
    snapshots.close()


def test_a_leased_slot_is_never_written_and_the_writer_does_not_wait():
    snapshots = Snapshots(SPECS)
    snapshots.write(1, fill(1))
    first = snapshots.lease()
    assert snapshots.write(2, fill(2))
    assert snapshots.write(3, fill(3))  # over step 2, which nobody reads
    second = snapshots.lease()
    assert second.step == 3
    snapshots.wanted = True
    assert not snapshots.write(4, fill(4))  # both are read
    assert snapshots.wanted
    assert (read(SnapshotReader(first.ref), first.ref)["a"] == 1).all()
    first.close()
    first.close()
    assert snapshots.write(5, fill(5))
    assert (read(SnapshotReader(second.ref), second.ref)["a"] == 3).all()
    second.close()
    snapshots.close()


def test_a_reader_that_outlived_its_lease_notices():
    snapshots = Snapshots(SPECS)
    snapshots.write(1, fill(1))
    lease = snapshots.lease()
    reader = SnapshotReader(lease.ref)
    lease.close()
    snapshots.write(2, fill(2))
    snapshots.write(3, fill(3))
    with pytest.raises(StaleSnapshotError, match="step 1"):
        read(reader, lease.ref)
    snapshots.close()


def test_a_copy_that_fails_leaves_the_older_snapshot():
    snapshots = Snapshots(SPECS)
    snapshots.write(1, fill(1))

    def broken(arrays):
        arrays[0][...] = 9
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        snapshots.write(2, broken)
    with snapshots.lease() as lease:
        assert lease.step == 1
        assert (read(SnapshotReader(lease.ref), lease.ref)["a"] == 1).all()
    assert snapshots.write(3, fill(3))
    snapshots.close()


def test_under_a_writer_that_never_rests_no_mixture_is_accepted():
    specs = [WeightSpec(str(i), (20_000,), "float32") for i in range(4)]
    snapshots = Snapshots(specs)
    snapshots.write(0, fill(0))
    end = threading.Event()

    def write():
        step = 1
        while not end.is_set():
            snapshots.write(step, fill(step))
            step += 1

    with snapshots.lease() as lease:
        reader = SnapshotReader(lease.ref)
    thread = threading.Thread(target=write)
    thread.start()
    accepted = stale = 0
    try:
        i, until = 0, time.monotonic() + 10
        while time.monotonic() < until and not (accepted > 50 and stale > 5):
            lease = snapshots.lease()
            if lease is None:
                time.sleep(0.0005)  # the newest is being overwritten, the other is read
                continue
            i += 1
            if i % 2:
                lease.close()  # as if its job had been given up
                time.sleep(i % 3 * 0.001)
            try:
                found = read(reader, lease.ref)
            except StaleSnapshotError:
                assert i % 2, "a leased slot was overwritten"
                stale += 1
            else:
                accepted += 1
                values = {float(v) for array in found.values() for v in (array.min(), array.max())}
                assert values == {float(lease.step)}
            lease.close()
    finally:
        end.set()
        thread.join()
    assert accepted > 50
    assert stale > 5
    snapshots.close()


def test_copies_do_not_change_with_the_slot():
    snapshots = Snapshots(SPECS)
    snapshots.write(1, fill(1))
    with snapshots.lease() as lease:
        copies = lease.copies()
    snapshots.write(2, fill(2))
    snapshots.write(3, fill(3))
    assert np.all(copies["a"] == 1)
    snapshots.close()
    assert not snapshots.write(4, fill(4))


def test_without_room_in_memory_a_file_is_taken_and_the_person_told(make_session, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "memfd_create", full)
    session = make_session()
    session.train(steps=5)
    session.wait(240)
    assert session.explain(0).map.shape == (32, 32)
    notices = [event.data["text"] for event in session.events("notice")]
    assert any("no room in memory" in text for text in notices)
    file = session._made().snapshots.fallback
    assert file.is_file()
    session.close()
    assert not file.exists()


def test_a_device_that_copies_by_itself_is_not_waited_for():
    snapshots, copied = Snapshots(SPECS), threading.Event()

    def begin(arrays):
        def finish():
            copied.wait(20)
            fill(7)(arrays)

        return finish

    assert snapshots.write(3, fill(3))
    snapshots.wanted = True
    assert snapshots.write(7, begin)
    assert snapshots.written == 1  # it has returned, and the copy goes on
    with snapshots.lease() as lease:
        assert lease.step == 3  # readers have the older one meanwhile
    assert not snapshots.write(8, fill(8))  # one at a time
    copied.set()
    assert snapshots.wait_newer(1, 20)
    with snapshots.lease() as lease:
        assert lease.step == 7
        assert lease.copies()["b"][0] == 7
    assert not snapshots.wanted
    snapshots.close()


def test_a_device_copy_that_fails_leaves_the_older_snapshot(recwarn):
    snapshots = Snapshots(SPECS)

    def begin(arrays):
        def finish():
            raise RuntimeError("the device is gone")

        return finish

    snapshots.write(3, fill(3))
    before, threading.excepthook = threading.excepthook, lambda _: None
    try:
        assert snapshots.write(4, begin)
        until = time.monotonic() + 10
        while snapshots._writing and time.monotonic() < until:
            time.sleep(0.001)
    finally:
        threading.excepthook = before
    assert snapshots.newest_step == 3
    assert snapshots.write(5, fill(5))
    assert snapshots.newest_step == 5
    snapshots.close()


def test_a_kept_step_outlasts_others_while_there_is_another_slot():
    snapshots = Snapshots(SPECS)
    snapshots.kept = 40
    for step in (38, 40, 41, 44):
        assert snapshots.write(step, fill(step))
    with snapshots.lease(40) as kept, snapshots.lease() as newest:
        assert (kept.step, newest.step) == (40, 44)
        found = read(SnapshotReader(kept.ref), kept.ref)
        assert (found["a"] == 40).all()
    assert snapshots.lease(38) is None
    with snapshots.lease():  # 44
        assert snapshots.write(50, fill(50))  # training does not wait for what is kept
    assert snapshots.lease(40) is None
    snapshots.close()


def test_half_a_snapshot_is_of_no_step():
    snapshots = Snapshots(SPECS)
    snapshots.write(3, fill(3))

    def broken(arrays):
        arrays[0][...] = 9
        raise ValueError("device lost")

    snapshots.write(4, fill(4))
    with pytest.raises(ValueError, match="device lost"):
        snapshots.write(5, broken)
    assert snapshots.lease(3) is None
    assert snapshots.lease(5) is None
    snapshots.close()
