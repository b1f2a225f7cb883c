"""What a notebook's page sends about widgets is handled beside a busy cell, from any notebook.

ipykernel 7 has subshells, threads beside the one that runs the cells, and JupyterLab sends
messages about widgets to one of them. Three kinds of messages come without one and would wait
behind all cells that are queued: what JupyterLab sends before it has been given a subshell, what
a reloaded page asks in order to find the widgets again, and everything from a notebook that knows
no subshells. They get a subshell of their own here, and so do those that name one that has ended.
All other messages are left alone, and so is the kernel where ipykernel is older.
"""

from __future__ import annotations

import threading
from typing import Any

WIDGETS = "jupyter.widget"
FINDS_WIDGETS = "jupyter.widget.control"  # the comm over which a reloaded page asks for all widgets

_ABOUT_WIDGETS = frozenset({"kernel_info_request", "comm_info_request", "comm_open", "comm_msg"})
_lock = threading.Lock()


def answer_beside_cells(comm: Any) -> None:
    """Have the messages on this comm, and the search of a reloaded page, handled beside the cells.

    Parameters
    ----------
    comm : comm.BaseComm or None
        Of a widget on which nothing is ever published; without a kernel of ipykernel 7 behind it
        nothing changes.
    """
    kernel: Any = getattr(comm, "kernel", None)
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is None or getattr(kernel, "shell_stream", None) is None:
        return
    with _lock:
        beside = getattr(kernel, "_coflect_beside_cells", None)
        if beside is None:
            beside = kernel._coflect_beside_cells = BesideCells(kernel)
            thread.io_loop.add_callback(beside.begin)
    # ipykernel 7.4 sends a message to the shell that last published on its comm; opening the
    # comm counts, and so does the answer to a page that asks for the widget's state. That shell
    # may be the one that runs the cells.
    comm._reply_subshell_for = None
    beside.comms.add(comm.comm_id)


class BesideCells:
    """Sorts the messages of one kernel's shell channel, on the thread that reads them.

    Attributes
    ----------
    comms : set of str
        Ids of the comms whose messages are handled beside the cells.
    """

    def __init__(self, kernel: Any) -> None:
        self.comms: set[str] = set()
        self._kernel = kernel
        self._handle = kernel.shell_channel_thread_main
        self._subshell: str | None = None

    def begin(self) -> None:
        """Read the shell channel from now on; on its thread."""
        self._kernel.shell_stream.on_recv(self._receive, copy=False)

    async def _receive(self, message: list[Any]) -> None:
        try:
            message = self._with_subshell(message)
        except Exception:  # ipykernel gets it as it came, and says what is wrong
            self._kernel.log.debug("coflect-widget left a message as it came", exc_info=True)
        await self._handle(message)

    def _with_subshell(self, message: list[Any]) -> list[Any]:
        """The message, with a subshell in its header where it is about widgets and has none."""
        import zmq

        session = self._kernel.session
        subshells = self._kernel.shell_channel_thread.manager
        idents, frames = session.feed_identities(message, copy=False)
        parsed = session.deserialize(frames, content=False, copy=False)
        header = parsed["header"]
        known = subshells.list_subshell()
        if header.get("subshell_id") in known or header["msg_type"] not in _ABOUT_WIDGETS:
            return message
        content = parsed["content"] = session.unpack(parsed["content"])
        if not self._concerns_widgets(header["msg_type"], content):
            return message
        if self._subshell not in known:
            self._subshell = subshells._create_subshell()
        header["subshell_id"] = self._subshell
        parts = [*session.serialize(parsed, ident=idents), *parsed["buffers"]]
        return [zmq.Frame(part) for part in parts]

    def _concerns_widgets(self, kind: str, content: dict[str, Any]) -> bool:
        if kind == "kernel_info_request":  # a reloaded page asks nothing else before its answer
            return True
        if kind == "comm_info_request":
            return bool(content.get("target_name") == WIDGETS)
        if kind == "comm_open" and content.get("target_name") == FINDS_WIDGETS:
            self.comms.add(content["comm_id"])
        return content.get("comm_id") in self.comms
