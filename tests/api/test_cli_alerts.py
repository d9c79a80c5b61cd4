"""`lake alerts list` and `lake alerts test`."""

from __future__ import annotations

import pytest

from lake_platform.domain.alerts import CHECK_FAILED, Alert
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.telling import HeldAlert, ReceiverState
from lake_platform.metastore.repository import Repository
from tests.api.test_cli import Lake, data, kafka, lake, store  # noqa: F401 - fixtures
from tests.receivers import http_inbox, mail_server

SECRET = "s3cr3t-T0KEN"


@pytest.fixture
def blocked(store: Repository) -> Repository:  # noqa: F811
    store.register(Dataset(topic="orders", table="orders"), None, "ann")
    store.block("orders", (), "b1", (), "engine", "the disk is on fire")
    return store


def test_nothing(lake: Lake, store: Repository) -> None:  # noqa: F811, ARG001 - makes it
    said = lake("alerts", "list")
    assert said.exit_code == 0
    assert "no alert fires" in said.stdout
    assert "no receiver is set, so nobody is told" in said.stdout
    assert "has not looked yet" in said.stdout


def test_what_fires_is_listed_whether_the_sensor_looked_or_not(
    lake: Lake,  # noqa: F811
    blocked: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAKE_ALERT_SLACK_URL", f"https://hooks.x.test/{SECRET}")
    said = lake("alerts", "list")
    assert "LakeTableBlocked" in said.stdout
    assert "lake incidents show 1" in said.stdout
    assert "slack: nothing sent yet; try it: lake alerts test" in said.stdout
    [alert] = (found := data(lake("alerts", "list", "--json")))["alerts"]
    assert (alert["table"], alert["subject"], alert["over_at"]) == ("orders", "1", None)
    assert "the disk is on fire" in alert["text"]
    assert found["looked_at"] is None
    blocked.keep_receiver(ReceiverState("slack", failing_since=5, error="HTTP 404"))
    assert (
        "slack: not delivered since 1970-01-01 00:00:00: HTTP 404" in lake("alerts", "list").stdout
    )
    blocked.resume("orders", "ann")
    assert data(lake("alerts", "list", "--json"))["alerts"] == []


def test_what_only_dagster_sees_comes_from_the_record(
    lake: Lake,  # noqa: F811
    store: Repository,  # noqa: F811
) -> None:
    audit = Alert(CHECK_FAILED, "orders", "audit", "3 lost", "lake audit orders")
    gone = Alert(CHECK_FAILED, "orders", "balance", "x", "y")
    store.keep_alerts([HeldAlert(audit, 5, told={"slack": 6}), HeldAlert(gone, 1, 2, 3)])
    [alert] = data(lake("alerts", "list", "--json"))["alerts"]
    assert (alert["subject"], alert["since"], alert["told"]) == ("audit", 5, {"slack": 6})
    both = data(lake("alerts", "list", "--all", "--json"))["alerts"]
    assert [a["over_at"] for a in both] == [None, 3]


def test_test_says_what_each_receiver_answered(
    lake: Lake,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = lake("alerts", "test")
    assert nothing.exit_code == 1
    assert "no receiver of alerts is set; set LAKE_ALERT_WEBHOOK_URL" in nothing.stderr
    with http_inbox() as webhook, http_inbox(f"/{SECRET}") as slack, mail_server() as box:
        monkeypatch.setenv("LAKE_ALERT_WEBHOOK_URL", webhook.url)
        monkeypatch.setenv("LAKE_ALERT_SLACK_URL", slack.url)
        monkeypatch.setenv("LAKE_ALERT_EMAIL_TO", "a@x.test, b@x.test")
        monkeypatch.setenv("LAKE_ALERT_EMAIL_FROM", "lake@x.test")
        monkeypatch.setenv("LAKE_ALERT_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("LAKE_ALERT_SMTP_PORT", str(box.port))
        monkeypatch.setenv("LAKE_ALERT_SMTP_SECURITY", "none")
        said = lake("alerts", "test")
        assert said.exit_code == 0, said.output
        assert said.stdout.splitlines() == [
            "webhook: HTTP 200 OK: ok",
            "slack: HTTP 200 OK: ok",
            "email: 127.0.0.1 took it for 2 of 2 addresses",
        ]
        slack.status, slack.answer = 404, "no team {path}"
        failed = lake("alerts", "test", "--json")
    assert failed.exit_code == 1
    assert SECRET not in failed.output
    assert '"receiver": "slack", "ok": false' in failed.stdout
    assert "HTTP 404 Not Found: no team ***" in failed.stdout
    assert webhook.bodies[0]["test"] is True
    assert "test message" in slack.bodies[0]["text"]
    assert len(box.mails) == 2
