"""Opens JupyterLab on the first notebook; prints the address, and the state of the server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = "01_torch_quickstart.ipynb"


def main() -> None:
    print(f"Opening {NOTEBOOK} in JupyterLab; without a browser, use an address printed below.")
    print("Stop with Ctrl-C.", flush=True)
    arguments = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={HERE}",
        f"--LabApp.default_url=/lab/tree/{NOTEBOOK}",
        *sys.argv[1:],
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # containers; Jupyter refuses root otherwise
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        arguments.append("--no-browser")
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter, no shell


if __name__ == "__main__":
    main()
