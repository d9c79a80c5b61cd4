"""The FastAPI application: the HTTP edge of the metastore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from lake_platform import benches, compose, readers
from lake_platform.api import (
    again,
    catalog,
    datasets,
    operations,
    preview,
    rebuilds,
    schema_check,
    shell,
)
from lake_platform.api.errors import add_error_handlers
from lake_platform.api.health import Health, status_of
from lake_platform.api.metrics import render
from lake_platform.api.openapi import openapi
from lake_platform.api.pages.add import add_pages
from lake_platform.api.parts import Parts, PartsOf
from lake_platform.api.security import Tokens, Viewer, check_bind
from lake_platform.errors import LakeError
from lake_platform.settings import Settings, load_settings

_system = APIRouter(tags=["system"])


def create_app() -> FastAPI:
    """The application of this machine's settings; the entrypoint for uvicorn's `--factory`."""
    settings = load_settings()
    check_bind(settings)
    ports = compose.build_ports(settings, metastore := compose.build_metastore(settings))
    reloader = compose.build_reloader(settings)

    # A sample is of 1 MiB at most, and nothing of it is kept.
    sample_settings = settings.model_copy(update={"storage_url": "memory:///"})

    def close() -> None:
        reloader.close()
        metastore.close()

    use_cases = compose.build_use_cases(metastore, ports.kafka, reloader.notify, settings)
    parts = Parts(
        use_cases=use_cases,
        kafka=ports.kafka,
        store=ports.store,
        missing=compose.build_missing_ranges(ports),
        look_ahead=compose.build_look_ahead(ports, compose.build_limits(settings), use_cases),
        clock=ports.clock,
        limits=compose.build_limits(settings),
        launch=compose.build_dagster(settings).launch,
        dagster_ui=settings.dagster_ui,
        bench=lambda: benches.build_check_bench(sample_settings),
        catalog=lambda: readers.build_catalog(settings, metastore, store=ports.store),
        preview=preview.apart(settings),
        close=close,
    )
    return create_app_with(settings, parts)


def create_app_with(settings: Settings, parts: Parts) -> FastAPI:
    """Raises: SetupError when the settings would leave the API open to other machines."""
    check_bind(settings)
    health = Health(parts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        health.close()
        parts.close()

    app = FastAPI(
        title="lake platform", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.parts = parts
    app.state.tokens = Tokens.from_settings(settings)
    app.state.health = health
    add_error_handlers(app)
    for router in (
        datasets.router, schema_check.router, preview.router, operations.router, again.router,
        rebuilds.router, catalog.router, shell.router,
        _system,
    ):  # fmt: skip
        app.include_router(router)
    add_pages(app, settings, parts)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


@_system.get("/health", responses={503: {"description": "The metastore does not answer."}})
def show_health(request: Request) -> JSONResponse:
    """Open to all; what is wrong is told only to callers who may read."""
    state = request.app.state
    healthy, found = state.health.look()
    body: dict[str, Any] = status_of(healthy, found)
    body["parts"] = {name: asdict(part) for name, part in found.items()}
    try:
        state.tokens.caller(request.headers.get("authorization", ""))
    except LakeError:
        body["parts"] = {name: {"ok": part.ok} for name, part in found.items()}
    return JSONResponse(body, 200 if healthy else 503)


@_system.get(
    "/metrics", response_class=PlainTextResponse, responses={200: {"description": "Metrics."}}
)
def metrics(request: Request, parts: PartsOf, _who: Viewer) -> Response:
    """Prometheus text."""
    text = render(parts.metastore, parts.clock, request.app.state.health.reached())
    return Response(text, media_type=CONTENT_TYPE_LATEST)
