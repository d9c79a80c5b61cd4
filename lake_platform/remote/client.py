"""A client of the platform's API: its errors come back as the errors they were there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from lake_platform import errors
from lake_platform.errors import ApiUnavailableError, LakeError, NotAuthenticatedError, SetupError

_CONNECT_SECONDS = 10.0
_SECONDS = 120.0  # a registration looks at the topic, and may ask Spark about its steps
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiClient:
    def __init__(self, url: str, token: str) -> None:
        """Raises: SetupError for what is no URL of an API."""
        import httpx  # slow, and most commands ask no API

        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise SetupError(
                "LAKE_API_URL is not the address of an API; give it as https://host:port, and the "
                "token in LAKE_API_TOKEN"
            )
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            # A proxy of the machine must not get requests for 127.0.0.1.
            trust_env=parts.hostname not in _LOOPBACK,
        )

    def close(self) -> None:
        self._client.close()

    def get(self, *path: str, **query: object) -> dict[str, Any]:
        """`path`: parts, escaped here. None in `query` is not sent."""
        return self.ask("GET", path, query=query)

    def ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, object] | None = None,
        seconds: float = _SECONDS,
    ) -> dict[str, Any]:
        """The JSON object that is answered.

        Raises: the error that the API had; ApiUnavailableError.
        """
        import httpx

        asked = "/" + "/".join(quote(part, safe="") for part in path)
        sent = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        try:
            reply = self._client.request(
                method,
                asked,
                params=sent,
                json=None if body is None else dict(body),
                timeout=httpx.Timeout(seconds, connect=_CONNECT_SECONDS),
            )
        except httpx.HTTPError as error:
            raise ApiUnavailableError(
                self.url, f"did not answer: {type(error).__name__}: {error}"
            ) from None
        try:
            found = reply.json()
        except ValueError:
            found = None
        if not isinstance(found, dict) or (reply.is_error and "error" not in found):
            what = f"answered {reply.status_code} with something that is not this API's"
            raise ApiUnavailableError(self.url, what)
        if found.get("error") == "HTTPException":
            what = f"has no {method} {asked}: another release, or the path in LAKE_API_URL"
            raise ApiUnavailableError(self.url, what)
        if reply.is_error:
            raise _error(found)
        return found


def _text(value: object) -> str | list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(found: Mapping[str, Any]) -> LakeError:
    name, message = str(found["error"]), str(found.get("message"))
    kind = getattr(errors, name, None)
    if kind is NotAuthenticatedError:
        message = "the API at LAKE_API_URL needs a token it knows; set LAKE_API_TOKEN"
    if not (isinstance(kind, type) and issubclass(kind, LakeError)):
        kind = LakeError
    error = kind.__new__(kind)
    error.args = (message,)
    error.__dict__.update({n: found.get(n) for n in ("field", "value", "reason", "remedy")})
    return error
