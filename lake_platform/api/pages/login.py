"""Log in with an API token, log out."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from lake_platform.api.pages.render import STATIC, Pages, page
from lake_platform.api.pages.routing import pages
from lake_platform.api.pages.session import COOKIE, PATH, Form, OpenForm, check_origin
from lake_platform.errors import NotAuthenticatedError

router = pages()
_KINDS = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@router.get("/login")
def ask(request: Request, next: str = PATH) -> HTMLResponse:
    return page(request, "login.html", None, next=_ours(next), refused="")


@router.post("/login")
def log_in(request: Request, fields: OpenForm) -> Response:
    check_origin(request)
    found: Pages = request.app.state.pages
    behind = _ours(fields.get("next", PATH))
    answer = RedirectResponse(behind, HTTPStatus.SEE_OTHER)
    if not found.sessions.tokens.callers:
        return answer
    secure = request.url.scheme == "https"
    try:
        found.sessions.begin(fields.get("token", ""), answer, secure=secure)
    except NotAuthenticatedError:
        return page(
            request, "login.html", None, HTTPStatus.UNAUTHORIZED, next=behind,
            refused="The API does not know this token.",
        )  # fmt: skip
    return answer


@router.post("/logout")
def log_out(_fields: Form) -> Response:
    answer = RedirectResponse(f"{PATH}/login", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")
    return answer


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Their addresses change with what is in them."""
    if name not in STATIC:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(STATIC[name], media_type=_KINDS[name.rpartition(".")[2]], headers=headers)


def _ours(address: str) -> str:
    """Never to another site after a login."""
    parts = urlsplit(address)
    plain = not parts.scheme and not parts.netloc and "\\" not in address and address.isprintable()
    return (
        address
        if plain and (address == PATH or address.startswith((f"{PATH}/", f"{PATH}?")))
        else PATH
    )
