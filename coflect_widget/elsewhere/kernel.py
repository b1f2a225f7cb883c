"""A Jupyter kernel that runs no code: it answers comm messages and says who it is.

It speaks Jupyter's messaging protocol, so that jupyter_client reads its connection file and talks
to it. There is no interpreter behind it: a request to execute, complete, inspect, interrupt or shut
down is refused. One thread owns the sockets. They listen on the loopback address alone, encrypted
with CurveZMQ keys, because the signatures of Jupyter's messages keep nobody from reading them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import zmq
from jupyter_client.session import Session

from coflect_widget.elsewhere.wake import Errands

ADDRESS = "127.0.0.1"
LARGEST_MESSAGE = 16 * 2**20  # bytes of one part of a message that is taken
FAREWELL = 500  # milliseconds that the last messages have to leave
REFUSAL = "this kernel runs no code; it steers one training"
_CHANNELS = {
    "shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER,
    "hb": zmq.ROUTER, "iopub": zmq.XPUB,
}  # fmt: skip


class Comm:
    """One comm that a client opened; methods on any thread.

    Attributes
    ----------
    heard : callable (data)
        Called with what the client says, on the kernel's thread.
    closed : callable ()
        Called when the client closes it, on the kernel's thread.
    """

    def __init__(self, kernel: CommKernel, identifier: str) -> None:
        self.id = identifier
        self.heard: Callable[[Any], None] = lambda data: None
        self.closed: Callable[[], None] = lambda: None
        self._kernel = kernel

    def send(self, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Say something to the client."""
        self._kernel.publish("comm_msg", self.id, data, buffers)

    def close(self, reason: str) -> None:
        """Tell the client that it is not heard any more, and why."""
        self._kernel.forget(self, reason)


