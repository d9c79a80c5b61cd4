"""Webhook, Slack and e-mail against real servers; what fails says why, and never a secret."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake_platform import compose
from lake_platform.adapters.alerts import http
from lake_platform.adapters.alerts.http import Slack, Webhook
from lake_platform.adapters.alerts.mail import Email
from lake_platform.alerting.message import Message
from lake_platform.domain.alerts import BLOCKED, LATE, Alert
from lake_platform.domain.telling import Notice
from lake_platform.embedded.ports import free_port
from lake_platform.errors import DeliveryError, SetupError
from lake_platform.settings import load_settings
from tests.receivers import http_inbox, mail_server

AT = 1_793_491_200_000
ORDERS = Alert(
    BLOCKED, "orders", "7", "table orders is BLOCKED: a < b & c\n> d", "lake incidents show 7"
)
CLICKS = Alert(LATE, "clicks", "", "table clicks is late", "lake datasets stats clicks")
MESSAGE = Message((Notice("fires", ORDERS, AT), Notice("is over", CLICKS, AT - 60_000)), AT)
SECRET = "s3cr3t-T0KEN"


def test_webhook() -> None:
    with http_inbox() as inbox:
        assert Webhook(inbox.url).send(MESSAGE) == "HTTP 200 OK: ok"
    [body] = inbox.bodies
    assert body["version"] == 1
    assert (body["test"], body["title"]) == (False, "LakeTableBlocked orders fires, and 1 more")
    assert body["alerts"][0] == {
        "key": "LakeTableBlocked/orders/7", "status": "fires", "alert": "LakeTableBlocked",
        "severity": "critical", "table": "orders", "subject": "7",
        "text": "table orders is BLOCKED: a < b & c\n> d", "remedy": "lake incidents show 7",
        "since": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    assert [a["status"] for a in body["alerts"]] == ["fires", "is over"]
    assert "authorization" not in {name.lower() for name in inbox.seen[0]}


def test_webhook_with_a_token() -> None:
    with http_inbox() as inbox:
        Webhook(inbox.url, SECRET).send(MESSAGE)
    assert inbox.seen[0]["authorization"] == f"Bearer {SECRET}"


def test_slack() -> None:
    with http_inbox("/services/T0/B0/x") as inbox:
        Slack(inbox.url).send(MESSAGE)
    [body] = inbox.bodies
    assert set(body) == {"text"}
    title, first, second = body["text"].split("\n")
    assert title == "*LakeTableBlocked orders fires, and 1 more*"
    assert "a &lt; b &amp; c &gt; d (since 2026-11-01T00:00:00Z; lake incidents show 7)" in first
    assert "LakeTableLate is over" in second


def test_many_alerts_are_one_short_message() -> None:
    many = Message([Notice("fires", CLICKS, AT)] * 1_000, AT)
    with http_inbox() as inbox:
        Slack(inbox.url).send(many)
        Webhook(inbox.url).send(many)
    slack, webhook = inbox.bodies
    assert slack["text"].count("\n") == 21
    assert slack["text"].endswith("and 980 more: lake alerts list")
    assert len(webhook["alerts"]) == 1_000


@pytest.mark.parametrize("make", [Webhook, Slack])
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 302])
def test_what_is_not_taken_says_so_without_the_address(make: Any, status: int) -> None:
    with http_inbox(f"/services/{SECRET}?key={SECRET}") as inbox, http_inbox() as elsewhere:
        inbox.status, inbox.answer = status, "no_service for {path}"
        inbox.headers = {"location": elsewhere.url}
        with pytest.raises(DeliveryError) as caught:
            make(inbox.url).send(MESSAGE)
        said = str(caught.value)
        assert f"HTTP {status}" in said
        assert "no_service for" in said
        assert SECRET not in said
        assert not elsewhere.bodies, "a redirect was followed"


def test_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TIMEOUT", httpx.Timeout(0.2))
    with http_inbox(f"/{SECRET}") as inbox:
        inbox.stalled.clear()
        with pytest.raises(DeliveryError, match="did not answer in time") as caught:
            Webhook(inbox.url).send(MESSAGE)
        inbox.stalled.set()
    assert SECRET not in str(caught.value)
    with pytest.raises(DeliveryError, match="could not be reached") as caught:
        Webhook(f"http://u:{SECRET}@127.0.0.1:{free_port()}/{SECRET}").send(MESSAGE)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["", "hooks.slack.com/x", "ftp://a/b", "http://", "http://[", "x"])
def test_no_url(url: str) -> None:
    for make, setting in ((Webhook, "LAKE_ALERT_WEBHOOK_URL"), (Slack, "LAKE_ALERT_SLACK_URL")):
        with pytest.raises(SetupError, match=setting):
            make(url)


def test_email() -> None:
    with mail_server() as box:
        email = Email(
            ("a@x.test", "b@x.test"), "lake@x.test", "127.0.0.1", box.port, security="none"
        )
        assert email.send(MESSAGE) == "127.0.0.1 took it for 2 of 2 addresses"
    [mail] = box.mails
    assert mail["Subject"] == "[lake] LakeTableBlocked orders fires, and 1 more"
    assert (mail["From"], mail["To"]) == ("lake@x.test", "a@x.test, b@x.test")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "lake incidents show 7" in mail.get_content()
    assert len(box.recipients) == 2


def test_email_in_the_title_no_header_is_forged() -> None:
    evil = Alert(LATE, "t\r\nBcc: x@evil.test", "", "late", "look")
    with mail_server() as box:
        email = Email(("a@x.test",), "lake@x.test", "127.0.0.1", box.port, security="none")
        email.send(Message([Notice("fires", evil, AT)], AT))
    [mail] = box.mails
    assert mail["Bcc"] is None
    assert len(box.recipients) == 1


def test_email_that_is_refused() -> None:
    with mail_server() as box:
        email = Email(
            ("a@x.test",), "lake@x.test", "127.0.0.1", box.port, "ann", SECRET, "none"
        )  # fmt: skip
        with pytest.raises(DeliveryError, match="answered 535") as caught:
            email.send(MESSAGE)
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(email)
        box.users, box.refuse = {"ann": SECRET}, "550 no such user"
        with pytest.raises(DeliveryError, match=r"refused a@x\.test"):
            email.send(MESSAGE)
    with pytest.raises(DeliveryError, match="Connection refused"):
        email.send(MESSAGE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl, home = shutil.which("openssl"), tmp_path_factory.mktemp("certificate")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext "
        "subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run([openssl, *command.split()], cwd=home, check=True, capture_output=True)
    return home


def test_email_is_encrypted_or_not_sent(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(certificate / "cert.pem"))

    to = (("a@x.test",), "lake@x.test", "127.0.0.1")
    with mail_server(server) as box:
        box.users = {"ann": SECRET}
        Email(*to, box.port, "ann", SECRET, context=trusting).send(MESSAGE)
        assert box.encrypted == [True]
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
            Email(*to, box.port, "ann", SECRET).send(MESSAGE)
    with mail_server() as plain:
        with pytest.raises(DeliveryError, match="STARTTLS"):
            Email(*to, plain.port, "ann", SECRET, context=trusting).send(MESSAGE)
        assert not plain.logins
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"LAKE_ALERT_EMAIL_FROM": ""}, "LAKE_ALERT_EMAIL_FROM is not"),
        ({"LAKE_ALERT_SMTP_HOST": ""}, "LAKE_ALERT_SMTP_HOST is not"),
        ({"LAKE_ALERT_EMAIL_TO": "nobody"}, "'nobody' is no plain e-mail address"),
        ({"LAKE_ALERT_EMAIL_TO": "A B <a@x.test>"}, "is no plain e-mail address"),
        (
            {"LAKE_ALERT_SMTP_HOST": "mail.x.test", "LAKE_ALERT_SMTP_SECURITY": "none"},
            "would send the password in clear",
        ),
    ],
)
def test_wrong_settings_fail_one_receiver(
    change: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with http_inbox() as inbox:
        for name, value in {
            "LAKE_ALERT_WEBHOOK_URL": inbox.url, "LAKE_ALERT_SLACK_URL": "no address",
            "LAKE_ALERT_EMAIL_TO": "a@x.test", "LAKE_ALERT_EMAIL_FROM": "lake@x.test",
            "LAKE_ALERT_SMTP_HOST": "127.0.0.1", "LAKE_ALERT_SMTP_PASSWORD": SECRET, **change,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        settings = load_settings(tmp_path)
        assert SECRET not in repr(settings)
        webhook, slack, email = compose.build_receivers(settings)
        assert webhook.send(MESSAGE) == "HTTP 200 OK: ok"
        with pytest.raises(DeliveryError, match="LAKE_ALERT_SLACK_URL is no http"):
            slack.send(MESSAGE)
        with pytest.raises(DeliveryError) as caught:
            email.send(MESSAGE)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
