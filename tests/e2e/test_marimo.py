"""A session in marimo's run mode: live, pause, a box, submit."""

import os
import secrets
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.conftest import eventually
from tests.e2e.lab import HERE, Parts, chromium, drag, recorded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

APP = """
import marimo

app = marimo.App(width="full")


@app.cell
def train():
    import coflect_widget as coflect
    from tests.conftest import tiny_cnn

    data = coflect.data.synthetic(n=512)
    session = coflect.Session(tiny_cnn(), data, data, config={"log_every": 1})
    session.train(epochs=100_000)
    session
    return (session,)


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def address(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    log = (tmp_path / "marimo.log").open("w")
    server = subprocess.Popen(
        [
            sys.executable, "-m", "marimo", "run", "app.py", "--headless",
            "--host", "127.0.0.1", "--port", str(port), "--token-password", token,
        ],
        stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "XDG_CONFIG_HOME": str(tmp_path / ".config"),
            "XDG_STATE_HOME": str(tmp_path / ".state"),
        },
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"

    def answers():
        assert server.poll() is None, (tmp_path / "marimo.log").read_text()
        try:
            return urllib.request.urlopen(f"{base}/health", timeout=1).status == 200
        except OSError:
            return False

    try:
        eventually(answers, 60, what="marimo's server")
        yield f"{base}/?access_token={token}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def test_live_pause_a_box_submit(address, tmp_path):
    with chromium(1500, 1100) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        part = Parts(page.locator("[data-testid=cw-root]").first)
        part.view.wait_for(timeout=90_000)
        part("connection").get_by_text("live", exact=True).wait_for(timeout=15_000)
        part("state").get_by_text("Training").wait_for(timeout=60_000)
        run = max((tmp_path / "runs").iterdir())
        moving = part.step()
        eventually(lambda: part.step() > moving, what="a moving step counter")

        part("pause").click()
        part("state").get_by_text("Paused").wait_for(timeout=15_000)
        part.look_at(7)
        part("tool-ignore").click()
        box = drag(page, part("picture"), (0.1, 0.2), (0.5, 0.6))
        part("submit").click()
        part("echo").get_by_text("Applied at step").wait_for(timeout=15_000)
        (told,) = recorded(run, "intervention")
        (stroke,) = told["data"]["strokes"]
        assert (stroke["kind"], stroke["sample"]) == ("ignore", 7)
        assert stroke["roi"]["box"] == pytest.approx(box, abs=0.03)

        part("pause").click()
        part("state").get_by_text("Training").wait_for(timeout=15_000)
        assert [e["data"]["command"] for e in recorded(run, "command")] == ["pause", "resume"]
        assert problems == []
