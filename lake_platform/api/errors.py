"""Every error as JSON of one form: error, field, value, reason, remedy, message."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from lake_platform import errors
from lake_platform.metastore.model import invalid_field

_log = structlog.get_logger(__name__)
# The first class that fits decides, so the narrow ones stand first.
_STATUS: tuple[tuple[type[errors.LakeError], HTTPStatus], ...] = (
    (errors.DatasetNotFoundError, HTTPStatus.NOT_FOUND),
    (errors.IncidentNotFoundError, HTTPStatus.NOT_FOUND),
    (errors.SchemaVersionNotFoundError, HTTPStatus.NOT_FOUND),
    (errors.NameTakenError, HTTPStatus.CONFLICT),
    (errors.ConflictError, HTTPStatus.CONFLICT),
    (errors.NotRunnableError, HTTPStatus.CONFLICT),
    (errors.NotAuthenticatedError, HTTPStatus.UNAUTHORIZED),
    (errors.NotAllowedError, HTTPStatus.FORBIDDEN),
    (errors.BodyTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.SetupError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.FixConfigError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.RetryableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.StopDatasetError, HTTPStatus.CONFLICT),
)
_SHOWN_CHARS = 200


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.LakeError, _lake_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: Exception) -> HTTPStatus:
    return next(
        (s for kind, s in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _lake_error(_request: Request, error: Exception) -> JSONResponse:
    status = status_of(error)
    headers = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(_body(error), status, headers)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return _lake_error(request, invalid_request(error))


def invalid_request(error: RequestValidationError) -> errors.InvalidFieldError:
    first = dict(error.errors()[0])
    # FastAPI puts the place first: ("query", "limit").
    first["loc"] = tuple(first["loc"][1:]) or first["loc"]
    return invalid_field(first)  # type: ignore[arg-type]  # pydantic's dict


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    body = _body(error) | {"message": str(error.detail), "reason": str(error.detail)}
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))  # Starlette's is of one route
    return JSONResponse(body, error.status_code, headers)


def _methods(request: Request) -> set[str]:
    routes = (route for route in request.app.routes if isinstance(route, Route))
    fitting = (r for r in routes if r.matches(request.scope)[0] is not Match.NONE)
    return {method for route in fitting for method in route.methods or ()}


def unforeseen(error: Exception) -> HTTPException:
    """Logs it, and says no more than that."""
    # Formatted here: a renderer of its own might print local variables, and secrets with them.
    _log.error("request failed", traceback="".join(traceback.format_exception(error)))
    return HTTPException(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the request failed for a reason nobody foresaw; the log of the API has the details",
    )


def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    message = unforeseen(error).detail
    body = _body(error) | {"error": "InternalError", "message": message}
    return JSONResponse(body, HTTPStatus.INTERNAL_SERVER_ERROR)


def _body(error: Exception) -> dict[str, Any]:
    value = getattr(error, "value", None)
    return {
        "error": type(error).__name__,
        "field": getattr(error, "field", None),
        "value": value if _plain(value) else repr(value)[:_SHOWN_CHARS],
        "reason": getattr(error, "reason", None),
        "remedy": getattr(error, "remedy", None),
        "message": str(error),
    }


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _SHOWN_CHARS and value.isprintable()
    return value is None or isinstance(value, bool | int)
