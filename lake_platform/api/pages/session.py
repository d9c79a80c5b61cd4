"""Who uses the pages: a login with an API token gives a cookie that is signed with that token.

The cookie holds when it ends, a nonce and a signature, never the token. Nothing is kept here, so a
restart logs nobody out, and a token that is taken out of the settings ends its sessions.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request, Response

from lake_platform.api.security import Caller, Role, Tokens, check_local, need
from lake_platform.domain.ports import Clock
from lake_platform.errors import BodyTooLargeError, InvalidFieldError, NotAllowedError

COOKIE = "lake_session"
PATH = "/ui"
SECONDS = 12 * 3600
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 << 10
_MOST_FIELDS = 1_000


class LoginNeededError(Exception):
    """Nobody is logged in, and the API has tokens."""


@dataclass(frozen=True, slots=True)
class Session:
    """`form_token` proves that a form came from a page of ours; `ends`: there is one to log out
    of."""

    caller: Caller
    form_token: str
    ends: bool

    def may(self, role: str) -> bool:
        return self.caller.role >= Role[role]


@dataclass(frozen=True, slots=True)
class Sessions:
    tokens: Tokens
    clock: Clock
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def begin(self, token: str, response: Response, *, secure: bool) -> Caller:
        """Raises: NotAuthenticatedError."""
        caller = self.tokens.caller(f"Bearer {token}")
        payload = f"{self.clock() + SECONDS * 1000}.{secrets.token_urlsafe(16)}"
        cookie = f"{payload}.{_signed(token.strip().encode(), 'session', payload)}"
        response.set_cookie(
            COOKIE, cookie, max_age=SECONDS, path=PATH, secure=secure, httponly=True,
            samesite="strict",
        )  # fmt: skip
        return caller

    def of(self, request: Request) -> Session:
        """Raises: LoginNeededError, NotAllowedError."""
        if not self.tokens.callers:
            check_local(request)
            return Session(self.tokens.caller(""), _signed(self._secret, "form", ""), ends=False)
        cookie = request.cookies.get(COOKIE, "")
        payload, _, signature = cookie.rpartition(".")
        found: tuple[bytes, Caller] | None = None
        for secret, caller in self.tokens.callers:  # all of them, so that time tells nothing
            if hmac.compare_digest(
                _signed(secret, "session", payload).encode(), signature.encode()
            ):
                found = secret, caller
        ends = payload.partition(".")[0]
        if found is None or int(ends) < self.clock():  # signed by us, so it is a number
            raise LoginNeededError
        return Session(found[1], _signed(found[0], "form", cookie), ends=True)


def _signed(secret: bytes, purpose: str, text: str) -> str:
    return hmac.digest(secret, f"lake pages {purpose} {text}".encode(), "sha256").hex()


def session(request: Request) -> Session:
    sessions: Sessions = request.app.state.pages.sessions
    return sessions.of(request)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, each once. Raises: BodyTooLargeError, InvalidFieldError."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _FORM:
        raise InvalidFieldError("content-type", kind, "not a form", f"send {_FORM}")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_BYTES:
            raise BodyTooLargeError(_MOST_BYTES)
    try:
        fields = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidFieldError("body", None, "not the fields of a form", "mend it") from None
    return dict(fields)


def check_origin(request: Request) -> None:
    """A form that another site's page sends. Raises: NotAllowedError."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    foreign = origin is not None and urlsplit(origin).netloc != host
    if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise NotAllowedError(
            f"a page of {origin or 'another site'!r} may not change anything here"
        )


def checked_form(
    request: Request,
    who: Annotated[Session, Depends(session)],
    fields: Annotated[dict[str, str], Depends(form)],
) -> dict[str, str]:
    """Of a form that one of our pages gave to this session. Raises: NotAllowedError."""
    check_origin(request)
    if not hmac.compare_digest(fields.get(FORM_TOKEN, "").encode(), who.form_token.encode()):
        raise NotAllowedError("the form is of another session; load the page again and repeat it")
    return fields


def _viewer(who: Annotated[Session, Depends(session)]) -> Session:
    need(Role.viewer, who.caller)
    return who


def _editor(who: Annotated[Session, Depends(session)]) -> Session:
    need(Role.editor, who.caller)
    return who


def _admin(who: Annotated[Session, Depends(session)]) -> Session:
    need(Role.admin, who.caller)
    return who


Viewer = Annotated[Session, Depends(_viewer)]
Editor = Annotated[Session, Depends(_editor)]
Admin = Annotated[Session, Depends(_admin)]
Form = Annotated[dict[str, str], Depends(checked_form)]
OpenForm = Annotated[Mapping[str, str], Depends(form)]
