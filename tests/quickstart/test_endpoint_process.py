"""The service as a process: refused, killed and begun again, ended while it answers."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from coflect_widget.cli import main
from tests.conftest import eventually

COMMAND = [sys.executable, "-m", "coflect_widget.cli", "serve"]


def asked(port, path, body=None, host="localhost"):
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Host": host, "Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def served(run, port, log, *more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as told, subprocess.Popen(
        [*COMMAND, str(run), "--port", str(port), *more], stderr=told, env=environment
    ) as process:  # fmt: skip

        def healthy():
            assert process.poll() is None, log.read_text()
            try:
                return asked(port, "/health")[0] == 200
            except OSError:
                return False

        try:
            eventually(healthy, 120, what="the service")
            yield process
        finally:
            process.kill()


def has_ended(process):
    """Also where nobody has asked for its status, as in a container without an init."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_killed_and_begun_again(trained, tmp_path):
    port, log, body = free_port(), tmp_path / "log", {"row": trained.row}
    with served(trained.run, port, log) as process:
        status, told = asked(port, "/predict", body)
        assert status == 200
        assert asked(port, "/explain", body)[0] == 200
        children = psutil.Process(process.pid).children(recursive=True)
        assert children  # maps have a process of their own
        process.kill()
        eventually(lambda: all(map(has_ended, children)), 60, what="their end")
    with served(trained.run, port, log):
        assert asked(port, "/predict", body) == (200, told)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["at"] for line in lines if "at" in line] == [f"http://127.0.0.1:{port}"] * 2


def test_a_request_that_has_begun_is_answered_at_the_end(trained, tmp_path):
    port, log, body = free_port(), tmp_path / "log", {"row": trained.row}
    with served(trained.run, port, log) as process:
        status, told = asked(port, "/predict", body)
        assert status == 200
        assert asked(port, "/model/info", host="a.example")[0] == 400
        content = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", port), 120) as connection:
            head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[:10])
            asked(port, "/health")  # by now the head was read
            process.send_signal(signal.SIGTERM)

            def closed():
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    return True
                return False

            eventually(closed, 60, what="no new connections")
            connection.sendall(content[10:])
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.read()) == (200, told)
        process.wait(60)
    assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["status"] for line in lines if "status" in line} == {200, 400}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--host", "0.0.0.0"], "COFLECT_API_KEY"),
        (["--keep", "-1"], "at least 1 and at most 100,000 requests"),
        (["--cache", "-1"], "--cache -1 is too few; give 0 or more"),
        (["--max-bytes", "0"], "--max-bytes 0 is too few; give 1 or more"),
    ],
)
def test_what_the_command_refuses(trained, more, words, monkeypatch, capsys):
    monkeypatch.delenv("COFLECT_API_KEY", raising=False)
    assert main(["serve", str(trained.run), *more]) == 1
    assert words in capsys.readouterr().err
