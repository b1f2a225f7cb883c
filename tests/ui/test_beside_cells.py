"""A real kernel with a busy cell, asked by a page that names no subshell for its messages."""

import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

SHOWN = """
import time
import ipywidgets
import coflect_widget as coflect
from tests.conftest import tiny_cnn
data = coflect.data.synthetic(n=64)
session = coflect.Session(tiny_cnn(), data, run_dir={runs!r})
dashboard = session.dashboard()
other = ipywidgets.IntSlider()
print(dashboard.model_id, session._dashboard.inbox.model_id, other.model_id)
"""
FREE = "print('the cell goes on')"


class Page:
    """Sends what a notebook's page sends; everything is asked while a cell waits for input."""

    def __init__(self, client):
        self.client = client
        self.seen = []

    def send(self, kind, content, *, subshell=None, metadata=None):
        message = self.client.session.msg(kind, content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def say(self, comm, content, **where):
        """A widget's message to its kernel side."""
        return self.send("comm_msg", {"comm_id": comm, "data": content}, **where)

    def until(self, wanted, seconds=60):
        """The first message, of now or of before, that is wanted."""
        until = time.monotonic() + seconds
        while True:
            for at, message in enumerate(self.seen):
                if wanted(message):
                    return self.seen.pop(at)
            assert time.monotonic() < until, [m["msg_type"] for m in self.seen]
            for take in (self.client.get_shell_msg, self.client.get_iopub_msg):
                try:
                    self.seen.append(take(timeout=0.05))
                except queue.Empty:
                    continue

    def answer(self, asked):
        return self.until(
            lambda m: m["parent_header"].get("msg_id") == asked and m["msg_type"].endswith("_reply")
        )["content"]

    def data(self, comm, method, seconds=60):
        """What a widget's kernel side said next."""
        return self.until(
            lambda m: (
                m["msg_type"] == "comm_msg"
                and m["content"]["comm_id"] == comm
                and m["content"]["data"].get("method") == method
            ),
            seconds,
        )["content"]["data"]


@pytest.fixture
def busy(tmp_path):
    """A page, and the ids of dashboard, controls and another widget, beside a busy cell."""
    kernel, client = start_new_kernel(startup_timeout=120)
    page = Page(client)
    try:
        client.execute(SHOWN.format(runs=str(tmp_path / "runs")))
        said = page.until(lambda m: m["msg_type"] in ("stream", "error"), 120)
        assert said["msg_type"] == "stream", said["content"]
        cell = client.execute(f"input('busy')\n{FREE}")
        client.get_stdin_msg(timeout=60)  # from here on the cell is held by this test
        yield page, cell, *said["content"]["text"].split()
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def free(page, cell):
    page.client.input("")
    assert page.answer(cell)["status"] == "ok"


def test_a_page_finds_its_widgets_and_is_answered_beside_a_busy_cell(busy):
    page, cell, dashboard, controls, other = busy
    # as JupyterLab after a reload, in its order
    assert page.answer(page.send("kernel_info_request", {}))["status"] == "ok"
    control = {"comm_id": "page", "target_name": "jupyter.widget.control", "data": {}}
    page.send("comm_open", control, metadata={"version": "1.0.0"})
    page.say("page", {"method": "request_states"})
    states = page.data("page", "update_states")["states"]
    assert {dashboard, controls, other} <= set(states)
    page.send("comm_close", {"comm_id": "page", "data": {}})
    comms = page.answer(page.send("comm_info_request", {"target_name": "jupyter.widget"}))
    assert {dashboard, controls} <= set(comms["comms"])

    hello = {"method": "custom", "content": {"kind": "hello", "id": "me"}}
    page.say(controls, hello)
    assert page.data(dashboard, "custom")["content"]["full"]
    # a subshell that ended with the page that asked for it
    page.say(controls, hello, subshell="gone")
    assert page.data(dashboard, "custom")["content"]["full"]
    # an answer on the very comm, which ties it to a shell in ipykernel 7.4
    page.say(controls, {"method": "request_state"})
    page.data(controls, "update")
    page.say(controls, hello)
    assert page.data(dashboard, "custom")["content"]["full"]

    # everything else waits for the cell, as it always did
    page.say(other, {"method": "request_state"})
    with pytest.raises(AssertionError):
        page.data(other, "update", seconds=1)
    free(page, cell)
    page.data(other, "update")
    assert page.answer(page.client.execute("other.value"))["status"] == "ok"


@pytest.mark.slow
def test_a_subshell_of_the_page_is_kept(busy):
    page, cell, dashboard, controls, _ = busy
    asked = page.client.session.msg("create_subshell_request", {})
    page.client.control_channel.send(asked)
    subshell = page.client.control_channel.get_msg(timeout=30)["content"]["subshell_id"]
    hello = {"method": "custom", "content": {"kind": "hello", "id": "me"}}
    asked = page.say(controls, hello, subshell=subshell)
    status = page.until(
        lambda m: m["msg_type"] == "status" and m["parent_header"].get("msg_id") == asked
    )
    assert status["parent_header"]["subshell_id"] == subshell
    assert page.data(dashboard, "custom")["content"]["full"]
    free(page, cell)
