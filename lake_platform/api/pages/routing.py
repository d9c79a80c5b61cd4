"""How a page answers: headers that let nothing else in, and errors as a page for people."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from lake_platform.api.errors import invalid_request, status_of, unforeseen
from lake_platform.api.pages.render import HEADERS, page
from lake_platform.api.pages.session import PATH, LoginNeededError, Session, session
from lake_platform.errors import LakeError, NotAllowedError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except LoginNeededError:
                response = _to_login(request)
            except RequestValidationError as error:
                response = _failed(request, invalid_request(error))
            except (LakeError, HTTPException) as error:
                response = _failed(request, error)
            except Exception as error:
                response = _failed(request, unforeseen(error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return answer


def pages() -> APIRouter:
    return APIRouter(prefix=PATH, route_class=PageRoute, include_in_schema=False)


def _to_login(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    behind = request.url.path + query if request.method == "GET" else PATH
    return RedirectResponse(f"{PATH}/login?next={quote(behind, safe='')}", HTTPStatus.SEE_OTHER)


def _failed(request: Request, error: Exception) -> HTMLResponse:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else status_of(error)
    message = str(error.detail) if isinstance(error, HTTPException) else str(error)
    return page(
        request, "error.html", _known(request), status, status=status, message=message,
        kind=type(error).__name__, back=_back(request),
    )  # fmt: skip


def _known(request: Request) -> Session | None:
    try:
        return session(request)
    except (LoginNeededError, NotAllowedError):
        return None


def _back(request: Request) -> str:
    """Of a form's address: the page that has the form."""
    parts = request.url.path.split("/")
    return "/".join(parts[:4]) if request.method == "POST" and len(parts) > 4 else PATH
