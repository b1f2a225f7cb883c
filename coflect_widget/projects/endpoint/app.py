"""The routes of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from coflect_widget.projects.endpoint.batching import Batcher, BusyError
from coflect_widget.projects.endpoint.explaining import NoMapError
from coflect_widget.projects.endpoint.guard import Guard, log
from coflect_widget.projects.endpoint.service import Asked, Service, digest
from coflect_widget.projects.quickstart.requested import FieldError

_PATHS = (
    "/predict", "/predict/batch", "/forecast", "/explain", "/health", "/model/info", "/metrics",
)  # fmt: skip
#: Rows of a batch, and bytes of a request.
MOST_ROWS, MOST_BYTES = 100, 8 * 2**20
NO_MAPS = "a file has no gradients, serve the run for maps; clusters have none at all"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class One(_Strict):
    """One row: names of columns to cells."""

    row: dict[str, Any]


class Ahead(One):
    """One row, and how many moments are to be told; all that the model tells if left out."""

    steps: Annotated[int, Field(ge=1)] | None = None


class Looked(One):
    """One row, and the class or the number of the output whose map is wanted."""

    target: Annotated[str, Field(max_length=1000)] | Annotated[int, Field(ge=0)] | None = None


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
    registry = CollectorRegistry()
    rows = Counter("coflect_rows", "Rows that were answered", registry=registry)
    sizes = Histogram(
        "coflect_batch_rows", "Rows that were computed at once", registry=registry,
        buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    )  # fmt: skip
    cached = Counter("coflect_cached_rows", "Rows whose outputs were kept", registry=registry)
    cached_before = 0

    def together(asked: Sequence[Asked]) -> Sequence[Any]:
        nonlocal cached_before
        sizes.observe(sum(len(one.rows) for one in asked))
        told = service.together(asked)
        cached.inc(service.hits - cached_before)
        cached_before = service.hits
        return told

    batcher = Batcher(together)
    keeper = service.keeper
    maps = service.maps()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()
        if keeper is not None:
            keeper.close()
        if maps is not None:
            maps.close()

    app = FastAPI(title="coflect", docs_url=None, redoc_url=None, lifespan=lifespan)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    # What is added last stands first.
    app.add_middleware(Guard, key=key, most_bytes=most_bytes, paths=_PATHS, registry=registry)
    if service.model is None:
        log(why=service.why)
    if keeper is not None:
        log(kept=f"up to {keeper.most:,} requests are kept in {keeper.folder / 'kept'}")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was sent: it may hold what no JSON can.
        return _unprocessable([(one["loc"], one["msg"]) for one in error.errors()])

    @app.exception_handler(FieldError)
    async def unusable(_: Request, error: FieldError) -> JSONResponse:
        return _unprocessable([(error.place, str(error))])

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 429, {"Retry-After": "1"})

    @app.exception_handler(NoMapError)
    async def no_map(_: Request, error: NoMapError) -> JSONResponse:
        return _unprocessable([(("body", "row"), f"there is no map of it: {error}")])

    @app.exception_handler(_NoModelError)
    async def unhealthy(_: Request, error: _NoModelError) -> JSONResponse:
        return _without(str(error))

    async def answered(asked: Asked, request: Request) -> list[dict[str, Any]]:
        if service.model is None:
            raise _NoModelError(service.why)
        told: list[dict[str, Any]] = await batcher.ask(asked, service.weight(asked))
        rows.inc(len(told))
        if keeper is not None:
            for row, one in zip(asked.rows, told, strict=True):
                keeper.offer(digest(row).hex(), request.state.id, row, one)
        return told

    @app.post("/predict")
    async def predict(given: One, request: Request) -> Any:
        (told,) = await answered(Asked.one(given.row), request)
        return JSONResponse({"prediction": told, "run": service.there.name})

    @app.post("/predict/batch")
    async def predict_batch(given: Batch, request: Request) -> Any:
        told = await answered(Asked.several(given.rows), request)
        return JSONResponse({"predictions": told, "run": service.there.name})

    @app.post("/forecast")
    async def forecast(given: Ahead, request: Request) -> Any:
        asked = Asked.one(given.row)
        (told,) = await answered(asked, request)
        moments = service.moments(given.row, asked.places[0])
        if not moments:
            detail = f"this model tells {service.there.goal.noun}; ask /predict"
            return JSONResponse({"detail": detail}, 404)
        steps = given.steps or len(moments)
        if steps > len(moments):
            place = ("body", "steps")
            return _unprocessable([(place, f"this model tells {len(moments)} moments ahead")])
        values = [told["value"]] if len(moments) == 1 else told["value"]
        ahead = {"times": moments[:steps], "values": values[:steps]}
        return JSONResponse({
            "forecast": {"target": service.there.target, **ahead}, "run": service.there.name
        })  # fmt: skip

    @app.post("/explain")
    async def explain(given: Looked, request: Request) -> Any:
        asked = Asked.one(given.row)
        (told,) = await answered(asked, request)
        if maps is None:
            return JSONResponse({"detail": NO_MAPS}, 404)
        names, target = service.outcomes, None
        if given.target is not None:
            if str(given.target) not in names:
                wanted = ", ".join(names[:20])
                return _unprocessable([(("body", "target"), f"expected one of {wanted}")])
            target = names.index(str(given.target))
        # Not on the loop: a map takes a second, and other requests are answered meanwhile.
        inputs = await run_in_threadpool(service.inputs_of, given.row, asked.places[0])
        found = await run_in_threadpool(maps.explain, inputs, target)
        number = found.pop("explained")
        whose = None if number is None else names[number]
        return JSONResponse(
            {"prediction": told, "explanation": {"of": whose, **found}, "run": service.there.name}
        )

    @app.get("/health")
    async def health() -> Any:
        if service.model is not None:
            return {"status": "healthy"}
        # Who has no key is told no path.
        return _without(service.why if key is None else "no model")

    @app.get("/model/info")
    async def info() -> Any:
        if service.model is None:
            raise _NoModelError(service.why)
        return service.info()

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry))

    return app


class _NoModelError(Exception):
    """Nothing is there to answer with."""


def _unprocessable(found: list[tuple[Any, str]]) -> JSONResponse:
    detail = [{"loc": [str(part) for part in place], "msg": text} for place, text in found]
    return JSONResponse({"detail": detail}, 422)


def _without(why: str) -> JSONResponse:
    return JSONResponse({"status": "unhealthy", "detail": why}, 503)
