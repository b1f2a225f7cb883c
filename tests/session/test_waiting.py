"""Calls that wait for the training: they end, or say what they wait for."""

import subprocess
import sys
import textwrap
import threading
import time
import warnings

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coflect_widget.backends.base import NonFiniteLossError
from tests.conftest import eventually, tiny_cnn


def answered(call, seconds=20):
    """What `call()` raises, on a thread that must be done within `seconds`; None for nothing."""
    raised = []

    def run():
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - that is what is asked
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"it still waits after {seconds} s"
    return raised[0] if raised else None


def with_nan(shapes, *rows, value=np.nan, count=96):
    images = shapes.images[:count].copy()
    for row in rows:
        images[row, 0, 3, 3] = value
    return images, shapes.labels[:count]


# --- a loss that is not finite ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "value", "words"),
    [
        ((17,), np.nan, r'Sample 17 has input values that are NaN .*judge\(17, "leave out"\)'),
        ((5, 40), np.inf, r"Samples .* have input values .* for each of \["),
    ],
)
def test_wait_in_a_script_names_the_samples_and_what_to_do_works(
    make_session, shapes, rows, value, words
):
    session = make_session(data=with_nan(shapes, *rows, value=value), batch_size=96)
    session.train(epochs=3)
    with pytest.raises(NonFiniteLossError, match=words) as raised:
        session.wait()
    assert all(str(row) in str(raised.value) for row in rows)
    assert session.state == "paused"
    notice = [e.data.text for e in session.events("notice") if e.data.level == "error"][-1]
    assert str(raised.value).startswith(notice)
    with pytest.raises(NonFiniteLossError):  # a second call does not hang either
        session.wait(240)
    for row in rows:
        session.judge(row, "leave out")
    session.resume()
    assert session.wait(240)
    assert session.state == "finished"


def test_resume_alone_goes_on_to_the_end_and_leaves_the_batch_out(make_session, shapes):
    session = make_session(data=with_nan(shapes, 17), batch_size=32)
    session.train(epochs=1)
    with pytest.raises(NonFiniteLossError):
        session.wait()
    session.resume()
    assert session.wait(240)
    assert session.metrics["step"] == 2


def test_outputs_that_are_not_finite_name_their_samples(make_session, shapes):
    class Divides(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny_cnn()
            self.inner[1] = nn.Identity()  # one sample's NaN stays with it

        def forward(self, x):
            return self.inner(x) / (x.amax((1, 2, 3)) != 0)[:, None].float()

    images, labels = with_nan(shapes)
    images[23] = 0
    session = make_session(model=Divides(), data=(images, labels), batch_size=96)
    session.train(epochs=1)
    with pytest.raises(NonFiniteLossError, match="Sample 23 has outputs of the model"):
        session.wait()


def test_a_loss_that_alone_is_not_finite_names_the_largest(make_session, shapes):
    def loss(logits, targets):
        return nn.functional.cross_entropy(logits, targets) * torch.tensor(float("inf"))

    session = make_session(loss=loss)
    session.train(epochs=1)
    with pytest.raises(NonFiniteLossError, match=r"largest losses .* samples \d+ \(") as raised:
        session.wait()
    assert "session.resume()" in str(raised.value)


def test_weights_that_are_gone_are_called_so(make_session, shapes):
    model = tiny_cnn()
    session = make_session(model=model)
    with torch.no_grad():
        model[-1].weight.fill_(float("nan"))
    session.train(epochs=1)
    with pytest.raises(NonFiniteLossError, match="the model's weights no longer are finite"):
        session.wait()


def test_a_regression_names_them_too(make_session, shapes):
    images, labels = with_nan(shapes, 11)
    session = make_session(
        model=tiny_cnn(1), data=(images, labels.astype(np.float32)), loss=nn.functional.mse_loss,
        batch_size=96,
    )  # fmt: skip
    session.train(epochs=1)
    with pytest.raises(NonFiniteLossError, match="Sample 11 has input values"):
        session.wait()


def test_where_a_browser_shows_the_dashboard_wait_says_where_to_press(make_session, shapes, capfd):
    session = make_session(data=with_nan(shapes, 17), batch_size=96)
    session.dashboard()
    controls = session._dashboard.inbox
    controls._receive(None, {"kind": "hello", "id": "page"}, [])
    session.train(epochs=1)
    eventually(lambda: session.state == "paused")
    waited = threading.Thread(target=session.wait, daemon=True)
    waited.start()
    said = eventually(lambda: capfd.readouterr().err)
    assert "Sample 17" in said
    assert "Press Resume" in said
    assert waited.is_alive()
    controls._receive(None, {"kind": "resume", "id": "r"}, [])
    waited.join(60)
    assert session.state == "finished"


def test_a_dashboard_that_no_browser_shows_does_not_make_it_wait(make_session, shapes, monkeypatch):
    monkeypatch.setattr("coflect_widget.session.waiting.BROWSER_SECONDS", 0.5)
    session = make_session(data=with_nan(shapes, 17), batch_size=96)
    session.dashboard()
    session.train(epochs=1)
    assert isinstance(answered(session.wait), NonFiniteLossError)


@pytest.mark.slow
def test_a_notebook_that_runs_without_a_browser_ends_with_the_error(tmp_path):
    cells = [
        f"""
        import numpy as np, coflect_widget as coflect
        from tests.conftest import tiny_cnn
        data = coflect.data.synthetic(n=96)
        images = data.images.copy(); images[17] = np.nan
        session = coflect.Session(tiny_cnn(), (images, data.labels), run_dir={str(tmp_path)!r})
        session.train(epochs=1)
        session
        """,
        "session.wait()",
    ]
    made = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=made)
    NotebookClient(notebook, timeout=240, allow_errors=True, kernel_name="python3").execute()
    [error] = [o for o in notebook.cells[1].outputs if o.output_type == "error"]
    assert error.ename == "NonFiniteLossError"
    assert "Sample 17 has input values" in error.evalue


