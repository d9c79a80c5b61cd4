"""What the routes work on, and how they read a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi import Path as PathParameter

from lake_platform.catalog.service import CatalogService
from lake_platform.domain.bundle import Limits
from lake_platform.domain.layout import check_name
from lake_platform.domain.ports import Clock, Kafka
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import (
    BodyTooLargeError,
    DagsterUnavailableError,
    InvalidFieldError,
    UnsupportedError,
)
from lake_platform.load.held import LookAhead
from lake_platform.metastore.outside import MissingRanges
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import UseCases
from lake_platform.trial.check import CheckBench
from lake_platform.trial.preview import Question

MAX_BODY_BYTES = 1 << 20
Launch = Callable[[str, Mapping[str, Any]], str]
"""Starts a Dagster job with a run config; gives the run's id."""


def _no_dagster(job: str, _run_config: Mapping[str, Any]) -> str:
    raise DagsterUnavailableError(f"there is no Dagster to run the job {job}")


def _no_preview(_table: str, _question: Question) -> dict[str, Any]:
    raise UnsupportedError("previews are not made here; make one with lake preview")


def _no_catalog() -> CatalogService:
    raise UnsupportedError("no catalog is asked here; ask it with lake catalog check")


_JSON, _NDJSON = "application/json", "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Parts:
    use_cases: UseCases
    kafka: Kafka
    store: ObjectStore
    missing: MissingRanges
    look_ahead: LookAhead
    clock: Clock
    bench: Callable[[], CheckBench]
    limits: Limits = field(default_factory=Limits)
    launch: Launch = _no_dagster
    dagster_ui: str = ""
    catalog: Callable[[], CatalogService] = _no_catalog
    preview: Callable[[str, Question], dict[str, Any]] = _no_preview
    close: Callable[[], None] = lambda: None

    @property
    def metastore(self) -> Repository:
        return self.use_cases.store

    def started(self, job: str, ops: Mapping[str, Any]) -> dict[str, str | None]:
        """Starts a run, and says where it is to be seen; without `ops` there is none to start.

        Raises: DagsterUnavailableError.
        """
        run = self.launch(job, {"ops": ops}) if ops else None
        return {"job": job, "run_id": run, "run_url": run and f"{self.dagster_ui}/runs/{run}"}


def parts(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def table_name(table: Annotated[str, PathParameter(description="Table name.")]) -> str:
    return check_name("table", table)


async def json_body(request: Request) -> dict[str, Any]:
    """One JSON object of at most 1 MiB. Raises: BodyTooLargeError, InvalidFieldError."""
    kind = _kind(request)
    if kind != _JSON:
        raise InvalidFieldError(
            "content-type", request.headers.get("content-type"), "not JSON", f"send {_JSON}"
        )
    return _object(await _read(request))


async def sample_or_schema(request: Request) -> bytes | dict[str, Any]:
    """Records, one a line, as they came; or one JSON object. At most 1 MiB.

    Raises: BodyTooLargeError, InvalidFieldError.
    """
    kind = _kind(request)
    if kind not in (_JSON, _NDJSON):
        raise InvalidFieldError(
            "content-type", request.headers.get("content-type"), "no sample and no schema",
            f"send records, one a line, as {_NDJSON}, or a schema as {_JSON}",
        )  # fmt: skip
    data = await _read(request)
    return bytes(data) if kind == _NDJSON else _object(data)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def _read(request: Request) -> bytearray:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise BodyTooLargeError(MAX_BODY_BYTES)
    return data


def _object(data: bytearray) -> dict[str, Any]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidFieldError(
            "body", bytes(data[:40]), f"not JSON: {error}", "send one JSON object"
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidFieldError("body", parsed, "not a JSON object", "send one JSON object")
    return parsed


def take(body: dict[str, Any], *names: str) -> list[str]:
    """Exactly the named text fields of a small body. Raises: InvalidFieldError."""
    _check_known(body, names)
    for name in names:
        if not isinstance(body.get(name), str):
            raise InvalidFieldError(name, body.get(name), "missing or not text", "give a text")
    return [body[name] for name in names]


def take_one(body: dict[str, Any], *names: str) -> dict[str, str]:
    """Exactly one of the named text fields. Raises: InvalidFieldError."""
    _check_known(body, names)
    if len(body) != 1:
        raise InvalidFieldError(
            "body", sorted(body), "not one field", f"give one of {', '.join(names)}"
        )
    take(body, *body)
    return body


def flag(body: dict[str, Any], name: str) -> bool:
    """Takes a field that may be left out away. Raises: InvalidFieldError."""
    value = body.pop(name, False)
    if not isinstance(value, bool):
        raise InvalidFieldError(name, value, "not true or false", "give true or false")
    return value


def _check_known(body: dict[str, Any], names: tuple[str, ...]) -> None:
    for name, value in body.items():
        if name not in names:
            raise InvalidFieldError(
                name, value, "unknown field", f"known fields are: {', '.join(names)}"
            )


PartsOf = Annotated[Parts, Depends(parts)]
Table = Annotated[str, Depends(table_name)]
Body = Annotated[dict[str, Any], Depends(json_body)]
SampleOrSchema = Annotated[bytes | dict[str, Any], Depends(sample_or_schema)]