class CommKernel:
    """Serves comms of one target until closed.

    Parameters
    ----------
    target : str
        Name that a client opens a comm with.
    opened : callable (comm, data)
        Takes a comm that was opened, on the kernel's thread.

    Attributes
    ----------
    refused : int
        Messages that were not signed, not understood, or asked for what this kernel does not do.

    Raises
    ------
    RuntimeError
        If pyzmq cannot encrypt.
    """

    def __init__(self, target: str, opened: Callable[[Comm, Any], None]) -> None:
        if not zmq.has("curve"):
            raise RuntimeError(
                "pyzmq was built without CurveZMQ here, so that every user of this machine could "
                "read what is served; `pip install --force-reinstall pyzmq` brings one with it"
            )
        self.refused = 0
        self._target = target
        self._opened = opened
        self._comms: dict[str, Comm] = {}
        self._errands = Errands()
        self._closing = False
        self._key = secrets.token_hex(32)
        self._curve_public, self._curve_secret = zmq.curve_keypair()
        self._session = Session(
            key=self._key.encode(), signature_scheme="hmac-sha256",
            packer="json", unpacker="json", check_pid=True,
        )  # fmt: skip
        self._context = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._ports: dict[str, int] = {}
        try:
            for name, kind in _CHANNELS.items():
                self._sockets[name] = self._bound(name, kind)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._thread = threading.Thread(target=self._run, name="coflect-kernel", daemon=True)

    def _bound(self, name: str, kind: int) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.linger = FAREWELL
        made.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        made.curve_server = True
        made.curve_publickey, made.curve_secretkey = self._curve_public, self._curve_secret
        self._ports[f"{name}_port"] = made.bind_to_random_port(f"tcp://{ADDRESS}")
        return made

    @property
    def connection(self) -> dict[str, Any]:
        """What a connection file of Jupyter holds."""
        return {
            "transport": "tcp", "ip": ADDRESS, **self._ports,
            "key": self._key, "signature_scheme": "hmac-sha256", "kernel_name": "coflect",
            "curve_publickey": self._curve_public.decode(),
            "curve_secretkey": self._curve_secret.decode(),
        }  # fmt: skip

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self, reason: str) -> None:
        """Tell the clients why, and end the thread."""

        def end() -> None:
            for comm in list(self._comms.values()):
                self._say_closed(comm.id, reason)
            self._comms.clear()
            self._closing = True

        self._errands.put(end)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def publish(
        self, kind: str, comm: str, data: dict[str, Any], buffers: list[bytes] | None = None
    ) -> None:
        """Send a message of a comm to whoever subscribed to it; any thread."""
        content = {"comm_id": comm, "data": data}

        def send() -> None:
            self._session.send(
                self._sockets["iopub"], kind, content,
                ident=f"comm-{comm}".encode(), buffers=list(buffers or ()),
            )  # fmt: skip

        if not self._closing:
            self._errands.put(send)

    def forget(self, comm: Comm, reason: str) -> None:
        """Close a comm from this side; any thread."""

        def drop() -> None:
            if self._comms.pop(comm.id, None) is not None:
                self._say_closed(comm.id, reason)

        self._errands.put(drop)

    # --- the kernel's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._errands, zmq.POLLIN)
        for made in self._sockets.values():
            poller.register(made, zmq.POLLIN)
        names = {made: name for name, made in self._sockets.items()}
        try:
            while not self._closing:
                ready = [one for one, _ in poller.poll()]
                for one in ready:
                    if one in names:
                        self._incoming(names[one], one)
                self._errands.run()
        finally:
            self._closing = True
            self._context.destroy(linger=FAREWELL)
            self._errands.close()

    def _incoming(self, channel: str, one: zmq.Socket[bytes]) -> None:
        try:
            frames = one.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return
        try:
            if channel == "hb":
                one.send_multipart(frames, zmq.DONTWAIT)
            elif channel == "iopub":
                self._subscribed(frames[0])
            else:
                self._message(one, frames)
        except Exception:  # noqa: BLE001 - whatever a stranger sends, the kernel goes on
            self.refused += 1

    def _subscribed(self, frame: bytes) -> None:
        """Answer a subscription, as kernels with an XPUB channel do: it stands from now on."""
        if frame[:1] == b"\1":
            topic = frame[1:]
            content = {"subscription": topic.decode("utf-8", "replace")}
            self._session.send(self._sockets["iopub"], "iopub_welcome", content, ident=topic)

    def _message(self, one: zmq.Socket[bytes], frames: list[bytes]) -> None:
        idents, rest = self._session.feed_identities(frames)
        message = self._session.deserialize(rest)  # raises where it is not signed with the key
        kind, content = message["header"]["msg_type"], message["content"]
        if kind.startswith("comm_") and not kind.endswith("_request"):
            self._comm(kind, content)
        elif kind.endswith("_request"):
            self._status("busy", message)
            answer = self._answer(kind, content)
            named = f"{kind.removesuffix('_request')}_reply"
            self._session.send(one, named, answer, parent=message, ident=idents)
            self._status("idle", message)
        else:
            self.refused += 1

    def _comm(self, kind: str, content: dict[str, Any]) -> None:
        name = content["comm_id"]
        known = self._comms.get(name)
        if kind == "comm_open":
            if content["target_name"] != self._target or not 0 < len(name) <= 64:
                self._say_closed(name, f"there is only {self._target!r} to open here")
            elif known is None:
                comm = self._comms[name] = Comm(self, name)
                self._opened(comm, content["data"])
        elif known is None:
            if kind == "comm_msg":
                self._say_closed(name, "unknown")
        elif kind == "comm_msg":
            known.heard(content["data"])
        elif kind == "comm_close":
            del self._comms[name]
            known.closed()

    def _say_closed(self, name: str, reason: str) -> None:
        content = {"comm_id": name, "data": {"reason": reason}}
        self._session.send(
            self._sockets["iopub"], "comm_close", content, ident=f"comm-{name}".encode()
        )

    def _status(self, state: str, parent: dict[str, Any]) -> None:
        self._session.send(
            self._sockets["iopub"], "status", {"execution_state": state},
            parent=parent, ident=b"status",
        )  # fmt: skip

    def _answer(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        if kind == "kernel_info_request":
            return {
                "status": "ok", "protocol_version": "5.4", "implementation": "coflect",
                "implementation_version": "1", "banner": REFUSAL, "help_links": [],
                "language_info": {
                    "name": "none", "version": "1", "mimetype": "text/plain",
                    "file_extension": ".txt",
                },
            }  # fmt: skip
        if kind == "comm_info_request":
            wanted = content.get("target_name") in (None, self._target)
            comms = {name: {"target_name": self._target} for name in self._comms} if wanted else {}
            return {"status": "ok", "comms": comms}
        self.refused += 1
        return {
            "status": "error", "ename": "Refused", "evalue": REFUSAL, "traceback": [],
            "execution_count": 0,
        }  # fmt: skip