def test_a_loop_of_ones_own_that_nobody_could_resume_is_not_held(make_session, shapes):
    images, labels = (torch.as_tensor(a) for a in with_nan(shapes, 17))
    data = TensorDataset(images, labels)
    model = tiny_cnn()
    session = make_session(model=model, data=data)
    seen = []

    def loop():
        for x, y in session.loop(DataLoader(data, 32), epochs=2):
            seen.append(len(x))
            session.observe(None, model(x), y)
            eventually(lambda: len(seen) < 2 or session.events("notice"))  # it is found out

    with pytest.warns(RuntimeWarning, match=r"Sample 17 has input values.*goes on"):
        assert answered(loop, 60) is None
    assert seen == [32] * 6
    texts = [e.data.text for e in session.events("notice") if "Sample 17" in e.data.text]
    assert len(texts) == 1  # not each epoch anew


def test_a_loop_of_ones_own_is_held_where_a_browser_can_resume_it(make_session, shapes):
    images, labels = (torch.as_tensor(a) for a in with_nan(shapes, 17))
    data = TensorDataset(images, labels)
    model = tiny_cnn()
    session = make_session(model=model, data=data)
    session.dashboard()
    session._dashboard.inbox._receive(None, {"kind": "hello", "id": "page"}, [])

    def loop():
        for x, y in session.loop(DataLoader(data, 32), epochs=40):
            session.observe(None, model(x), y)
            time.sleep(0.02)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        eventually(lambda: session.state == "paused")
        assert any("Sample 17" in e.data.text for e in session.events("notice"))
        session._parts.desk.order("stop")
        thread.join(30)
    assert not thread.is_alive()


# --- a person's pause ---------------------------------------------------------------------------


def test_wait_says_that_a_pause_is_what_it_waits_for(make_session, capfd, monkeypatch):
    monkeypatch.setattr("coflect_widget.session.waiting.SAY_SECONDS", 0.3)
    session = make_session()
    session.train(epochs=2)
    session.pause()
    waited = threading.Thread(target=session.wait, daemon=True)
    waited.start()
    said = eventually(lambda: capfd.readouterr().err)
    assert "training is paused at step" in said
    assert "session.resume()" in said
    time.sleep(0.5)
    assert capfd.readouterr().err == ""  # once a pause
    session.resume()
    waited.join(60)
    assert session.state == "finished"


@pytest.mark.parametrize(
    ("call", "against"), [("resume", "pause"), ("pause", "resume"), ("step", "resume")]
)
def test_a_command_that_another_one_takes_back_returns(make_session, monkeypatch, call, against):
    """As somebody who presses the opposite button before training has taken notice."""
    session = make_session()
    parts = session._parts
    session.train(steps=10**7)
    if call != "pause":
        session.pause()
    method = "advance" if call == "step" else "order"
    sent = getattr(parts.desk, method)

    def both(*asked):
        with parts.controls._condition:  # training sees the second one alone
            done = sent(*asked)
            parts.controls.resume() if against == "resume" else parts.controls.pause()
        return done

    monkeypatch.setattr(parts.desk, method, both)
    assert answered(getattr(session, call)) is None
    parts.controls.stop()


# --- a data set that ends its process, or never returns -------------------------------------------


class Odd(torch.utils.data.Dataset):
    """Raises, or hangs, in the reading of sample 50, once it is told to."""

    def __init__(self, shapes):
        self.shapes, self.act = shapes, None

    def __len__(self):
        return 96

    def __getitem__(self, index):
        if index == 50 and self.act is not None:
            self.act()
        return torch.from_numpy(self.shapes.images[index]), int(self.shapes.labels[index])


