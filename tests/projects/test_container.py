"""The commands of a project's Dockerfile, as a script in a clean folder with an environment anew.

No container is built: what a user of an image is and what its system brings is not tested.
"""

import json
import os
import re
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
#: Only the system of an image has these.
_SYSTEM = ("useradd", "chown")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with this distribution as a wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True)
    return folder


def lines_of(dockerfile):
    """Instruction and what follows, line by line."""
    text = dockerfile.read_text().replace("\\\n", " ")
    found = [line.partition(" ") for line in text.splitlines() if line and line[0] != "#"]
    return [(word, rest.strip()) for word, _, rest in found]


def without_system(command):
    parts = [one for one in command.split("&&") if not one.split()[0].startswith(_SYSTEM)]
    return "&&".join(parts)


@pytest.mark.slow  # an environment of its own and two trainings each
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_dockerfile_trains_and_serves(kind, wheels, tmp_path):
    project, app = new(kind, tmp_path / "project"), tmp_path / "app"
    app.mkdir()
    venv.create(tmp_path / "python", with_pip=True)
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COFLECT"))
    }
    env |= {
        "PATH": f"{tmp_path / 'python' / 'bin'}:{env['PATH']}", "OMP_NUM_THREADS": "1",
        "VIRTUAL_ENV": str(tmp_path / "python"), "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "PIP_FIND_LINKS": f"{wheels} {env.get('PIP_FIND_LINKS', '')}", "COFLECT_API_KEY": "a key",
    }  # fmt: skip

    def run(command):
        done = subprocess.run(
            ["sh", "-ec", command], cwd=app, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    start = None
    for word, rest in lines_of(project / "Dockerfile"):
        if word == "RUN":
            run(without_system(rest))
        elif word == "COPY":
            what, _ = rest.split()
            if what == ".":
                shutil.copytree(project, app, dirs_exist_ok=True)
            else:
                shutil.copy(project / what, app)
        elif word == "CMD":
            start = json.loads(rest)
        else:
            assert word in ("FROM", "WORKDIR", "USER", "EXPOSE"), word
    where = run("python -c 'import coflect_widget; print(coflect_widget.__file__)'")
    assert Path(where.strip()).is_relative_to(tmp_path / "python")
    assert "3 passed" in run("python -m pytest -q -p no:cacheprovider")
    assert "On " in run("python train.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [re.sub(r"^0\.0\.0\.0$", "127.0.0.1", one) for one in start]
    command = shlex.join([*words, "--port", str(port)])
    service = subprocess.Popen(["sh", "-ec", f"exec {command}"], cwd=app, env=env)
    try:
        info = asked(f"http://127.0.0.1:{port}/model/info", service)
        assert info["form"] == "torch"
    finally:
        service.terminate()
        assert service.wait(60) == 0


def asked(address, service):
    """What the service says once it answers."""
    request = urllib.request.Request(address, headers={"X-API-Key": "a key"})
    for _ in range(600):
        assert service.poll() is None, "the service has ended"
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the service does not answer")
