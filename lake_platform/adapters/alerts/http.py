"""Receivers that are reached by HTTP: any webhook, and Slack's."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import httpx

from lake_platform.alerting.message import Message
from lake_platform.errors import DeliveryError, SetupError

_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_LONGEST_ANSWER = 200
_SHORTEST_SECRET = 4


class _Unsaid(logging.Filter):
    """httpx logs the whole address of each request, which is the secret here."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return not any(address in said for address in self.addresses)


_unsaid = _Unsaid()
logging.getLogger("httpx").addFilter(_unsaid)


class Webhook:
    """A JSON POST. 2xx is taken, anything else is tried again; redirects are not followed: they
    could lead anywhere."""

    name = "webhook"
    setting = "LAKE_ALERT_WEBHOOK_URL"

    def __init__(self, url: str, token: str = "") -> None:  # empty: none is sent  # nosec B107
        """Raises: SetupError."""
        try:
            parts, split = httpx.URL(url), urlsplit(url)
        except (httpx.InvalidURL, ValueError):
            parts, split = httpx.URL(""), urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise SetupError(f"{self.setting} is no http(s) URL; set it to the whole address")
        self._url, self._token = url, token
        # As given and as httpx writes it.
        secrets = [
            url, str(parts), token, split.path, split.query, parts.username, parts.password,
            *(s for s in split.path.split("/") if len(s) >= _SHORTEST_SECRET),
        ]  # fmt: skip
        self._secrets = sorted(
            {s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True
        )
        self._host = parts.host
        _unsaid.addresses |= {url, str(parts)}

    def send(self, message: Message) -> str:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = httpx.post(
                self._url, json=self.body(message), headers=headers, timeout=_TIMEOUT
            )
        except httpx.TimeoutException:
            raise self._failed(f"{self._host} did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = self._clean(str(error)) or type(error).__name__
            raise self._failed(f"{self._host} could not be reached: {why}") from None
        said = f"HTTP {answer.status_code} {answer.reason_phrase}".strip()
        if text := self._clean(" ".join(answer.text.split()))[:_LONGEST_ANSWER]:
            said = f"{said}: {text}"
        if not answer.is_success:
            raise self._failed(f"{self._host} answered {said}; check {self.setting}")
        return said

    def body(self, message: Message) -> dict[str, Any]:
        return message.plain()

    def _failed(self, why: str) -> DeliveryError:
        return DeliveryError(self.name, why)

    def _clean(self, text: str) -> str:
        """A server may say back what it was asked; the address may be the secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class Slack(Webhook):
    """Slack's incoming webhooks, and what takes the same (Mattermost, Rocket.Chat)."""

    name = "slack"
    setting = "LAKE_ALERT_SLACK_URL"

    def body(self, message: Message) -> dict[str, Any]:
        # mrkdwn knows three special characters; names and errors may hold them.
        lines = [f"*{escaped(message.title)}*", *map(escaped, message.lines())]
        return {"text": "\n".join(lines)}


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