def raises(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_a_data_set_raises_to_end_its_process_ends_neither_maps_nor_searches(
    make_session, shapes, error
):
    data = Odd(shapes)
    session = make_session(data=data)
    data.act = raises(error)
    found = answered(lambda: session.explain(50, timeout=60), 90)
    assert isinstance(found, RuntimeError)
    assert type(error).__name__ in str(found)
    assert session.explain(49).index == 49  # the lane goes on
    entry = session.feedback(sample=3, ignore=(0, 0, 0.2, 0.2))
    found = answered(lambda: session.similar(entry, timeout=60), 90)
    assert type(error).__name__ in str(found)
    data.act = None
    assert isinstance(session.similar(entry), list)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_the_same_in_training_is_a_failure_that_is_said(make_session, shapes, error):
    data = Odd(shapes)
    session = make_session(data=data)
    data.act = raises(error)
    session.train(epochs=1)
    with pytest.raises(RuntimeError, match=type(error).__name__):
        session.wait(240)
    assert session.state == "failed"
    [failure] = session.events("failure")
    assert type(error).__name__ in failure.data.error
    data.act = None
    session.train(epochs=1)
    assert session.wait(240)


def test_a_read_that_never_returns_does_not_hold_up_close(make_session, shapes):
    data, release = Odd(shapes), threading.Event()
    session = make_session(data=data)
    data.act = release.wait
    try:
        session.train(epochs=1)
        eventually(lambda: data.act is None or session.state == "training")
        time.sleep(0.5)
        began = time.monotonic()
        with pytest.warns(RuntimeWarning, match="still being read"):
            session.close()
        assert time.monotonic() - began < 20
    finally:
        release.set()


def test_a_hanging_map_does_not_hold_up_close(make_session, shapes):
    data, release, reads = Odd(shapes), threading.Event(), threading.Event()
    session = make_session(data=data, executor=None, config={"attribution": {"budget": 6.0}})
    scheduler = session._parts.scheduler
    data.act = lambda: (reads.set(), release.wait())
    try:
        session._parts.desk.explain(50)
        assert reads.wait(90)
        scheduler.request(50, "periodic")  # one that waits for the same would have been joined
        eventually(lambda: len(scheduler._queue._in_flight) == 2, what="the hanging of both lanes")
        began = time.monotonic()
        session.close()
        assert time.monotonic() - began < 15
    finally:
        release.set()


def test_a_step_that_computes_long_is_waited_for(make_session, shapes):
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny_cnn()
            self.going = threading.Event()

        def forward(self, x):
            if self.training:
                self.going.set()
                time.sleep(6)
            return self.inner(x)

    model = Slow()
    session = make_session(model=model, config={"attribution": {"checks": False}})
    session.train(steps=1000)
    assert model.going.wait(30)
    session.close()
    assert session.state == "stopped"
    assert session.run.checkpoints.last.reason == "stopped"


# --- loops that say nothing ----------------------------------------------------------------------


def test_a_loop_without_observe_is_told_the_line_to_add(make_session, shapes):
    data = TensorDataset(torch.as_tensor(shapes.images), torch.as_tensor(shapes.labels))
    session = make_session(data=data)
    with pytest.warns(RuntimeWarning, match=r"session\.observe\(None, logits, y\)"):
        for _ in session.loop(DataLoader(data, 64), epochs=3):
            pass
    texts = [e.data.text for e in session.events("notice")]
    assert len([text for text in texts if "never calls observe()" in text]) == 1


def test_a_loop_that_is_left_early_over_batches_of_unknown_samples_is_told_of_indices(
    make_session, shapes
):
    batches = [(torch.as_tensor(shapes.images[:8]), torch.as_tensor(shapes.labels[:8]))] * 5
    session = make_session()

    def leave():
        for number, _ in enumerate(session.loop(batches)):
            if number == 3:
                break

    with pytest.warns(RuntimeWarning, match=r"session\.observe\(indices, logits, y\)"):
        leave()


def test_a_loop_that_observes_is_told_nothing(make_session, shapes):
    data = TensorDataset(torch.as_tensor(shapes.images), torch.as_tensor(shapes.labels))
    model = tiny_cnn()
    session = make_session(model=model, data=data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, y in session.loop(DataLoader(data, 64)):
            session.observe(None, model(x), y)
    assert not any("observe" in e.data.text for e in session.events("notice"))


def test_a_script_that_waits_on_a_nan_ends_with_the_message(tmp_path):
    code = f"""
import numpy as np, coflect_widget as coflect
from tests.conftest import tiny_cnn
from tests.one_worker import no_workers
data = coflect.data.synthetic(n=96)
images = data.images.copy(); images[17] = np.nan
where = {{"run_dir": {str(tmp_path)!r}, **no_workers()}}
session = coflect.Session(tiny_cnn(), (images, data.labels), **where)
session.train(epochs=1)
session.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "NonFiniteLossError: Paused after step" in done.stderr
    assert "Sample 17" in done.stderr
