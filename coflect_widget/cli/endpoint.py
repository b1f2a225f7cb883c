"""``coflect serve RUN``: a network that quickstart trained answers requests."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import os
from pathlib import Path

from coflect_widget.cli.answer import Answer, Commands, command
from coflect_widget.cli.given import named

KEY = "COFLECT_API_KEY"
#: Seconds that requests which have begun get at the end.
_PATIENCE = 30


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "serve", _serve, "answer requests with a network of quickstart")
    parser.add_argument(
        "run",
        metavar="SOURCE",
        help="a run folder that quickstart began, an exported model.onnx, or models:/name/version",
    )
    parser.add_argument("--host", default="127.0.0.1", help="this machine alone where left out")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--model", metavar="PATH", help="module:function that makes the network, if it is your own"
    )
    parser.add_argument(
        "--keep", metavar="N", type=int, default=0,
        help="keep up to N requests on disk, to label and train on; none where left out",
    )  # fmt: skip
    parser.add_argument(
        "--cache", metavar="N", type=int, default=1024, help="remember the outputs of N rows"
    )
    parser.add_argument(
        "--max-bytes", metavar="N", type=int, default=8 * 2**20, help="of a request; 8 MiB"
    )
    parser.epilog = f"Where {KEY} is set, requests have to send it as X-API-Key."


def _serve(given: argparse.Namespace) -> Answer:
    key = os.environ.get(KEY) or None
    if key is None and not _is_this_machine(given.host):
        raise ValueError(
            f"--host {given.host} lets other machines in; set {KEY} in the environment to a key "
            "that requests have to send"
        )
    for name, value, least in (("--cache", given.cache, 0), ("--max-bytes", given.max_bytes, 1)):
        if value < least:
            raise ValueError(f"{name} {value} is too few; give {least} or more")
    try:
        import uvicorn

        from coflect_widget.projects.endpoint.app import make_app
        from coflect_widget.projects.endpoint.guard import log
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'coflect-widget[serving]'") from None
    from coflect_widget.projects.endpoint.service import Service

    # With a key, names of this machine are the user's own affair, as behind a proxy.
    hosts = None if key is not None else ("localhost", "127.0.0.1", "[::1]", given.host)
    model = None if given.model is None else named("--model", given.model, Path(given.run))
    service = Service(given.run, model, cached=given.cache, keep=given.keep)
    app = make_app(service, key=key, hosts=hosts, most_bytes=given.max_bytes)
    log(serves=given.run, at=f"http://{given.host}:{given.port}")
    # All that was imported stays; a collection that went through it would hold requests up.
    gc.collect()
    gc.freeze()
    # Requests that have begun are answered on SIGTERM and SIGINT.
    uvicorn.run(
        app, host=given.host, port=given.port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=_PATIENCE,
    )  # fmt: skip
    return {"run": given.run}, ""


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
