"""The OpenAPI document: what FastAPI finds, and of each operation who may ask and every answer that
it gives when it refuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from lake_platform.api.replies import PARTS, REPLIES

_OPEN = ("/health",)
_ERROR = {
    "type": "object",
    "required": ["error", "field", "value", "reason", "remedy", "message"],
    "properties": {
        "error": {"type": "string", "description": "Class of the error (docs/operations.md)."},
        "field": {"type": ["string", "null"], "description": "What of the request it is about."},
        "value": {"type": ["string", "integer", "boolean", "null"]},
        "reason": {"type": ["string", "null"]},
        "remedy": {"type": ["string", "null"], "description": "What to do about it."},
        "message": {"type": "string", "description": "All of it in one sentence."},
    },
}
_SAID = {
    HTTPStatus.UNAUTHORIZED: "No token, or one that is not known.",
    HTTPStatus.FORBIDDEN: "The token's role may not do this.",
    HTTPStatus.NOT_FOUND: "There is no such dataset, incident, version or window.",
    HTTPStatus.CONFLICT: "Its state forbids it, it is there already, or somebody was faster.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 1 MiB.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A field cannot be so; nothing was changed.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A setting of the platform is wrong, or a bug.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A system behind does not answer; a retry is safe.",
}


def documented(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """The body of an operation: a JSON object of these fields and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = found.setdefault("components", {})
        components.setdefault("schemas", {}).update(PARTS | {"Error": _ERROR})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in found["paths"].items():
            for method, operation in operations.items():
                _complete(path, method, operation)
        app.openapi_schema = found
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    told = REPLIES.get((method, path))
    if told is not None:
        for status in [s for s in responses if s.startswith("2")]:
            responses[status]["content"] = {"application/json": {"schema": told}}
    responses.pop("422", None)  # FastAPI's own form of it is not ours
    if path in _OPEN:
        return
    operation["security"] = [{"token": []}]
    for status in _statuses(path, method, operation):
        responses[str(int(status))] = {
            "description": _SAID[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[HTTPStatus]:
    found = [
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ]  # fmt: skip
    if operation.get("parameters") or "requestBody" in operation:
        found += [HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY]
    if "{" in path or method != "get":
        found.append(HTTPStatus.CONFLICT)
    if "requestBody" in operation:
        found.append(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return sorted(found)
