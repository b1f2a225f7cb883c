"""What stands before the routes: key, size, request ids, log and metrics."""

from __future__ import annotations

import hmac
import json
import sys
import time
import uuid
from collections.abc import Collection
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Answered without a key.
_OPEN = ("/health",)
_ID = b"x-request-id"


class Guard:
    """ASGI middleware; each request passes it first.

    Parameters
    ----------
    app : ASGI application
    key : str or None
        What each request but /health has to send as ``X-API-Key``.
    most_bytes : int
        Of a request; a larger one is answered 413.
    paths : collection of str
        Those that metrics and log name; others are "other".
    registry : CollectorRegistry
        Gets ``coflect_requests`` and ``coflect_seconds``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: str | None,
        most_bytes: int,
        paths: Collection[str],
        registry: CollectorRegistry,
    ) -> None:
        self._app, self._paths, self._most = app, frozenset(paths), most_bytes
        self._key = None if key is None else key.encode()
        self._count = Counter("coflect_requests", "Requests", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "coflect_seconds", "Seconds of a request", ["path"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on, one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, name = time.perf_counter(), uuid.uuid4().hex
        scope.setdefault("state", {})["id"] = name
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_ID, name.encode())]
            await send(message)

        failed: dict[str, str] = {}
        headers = dict(scope["headers"])
        try:
            refusal = self._refused(scope["path"], headers)
            if refusal is not None:
                await refusal(scope, receive, told)
            else:
                await self._app(scope, self._counted(receive), told)
        except Exception as error:  # noqa: BLE001 - the service answers, and goes on
            failed = {"error": type(error).__name__}
            if not status:
                await JSONResponse({"detail": "internal error"}, 500)(scope, receive, told)
        took = time.perf_counter() - began
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._count.labels(path, status).inc()
        self._seconds.labels(path).observe(took)
        log(id=name, path=path, status=status, ms=round(1000 * took, 2), **failed)

    def _refused(self, path: str, headers: dict[bytes, bytes]) -> JSONResponse | None:
        """An answer where the request goes no further."""
        given = headers.get(b"x-api-key", b"")
        locked = self._key is not None and path not in _OPEN
        if locked and not hmac.compare_digest(given, self._key or b""):
            return JSONResponse({"detail": "X-API-Key is missing or wrong"}, 401)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self._most:
            return JSONResponse({"detail": self._too_large()}, 413)
        return None

    def _counted(self, receive: Receive) -> Receive:
        """A body is counted as it comes, whatever length was told."""
        left = self._most

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"a request has at most {self._most:,} bytes"


def log(**facts: Any) -> None:
    """A line of JSON on stderr."""
    sys.stderr.write(json.dumps(facts) + "\n")
    sys.stderr.flush()
