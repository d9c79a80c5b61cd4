"""Canary secrets in every setting that may hold one appear in nothing the platform says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from lake_platform.adapters.kafka import client as kafka
from lake_platform.api.app import create_app
from lake_platform.cli.main import app
from lake_platform.settings import load_settings
from tests.api.conftest import LOCAL

CANARY = "canary-7f3a"
TOKEN = f"{CANARY}-token"
KAFKA_OPTIONS = {
    "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
    "sasl.username": "u", "sasl.password": f"{CANARY}-kafka",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")  # nothing listens there, nor at Kafka's
    monkeypatch.setenv("LAKE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("LAKE_KAFKA_OPTIONS", json.dumps(KAFKA_OPTIONS))
    monkeypatch.setenv("LAKE_API_TOKENS", json.dumps({"ann:admin": TOKEN}))


def test_api_tells_no_secret(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    with TestClient(create_app(), base_url=LOCAL, raise_server_exceptions=False) as client:
        for headers in ({}, {"authorization": f"Bearer {TOKEN}"}):
            for method, path, body in (
                ("POST", "/datasets", {"topic": "orders", "table": "t"}),
                ("POST", "/datasets", {"topic": "orders", "table": "../t"}),
                ("GET", "/datasets", None),
                ("GET", "/datasets/t", None),
                ("GET", "/health", None),
                ("GET", "/metrics", None),
                ("GET", "/audit", None),
                ("GET", "/openapi.json", None),
            ):
                reply = client.request(method, path, json=body, headers=headers)
                said.append(f"{reply.status_code} {reply.text} {reply.headers}")
    assert any(line.startswith("503") for line in said), "Kafka was not asked"
    assert any("records_ingested" in line for line in said), "metrics were not read"
    printed = capfd.readouterr()
    assert CANARY not in "\n".join([*said, printed.out, printed.err, caplog.text])


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{CANARY}@127.0.0.1:1/lake",
        f"postgresql://127.0.0.1:1/lake?user=u&password={CANARY}",
        f"mysql://u:{CANARY}@127.0.0.1:1/lake",
        f"{CANARY}",
        "",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["datasets", "add", "--topic", "orders", "--table", "t", "--json"],
        ["datasets", "list"],
        ["plan", "--definitions", "definitions"],
        ["dump", "t"],
    ],
)
def test_shell_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    url: str,
    command: list[str],
) -> None:
    monkeypatch.setenv("LAKE_METASTORE_URL", url)
    result = CliRunner().invoke(app, command)
    printed = capfd.readouterr()
    assert CANARY not in result.output + printed.out + printed.err
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_settings_do_not_show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_METASTORE_URL", f"postgresql://u:{CANARY}@h/d")
    for name in ("WEBHOOK_URL", "WEBHOOK_TOKEN", "SLACK_URL", "SMTP_USER", "SMTP_PASSWORD"):
        monkeypatch.setenv(f"LAKE_ALERT_{name}", f"https://hooks.x.test/{CANARY}")
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps({"aws_secret_access_key": CANARY}))
    monkeypatch.setenv("LAKE_SPARK_CONF", json.dumps({"spark.hadoop.fs.s3a.secret.key": CANARY}))
    settings = load_settings()
    assert CANARY not in f"{settings!r} {settings}"
