"""Data sets that are slow to read: each sample once before training, and a line that says so."""

import collections
import threading

import numpy as np
import pytest
import torch
from torch import nn

from coflect_widget.backends import progress
from coflect_widget.backends import source as shared_source
from coflect_widget.backends.torch import data as torch_data
from tests.conftest import tiny_cnn


class Counted:
    """A map-style data set that counts its reads and fills one buffer for each item."""

    def __init__(self, target=lambda i: i % 4, length=300, others=()):
        self.reads = collections.Counter()
        self.buffer = torch.zeros(3, 16, 16)
        self.target, self.length, self.others = target, length, others

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        self.reads[i] += 1
        self.buffer.fill_(i / self.length)
        return (self.buffer, *self.others) if self.others else self.buffer, self.target(i)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = tiny_cnn(), nn.Linear(5, 4)

    def forward(self, x, more):
        return self.body(x) + self.head(more)


CASES = {
    "classes": lambda: (tiny_cnn(), Counted(), Counted(), {}),
    "fewer than are probed": lambda: (tiny_cnn(), Counted(length=20), Counted(length=7), {}),
    "two inputs": lambda: (
        TwoInputs(), Counted(others=(torch.ones(5),)), Counted(others=(torch.ones(5),)), {},
    ),
    "regression": lambda: (
        tiny_cnn(2), *(Counted(lambda i: torch.tensor([i / 7, 1.0])) for _ in range(2)),
        {"loss": nn.MSELoss()},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_sample_is_read_once_before_training(make_session, case):
    model, train, val, more = CASES[case]()
    session = make_session(model, train, val, **more)
    for data in (train, val):
        assert set(data.reads.values()) == {1}
        assert len(data.reads) == min(64, len(data))
    # What was read is forgotten, and the next reading is a new one.
    engine = session._backend
    assert engine.train_source.read_so_far() == []
    assert engine.read_sample(0).input.ravel()[0] == 0
    assert train.reads[0] == 2
    assert len(engine.labels()) == min(64, len(train))
    assert sum(train.reads.values()) == min(64, len(train)) + 1


def test_what_was_read_is_kept_in_memory_of_its_own():
    data = Counted()
    source = torch_data.Source(data, "train_data")
    assert source.read_so_far() == source.probes()
    for index in source.read_so_far():
        assert np.allclose(source.sample(index).input, index / 300)
    assert set(data.reads.values()) == {1}


def test_more_than_fits_is_not_kept(monkeypatch):
    monkeypatch.setattr(shared_source, "MOST_KEPT", 4 * 3 * 16 * 16 * 4 + 1)
    data = Counted()
    source = torch_data.Source(data, "train_data")
    assert source.read_so_far() == source.probes()[:4]
    assert source.sample(299).target == 299 % 4
    assert data.reads[299] == 2


def test_a_line_says_how_far_the_reading_is(make_session, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PACE", 0.0)
    make_session(data=Counted(length=10), val=Counted(length=3))
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert "Coflect: 1 of 10 samples of train_data read, 0 s; interrupt to cancel" in lines
    assert "Coflect: 3 of 3 samples of val_data read, 0 s" in [line.strip() for line in lines]


def test_quick_data_need_no_line(make_session, capsys):
    make_session(data=Counted(length=10))
    assert "Coflect" not in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_behind(make_session, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)

    class Interrupted(Counted):
        def __getitem__(self, i):
            torch.rand(1)
            if len(self.reads) == 5:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    threads = set(threading.enumerate())
    model = tiny_cnn()
    with pytest.raises(KeyboardInterrupt):
        make_session(model, Interrupted(), run_dir=tmp_path / "none")
    assert torch.equal(torch.rand(1), expected)
    assert set(threading.enumerate()) == threads
    assert not (tmp_path / "none").exists()
    assert capsys.readouterr().err.endswith("\n")
    session = make_session(model, Counted())
    session.train(steps=1)
    assert session.wait(240)


def test_in_a_notebook_one_output_changes():
    from jupyter_client import manager

    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:
        messages = []
        client.execute_interactive(
            "from coflect_widget.backends import progress\n"
            "progress.PATIENCE = progress.PACE = 0.0\n"
            "for _ in progress.shown(range(3), 3, 'samples of train_data'): pass",
            output_hook=messages.append,
            timeout=60,
        )
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    shown = [m for m in messages if "display_data" in m["msg_type"]]
    assert [m["msg_type"] for m in shown] == ["display_data"] + ["update_display_data"] * 3
    assert len({m["content"]["transient"]["display_id"] for m in shown}) == 1
    last = shown[-1]["content"]["data"]
    assert last == {"text/plain": "Coflect: 3 of 3 samples of train_data read, 0 s"}
    assert not [m for m in messages if m["msg_type"] == "stream"]
