"""The sessions of the dashboard, by themselves."""

from __future__ import annotations

import pytest
from fastapi import Request, Response

from lake_platform.api.pages.session import COOKIE, SECONDS, LoginNeededError, Sessions
from lake_platform.api.security import Caller, Role, Tokens
from lake_platform.errors import NotAuthenticatedError

ANN, ED = Caller("ann", Role.admin), Caller("ed", Role.editor)
TOKENS = Tokens(((b"tok-ann", ANN), (b"tok-ed", ED)))


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


def begun(sessions: Sessions, token: str) -> str:
    response = Response()
    sessions.begin(token, response, secure=False)
    return response.headers["set-cookie"].partition("=")[2].partition(";")[0]


def asked(cookie: str) -> Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    return Request({"type": "http", "method": "GET", "headers": headers})


def test_it_ends_after_its_time() -> None:
    clock = Clock()
    sessions = Sessions(TOKENS, clock)
    cookie = begun(sessions, "tok-ed")
    clock.now += SECONDS * 1000
    assert sessions.of(asked(cookie)).caller == ED
    clock.now += 1
    with pytest.raises(LoginNeededError):
        sessions.of(asked(cookie))


def test_two_sessions_share_nothing() -> None:
    sessions = Sessions(TOKENS, Clock())
    cookies = [begun(sessions, token) for token in ("tok-ed", "tok-ed", "tok-ann")]
    found = [sessions.of(asked(cookie)) for cookie in cookies]
    assert [s.caller for s in found] == [ED, ED, ANN]
    assert len({*cookies, *(s.form_token for s in found)}) == 6


def test_a_token_that_is_gone_ends_its_sessions() -> None:
    clock = Clock()
    cookie = begun(Sessions(TOKENS, clock), "tok-ed")
    for callers in (((b"tok-ann", ANN),), ((b"tok-new", ED),)):
        with pytest.raises(LoginNeededError):
            Sessions(Tokens(callers), clock).of(asked(cookie))


def test_no_token_is_no_session() -> None:
    with pytest.raises(NotAuthenticatedError):
        begun(Sessions(TOKENS, Clock()), "")
