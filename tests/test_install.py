"""What a newcomer's installation hangs on."""

import json
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


def test_the_oldest_python_takes_every_pinned_version():
    # pip searches for hours where one pin refuses the Python that it runs on
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = re.fullmatch(r">=\s*([\d.]+)", project["requires-python"])[1] + ".0"
    pins = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {name.lower().replace("_", "-").replace(".", "-") for name in pins}
    refusing = {}
    seen = set()
    for one in distributions():
        name = one.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        if name not in pinned:
            continue
        seen.add(name)
        needs = one.metadata.get("Requires-Python")
        if needs and oldest not in SpecifierSet(needs):
            refusing[name] = needs
    assert not refusing
    assert len(seen) > 0.9 * len(pinned)


def test_environments_below_hold_programs_that_are_no_modules():
    # JupyterLab asks its yarn for settings as it starts. Node reads each .js below a package of
    # type "module" as a module, .venv too; the terminal of `make demo` was full of yarn's source.
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    assert package.get("type", "commonjs") == "commonjs"
    assert not list(ROOT.glob("*.js"))
