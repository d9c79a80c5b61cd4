"""Who may do what: bearer tokens with roles, or an open API that only this machine can reach."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from lake_platform import compose
from lake_platform.errors import NotAllowedError, NotAuthenticatedError, SetupError
from lake_platform.settings import Settings

_READING = frozenset(["GET", "HEAD", "OPTIONS"])


class Role(IntEnum):
    """viewer reads; editor also changes datasets; admin also retires and accepts gaps."""

    viewer = 1
    editor = 2
    admin = 3


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Tokens:
    """Known tokens. Without any, everybody who reaches the API is admin."""

    callers: tuple[tuple[bytes, Caller], ...]

    @classmethod
    def from_settings(cls, settings: Settings) -> Tokens:
        """Raises: SetupError, naming the entry, never the token."""
        callers = []
        for entry, token in settings.api_tokens.items():
            secret = compose.secret(token, f"LAKE_API_TOKENS[{entry}]")
            name, _, role = entry.rpartition(":")
            if not name or role not in Role.__members__ or not secret:
                raise SetupError(
                    f"api_tokens entry {entry!r}: give '<name>:<role>' with role viewer, editor or "
                    f"admin, and a token that is not empty"
                )
            callers.append((secret.encode(), Caller(name, Role[role])))
        return cls(tuple(callers))

    def caller(self, authorization: str) -> Caller:
        """Raises: NotAuthenticatedError."""
        if not self.callers:
            return Caller("local", Role.admin)
        scheme, _, token = authorization.partition(" ")
        found = None
        for secret, caller in self.callers:  # all of them, so that time tells nothing
            if hmac.compare_digest(secret, token.strip().encode()):
                found = caller
        if found is None or scheme.lower() != "bearer":
            raise NotAuthenticatedError(
                "this API needs a token it knows; send the header Authorization: Bearer <token>"
            )
        return found


def check_bind(settings: Settings) -> None:
    """Raises: SetupError when the API would be open to other machines without tokens."""
    if settings.api_tokens or _loopback(settings.api_host):
        return
    raise SetupError(
        f"api_host={settings.api_host!r} is reachable from other machines and no tokens are set; "
        f"set LAKE_API_TOKENS, or bind 127.0.0.1"
    )


def caller(request: Request) -> Caller:
    """Who asks. An open API also refuses what a web page in a browser could send to it."""
    tokens: Tokens = request.app.state.tokens
    if not tokens.callers:
        check_local(request)
    return tokens.caller(request.headers.get("authorization", ""))


def check_local(request: Request) -> None:
    """What a browser may send to an API without tokens. Raises: NotAllowedError."""
    host = request.headers.get("host", "")
    if not _loopback(urlsplit(f"//{host}").hostname or ""):
        raise NotAllowedError(
            f"host {host!r} is not this machine and the API has no tokens; set LAKE_API_TOKENS"
        )
    origin = request.headers.get("origin")
    if origin and request.method not in _READING and urlsplit(origin).netloc != host:
        raise NotAllowedError(f"a page of {origin!r} may not change anything here")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def need(role: Role, who: Caller) -> Caller:
    """Raises: NotAllowedError."""
    if who.role < role:
        raise NotAllowedError(f"{who.name} is {who.role.name}; this needs the role {role.name}")
    return who


def viewer(who: Annotated[Caller, Depends(caller)]) -> Caller:
    return need(Role.viewer, who)


def editor(who: Annotated[Caller, Depends(caller)]) -> Caller:
    return need(Role.editor, who)


def admin(who: Annotated[Caller, Depends(caller)]) -> Caller:
    return need(Role.admin, who)


Viewer = Annotated[Caller, Depends(viewer)]
Editor = Annotated[Caller, Depends(editor)]
Admin = Annotated[Caller, Depends(admin)]
