"""The commands of a project's Dockerfile, run as a script in an empty folder and a new environment.

No image is built. Of its commands two things are left out: what only an image's system has (users),
and the address of PyTorch's own index, since PyPI has torch by the same name.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest

from coflect_widget.projects.templates.making import TEMPLATES, new

ROOT = Path(__file__).parents[2]
#: Commands on users; the folder is the user's own here.
SYSTEM = ("useradd", "chown")
SAMPLE = (
    "import json, pathlib, sample; print(json.dumps({'row': sample.request(pathlib.Path('data'))}))"
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with this distribution as a wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True)
    return folder


def instructions(dockerfile):
    """(word, rest) of each instruction."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text(encoding="utf-8"))
    lines = [line.partition(" ") for line in text.splitlines() if line and line[0] != "#"]
    return [(word, rest.strip()) for word, _, rest in lines]


def shell(command):
    """A RUN instruction as it can be run here."""
    parts = [part.strip() for part in command.split("&&")]
    kept = [part for part in parts if not part.startswith(SYSTEM)]
    return re.sub(r" --index-url \S+", "", " && ".join(kept))


def asked(service, address, key, body=None):
    """The service's answer, once there is one."""
    content = None if body is None else body.encode()
    headers = {"X-API-Key": key, "content-type": "application/json"}
    request = urllib.request.Request(address, content, headers)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert service.poll() is None, "the service has ended"
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the service does not answer")


@pytest.mark.slow  # an environment of its own and two trainings each
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", TEMPLATES)
def test_its_commands_install_train_test_and_serve(kind, wheels, tmp_path):
    project, app, python = new(kind, tmp_path / "mine"), tmp_path / "app", tmp_path / "python"
    app.mkdir()
    venv.create(python, with_pip=True)
    key = secrets.token_hex()
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COFLECT", "VIRTUAL_ENV"))
    }
    env |= {
        "PATH": f"{python / 'bin'}:{env['PATH']}", "OMP_NUM_THREADS": "1",
        # the wheel of this checkout, and the releases that it is tested with
        "PIP_FIND_LINKS": f"{wheels} {env.get('PIP_FIND_LINKS', '')}",
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "COFLECT_API_KEY": key,
    }  # fmt: skip

    def run(command):
        began = time.monotonic()
        done = subprocess.run(
            ["sh", "-ec", command], cwd=app, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        print(f"$ {command}\n{done.stdout[-1500:]}{time.monotonic() - began:.0f} s", flush=True)
        return done.stdout

    start = []
    for word, rest in instructions(project / "Dockerfile"):
        if word == "RUN":
            run(shell(rest))
        elif word == "COPY":
            what, where = rest.split()
            assert where == "."
            if what == ".":
                shutil.copytree(project, app, dirs_exist_ok=True)
            else:
                shutil.copy(project / what, app)
        elif word == "CMD":
            start = json.loads(rest)
        else:
            assert word in ("FROM", "WORKDIR", "USER", "EXPOSE"), word

    where = run("python -c 'import coflect_widget; print(coflect_widget.__file__)'")
    assert Path(where.strip()).is_relative_to(python)  # the wheel, and not this checkout
    assert "On " in run("python train.py")
    assert re.search(r"\b3 passed", run("python -m pytest -q -p no:cacheprovider"))
    row = run(f"python -c {shlex.quote(SAMPLE)}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = shlex.join([*start, "--port", str(port)])
    service = subprocess.Popen(["sh", "-ec", f"exec {command}"], cwd=app, env=env)
    try:
        address = f"http://127.0.0.1:{port}"
        assert asked(service, f"{address}/health", key) == {"status": "healthy"}
        told = asked(service, f"{address}/predict", key, row)
        print("/predict:", json.dumps(told)[:300])
        assert told["prediction"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            asked(service, f"{address}/predict", "another", row)
    finally:
        service.terminate()
        assert service.wait(60) in (0, -15)
