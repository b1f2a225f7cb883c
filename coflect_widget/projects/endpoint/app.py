"""The routes of the service, and what stands before them: size, key, log and metrics."""

from __future__ import annotations

import hmac
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.quickstart.requested import FieldError

#: Rows of a batch, and bytes of a request.
MOST_ROWS, MOST_BYTES = 100, 8 * 2**20
_OPEN = ("/health",)
Next = Callable[[Request], Awaitable[Response]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class One(_Strict):
    """One row: names of columns to cells."""

    row: dict[str, Any]


class Batch(_Strict):
    """Up to 100 rows."""

    rows: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_ROWS)]


def make_app(
    service: Service,
    *,
    key: str | None = None,
    hosts: Sequence[str] | None = None,
    most_bytes: int = MOST_BYTES,
) -> FastAPI:
    """The service as an ASGI application.

    Parameters
    ----------
    service : Service
    key : str, optional
        What each request but /health has to send as ``X-API-Key``.
    hosts : sequence of str, optional
        Names of this machine that a request may be for; one for another is answered 400. So no
        page in a browser reaches the service by a name of its own that leads here.
    most_bytes : int
        Of a request; a larger one is answered 413.
    """
    app = FastAPI(title="coflect", docs_url=None, redoc_url=None)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    if service.pipeline is None:
        _log(why=service.why)
    registry = CollectorRegistry()
    count = Counter("coflect_requests", "Requests", ["path", "status"], registry=registry)
    seconds = Histogram("coflect_seconds", "Seconds of a request", ["path"], registry=registry)
    rows = Counter("coflect_rows", "Rows that were answered", registry=registry)
    paths = {"/predict", "/predict/batch", "/health", "/model/info", "/metrics"}

    @app.middleware("http")
    async def watched(request: Request, follow: Next) -> Response:
        began, name = time.perf_counter(), uuid.uuid4().hex
        path = request.url.path if request.url.path in paths else "other"
        failed: dict[str, str] = {}
        try:
            answer = _refused(request, key, most_bytes)
            answer = answer or await _answered(request, follow, most_bytes)
        except Exception as error:  # noqa: BLE001 - the service answers, and goes on
            failed = {"error": type(error).__name__}
            answer = JSONResponse({"detail": "internal error"}, 500)
        took = time.perf_counter() - began
        count.labels(path, answer.status_code).inc()
        seconds.labels(path).observe(took)
        answer.headers["X-Request-ID"] = name
        _log(id=name, path=path, status=answer.status_code, ms=round(1000 * took, 2), **failed)
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was sent: it may hold what no JSON can.
        return _unprocessable([(one["loc"], one["msg"]) for one in error.errors()])

    @app.exception_handler(FieldError)
    async def unusable(_: Request, error: FieldError) -> JSONResponse:
        return _unprocessable([(error.place, str(error))])

    @app.post("/predict")
    def predict(given: One) -> Any:
        if service.pipeline is None:
            return _unhealthy(service)
        (told,) = service.predict([given.row], ("body", "row"))
        rows.inc()
        return {"prediction": told, "run": service.run}

    @app.post("/predict/batch")
    def predict_batch(given: Batch) -> Any:
        if service.pipeline is None:
            return _unhealthy(service)
        told = service.predict(given.rows, ("body", "rows"))
        rows.inc(len(told))
        return {"predictions": told, "run": service.run}

    @app.get("/health")
    def health() -> Any:
        if service.pipeline is not None:
            return {"status": "healthy"}
        # Who has no key is told no path.
        return _unhealthy(service) if key is None else _without("no model")

    @app.get("/model/info")
    def info() -> Any:
        return service.info() if service.pipeline is not None else _unhealthy(service)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry))

    return app


def _refused(request: Request, key: str | None, most_bytes: int) -> Response | None:
    """An answer where the request goes no further."""
    if key is not None and request.url.path not in _OPEN:
        given = request.headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode("latin-1"), key.encode()):
            return JSONResponse({"detail": "X-API-Key is missing or wrong"}, 401)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most_bytes:
        return JSONResponse({"detail": f"a request has at most {most_bytes:,} bytes"}, 413)
    return None


async def _answered(request: Request, follow: Next, most_bytes: int) -> Response:
    """What the routes answer; a body without a length is counted as it comes."""
    if "content-length" not in request.headers and request.method == "POST":
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                return JSONResponse({"detail": f"a request has at most {most_bytes:,} bytes"}, 413)
        request._body = body  # what the routes read
    return await follow(request)


def _unprocessable(found: list[tuple[Any, str]]) -> JSONResponse:
    detail = [{"loc": [str(part) for part in place], "msg": text} for place, text in found]
    return JSONResponse({"detail": detail}, 422)


def _unhealthy(service: Service) -> JSONResponse:
    return _without(service.why)


def _without(why: str) -> JSONResponse:
    return JSONResponse({"status": "unhealthy", "detail": why}, 503)


def _log(**facts: Any) -> None:
    sys.stderr.write(json.dumps(facts) + "\n")
    sys.stderr.flush()
