"""Which kernels run is found out once, and said with the way to the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coflect_widget.cli import main
from coflect_widget.native import ABI, kernels

_STORE = """
from coflect_widget.telemetry.store import SampleStore
from coflect_widget.native import kernels
from coflect_widget.tasks import Classification
store = SampleStore(2, Classification(2))
store.update([0], [[1.0, 0.0]], [0], 1)
print(kernels().used, store.kernel is None, float(store.margin[0]), kernels().why, sep="|")
"""


def in_a_process(code: str, first_on_path: Path | None = None, **environment: str) -> str:
    path = [*([str(first_on_path)] if first_on_path else []), *filter(None, sys.path)]
    clean = {name: value for name, value in os.environ.items() if name != "COFLECT_NATIVE"}
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, check=True,
        env=clean | {"PYTHONPATH": os.pathsep.join(path)} | environment,
    )  # fmt: skip
    return done.stdout.strip()


def stand_in(folder: Path, text: str) -> Path:
    """A distribution that comes before the installed one, as another version of it would."""
    (folder / "coflect_widget_native").mkdir()
    (folder / "coflect_widget_native" / "__init__.py").write_text(text)
    info = folder / "coflect_widget_native-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: coflect-widget-native\nVersion: 9.9\n"
    )
    return folder


def test_the_installed_ones_run_unless_they_are_switched_off() -> None:
    used, numpys, margin, why = in_a_process(_STORE).split("|")
    assert used.startswith("native ")
    assert (numpys, margin) == ("False", "1.0")
    assert "COFLECT_NATIVE=0 switches" in why
    used, numpys, margin, why = in_a_process(_STORE, COFLECT_NATIVE="0").split("|")
    assert (used, numpys, margin) == ("numpy", "True", "1.0")
    assert "unset it" in why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"ABI = {ABI + 1}", f"9.9 keeps contract {ABI + 1} and this package {ABI}"),
        ("raise ImportError('libstdc++.so.6: no such file')", "libstdc++.so.6: no such file"),
        ("import a_module_that_is_missing", "a_module_that_is_missing"),
        ("raise OSError('invalid ELF header')", "invalid ELF header"),
        ("", "has no attribute 'ABI'"),
        ("raise ModuleNotFoundError('x', name='coflect_widget_native')", "is not installed"),
    ],
)
def test_what_does_not_fit_is_left_alone_and_said(tmp_path: Path, text: str, said: str) -> None:
    used, numpys, margin, why = in_a_process(_STORE, stand_in(tmp_path, text)).split("|")
    assert (used, numpys, margin) == ("numpy", "True", "1.0")
    assert said in why
    assert "pip install" in why


@pytest.mark.slow
def test_doctor_says_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert kernels().used in said
    assert kernels().why in said
    lines = dict(line.split(None, 1) for line in said.splitlines())
    assert lines["numpy"][0].isdigit()
    assert set(lines) >= {"coflect-widget", "Python", "torch", "keras", "tensorflow", "kernels"}


def test_doctor_imports_no_framework() -> None:
    heavy = in_a_process(
        "import sys, coflect_widget.cli as cli; cli.doctor();"
        "print({'torch', 'tensorflow', 'keras', 'captum'} & set(sys.modules))"
    )
    assert heavy == "set()"


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["docter"])
    assert "doctor" in capsys.readouterr().err


def test_training_rests_for_telemetry_only_where_numpy_takes_it_in(make_session) -> None:  # type: ignore[no-untyped-def]
    session = make_session()
    backend, forecaster = session._backend, session._parts.forecaster
    fills = getattr(backend, "fills_processors", False)
    assert (forecaster._rest is not None) == (fills and kernels().module is None)
    assert session.run.config["versions"]["kernels"] == kernels().used
    started = session.events("run_started")[0]
    assert started.data.kernels == kernels().used
