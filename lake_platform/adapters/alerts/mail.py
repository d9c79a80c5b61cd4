"""Alerts by e-mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from lake_platform.alerting.message import Message
from lake_platform.errors import DeliveryError, SetupError

_TIMEOUT_SECONDS = 10.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Email:
    """By SMTP. Raises: SetupError when a setting is missing."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int = 587
    user: str = ""
    password: str = field(default="", repr=False)
    security: Literal["starttls", "tls", "none"] = "starttls"
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    name: str = "email"

    def __post_init__(self) -> None:
        for value, setting in ((self.sender, "EMAIL_FROM"), (self.host, "SMTP_HOST")):
            if not value:
                raise SetupError(f"LAKE_ALERT_EMAIL_TO is set and LAKE_ALERT_{setting} is not")
        bad = [a for a in (*self.to, self.sender) if "@" not in a or set(a) & set(" \r\n<>,")]
        if bad:
            raise SetupError(f"{bad[0]!r} is no plain e-mail address: name@host, without a name")
        if self.password and self.security == "none" and self.host not in _LOOPBACK:
            raise SetupError(
                "LAKE_ALERT_SMTP_SECURITY=none would send the password in clear; use starttls or "
                "tls"
            )

    def send(self, message: Message) -> str:
        mail = self._mail(message)
        try:
            with self._open() as server:
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(mail, self.sender, list(self.to))
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise self._failed(f"{self.host} answered {error.smtp_code} {text}") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise self._failed(f"{self.host} refused {', '.join(error.recipients)}") from None
        except (smtplib.SMTPException, OSError) as error:
            why = str(error) or type(error).__name__
            raise self._failed(f"{self.host}:{self.port}: {why}") from None
        taken = len(self.to) - len(refused)
        return f"{self.host} took it for {taken} of {len(self.to)} addresses"

    @contextmanager
    def _open(self) -> Iterator[smtplib.SMTP]:
        timeout = _TIMEOUT_SECONDS
        if self.security == "tls":
            with smtplib.SMTP_SSL(
                self.host, self.port, timeout=timeout, context=self.context()
            ) as server:
                yield server
            return
        with smtplib.SMTP(self.host, self.port, timeout=timeout) as server:
            if self.security == "starttls":
                server.starttls(context=self.context())
            yield server

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"[lake] {message.title}"
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at / 1000, UTC))
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"  # no out-of-office reply
        mail.set_content("\n\n".join([message.title, *message.lines()]) + "\n")
        return mail

    def _failed(self, why: str) -> DeliveryError:
        secret = self.password
        return DeliveryError(self.name, why.replace(secret, "***") if secret else why)
