"""The near side's connection: one thread between a training elsewhere and who asks here."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session

from coflect_widget.elsewhere import connection
from coflect_widget.elsewhere.wake import Errands

TARGET = "coflect"
BEAT = 2.0  # seconds between two signs of life
PATIENCE = 20.0  # seconds without any word, after which a training that listens is taken for lost

Answer = tuple[Any, list[bytes]]


class Link:
    """Talks to one served training until closed, or until it is lost.

    Parameters
    ----------
    place : path
        Run folder or connection file.
    by : str
    timeout : float
        Seconds to wait for the welcome.

    Attributes
    ----------
    welcome : dict
        What the training says of itself: "run", "inputs", "classes".
    lost : str or None
        Why nobody answers any more.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If it cannot be reached; the message says what to do.
    """

    def __init__(self, place: str | Path, by: str, timeout: float) -> None:
        self.path, self._where = connection.read(place)
        self.lost: str | None = None
        self.welcome: dict[str, Any] = {}
        self._by = by
        self._comm = uuid.uuid4().hex
        self._session = Session(
            key=self._where.key.encode(), signature_scheme="hmac-sha256",
            packer="json", unpacker="json",
        )  # fmt: skip
        self._errands = Errands()
        self._waiting: dict[str, Future[Answer]] = {}
        self._listeners: list[tuple[Callable[..., None], Callable[[str], None]]] = []
        self._lock = threading.Lock()  # of what waits and of `lost`, held for moments only
        self._welcomed: Future[None] = Future()
        self._heard = time.monotonic()
        self._opened = False
        self._closing = False
        self._context = zmq.Context()
        self._shell = self._socket(zmq.DEALER, self._where.shell_port)
        self._iopub = self._socket(zmq.SUB, self._where.iopub_port)
        self._iopub.subscribe(f"comm-{self._comm}")
        self._thread = threading.Thread(target=self._run, name="coflect-link", daemon=True)
        self._thread.start()
        try:
            self._welcomed.result(timeout)
        except TimeoutError:
            self.close()
            raise ConnectionError(connection.why_silent(self.path, self._where)) from None
        except BaseException:
            self.close()
            raise

    def _socket(self, kind: int, port: int) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.linger = 0
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        made.curve_publickey, made.curve_secretkey = zmq.curve_keypair()
        made.curve_serverkey = self._where.curve_publickey.encode()
        made.connect(f"tcp://{self._where.ip}:{port}")
        return made

    def listen(
        self, screen: Callable[[dict[str, Any], list[bytes]], None], lost: Callable[[str], None]
    ) -> None:
        """Have what the dashboard gets handed to `screen`, on the link's thread."""
        self._listeners.append((screen, lost))
        self.say({"kind": "show"})

    def say(self, message: dict[str, Any]) -> None:
        """Send one message; any thread. Nothing where the training is lost."""
        self._errands.put(lambda: self._post("comm_msg", {"data": message}))

    def ask(self, message: dict[str, Any]) -> Future[Answer]:
        """Send one message and get its answer: JSON and buffers.

        The future raises what the training raised, or ConnectionError where it is lost.
        """
        name, answer = uuid.uuid4().hex, Future[Answer]()
        with self._lock:
            if self.lost is not None:
                raise ConnectionError(self.lost)
            self._waiting[name] = answer
        self.say({**message, "id": name})
        return answer

    def close(self) -> None:
        """End the connection; the training goes on."""

        def end() -> None:
            self._shell.linger = 500  # the farewell may take so long
            self._post("comm_close", {"data": {}})
            self._closing = True

        self._errands.put(end)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    # --- the link's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        for one in (self._errands, self._iopub, self._shell):
            poller.register(one, zmq.POLLIN)
        beaten = 0.0
        why = "the connection was closed; coflect.connect(...) opens a new one"
        try:
            while not self._closing and self.lost is None:
                for one, _ in poller.poll(int(1000 * BEAT / 4)):
                    if one is self._iopub:
                        self._incoming()
                    elif one is self._shell:
                        self._shell.recv_multipart()
                self._errands.run()
                now = time.monotonic()
                if now - beaten >= BEAT:
                    beaten = now
                    self._beat(now - self._heard)
            why = self.lost or why
        finally:
            self._end(why)
            self._context.destroy()
            self._errands.close()

    def _beat(self, silence: float) -> None:
        if not self._opened:
            return  # the subscription does not stand yet
        self._post("comm_msg", {"data": {"kind": "beat"}})
        if silence > 2 * BEAT and (silence > PATIENCE or not connection.listens(self._where)):
            self.lost = connection.why_silent(self.path, self._where)
            if silence > PATIENCE and connection.listens(self._where):
                self.lost = (
                    f"The training {self._where.coflect.run} has not answered for {silence:.0f} s; "
                    "connect again once its machine is back."
                )

    def _open(self) -> None:
        content = {
            "target_name": TARGET, "data": {"by": self._by, "version": connection.VERSION},
        }  # fmt: skip
        self._opened = True
        self._post("comm_open", content)

    def _post(self, kind: str, content: dict[str, Any]) -> None:
        self._session.send(self._shell, kind, {"comm_id": self._comm, **content})

    def _incoming(self) -> None:
        try:
            _, frames = self._session.feed_identities(self._iopub.recv_multipart())
            message = self._session.deserialize(frames)
        except ValueError:
            return  # not of this key: the welcome then never comes, and that is said
        self._heard = time.monotonic()
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "iopub_welcome":
            if not self._opened:
                self._open()
        elif kind == "comm_close":
            self._dropped(str(content.get("data", {}).get("reason", "")))
        elif kind == "comm_msg":
            self._told(content["data"], [bytes(one) for one in message["buffers"]])

    def _dropped(self, reason: str) -> None:
        run = self._where.coflect.run
        if reason == "unknown":  # it was silent for too long, as a computer that slept
            self._open()
            for _ in self._listeners:
                self._post("comm_msg", {"data": {"kind": "show"}})
            return
        texts = {
            "ended": f"The training {run} has ended; coflect.open_run(path) shows what it "
            "recorded.",
            "other version": f"The training {run} is served by another version of coflect-widget; "
            "install the same version in both places.",
        }
        self.lost = texts.get(reason, f"The training {run} closed the connection: {reason}.")

    def _told(self, data: dict[str, Any], buffers: list[bytes]) -> None:
        match data.get("kind"):
            case "welcome":
                self.welcome = data
                if not self._welcomed.done():
                    self._welcomed.set_result(None)
            case "answer":
                with self._lock:
                    answer = self._waiting.pop(data["id"], None)
                if answer is None:
                    return
                if data["ok"]:
                    answer.set_result((data["value"], buffers))
                else:
                    answer.set_exception(_raised(data["error"], data["text"]))
            case "screen" | "kept":
                for screen, _ in self._listeners:
                    screen(data, buffers)

    def _end(self, why: str) -> None:
        with self._lock:
            self.lost = why
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for answer in waiting:
            answer.set_exception(ConnectionError(why))
        if not self._welcomed.done():
            self._welcomed.set_exception(ConnectionError(why))
        for _, lost in self._listeners:
            lost(why)


def _raised(name: str, text: str) -> Exception:
    kinds = (ValueError, IndexError, TypeError, TimeoutError, OSError)
    kind = next((one for one in kinds if one.__name__ == name), RuntimeError)
    return kind(text)
