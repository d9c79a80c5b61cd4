"""`lake datasets query` and `lake catalog` over tables on a real S3 server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lake_platform.cli.main import app
from tests.audit_support import parquet_lab, without_spark
from tests.contract.seaweed import s3_url
from tests.glue_server import aws_keys, glue_client, glue_url
from tests.integration.s3_copy import Server, put_all

__all__ = ["aws_keys", "glue_client", "glue_url", "s3_url"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture
def root(tmp_path: Path, s3_url: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where on S3 the table lies; the settings are those of a platform that wrote it there."""
    without_spark(monkeypatch)
    lab = parquet_lab(tmp_path / "home", source=None, partition_by=("day",), catalog="glue")
    lab.send_all([{"id": n, "day": f"d{n % 3}"} for n in range(12)])
    lab.cycle()
    lab.send({"id": 12, "day": "d 3/ü", "new": 1.5})
    lab.cycle()
    lab.close()
    url, options = put_all(tmp_path / "home" / "storage", s3_url), dict(s3_url[1])
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_STORAGE_URL", url)
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", json.dumps(options))
    return url


def lake(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_table_on_s3_is_read_with_the_platforms_own_settings(root: str) -> None:
    assert root.startswith("s3://")
    sql = "SELECT day, count(*), sum(new) FROM t GROUP BY day ORDER BY day DESC"
    result = lake("datasets", "query", "t", sql, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == [
        ["d2", 4, None], ["d1", 4, None], ["d0", 4, None], ["d 3/ü", 1, 1.5]
    ]  # fmt: skip


def test_a_key_that_is_refused_is_named(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert root
    options: dict[str, str] = json.loads(_option())
    wrong = json.dumps(options | {"secret_access_key": "canary-of-nobody"})
    monkeypatch.setenv("LAKE_STORAGE_OPTIONS", wrong)
    result = lake("datasets", "query", "t", "SELECT 1")
    assert result.exit_code == 1
    assert "refuses the access key" in result.stderr
    assert "canary" not in result.output


def _option() -> str:
    import os

    return os.environ["LAKE_STORAGE_OPTIONS"]


def test_glue_has_the_locations_as_its_engines_read_them(
    root: str, glue_client: Any, glue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_GLUE_ENDPOINT_URL", glue_url)
    monkeypatch.setenv("LAKE_GLUE_DATABASE", "on_s3")
    assert lake("catalog", "sync", "t").exit_code == 0
    table = glue_client.get_table(DatabaseName="on_s3", Name="t")["Table"]
    assert table["StorageDescriptor"]["Location"] == f"{root}/lake/t"
    found = glue_client.get_partitions(DatabaseName="on_s3", TableName="t")["Partitions"]
    held = {p["Values"][0]: p["StorageDescriptor"]["Location"] for p in found}
    assert set(held) == {"d0", "d1", "d2", "d 3/ü"}
    assert held["d0"] == f"{root}/lake/t/lake_part_day=d0"
    assert held["d 3/ü"].startswith(f"{root}/lake/t/lake_part_day=d 3%2F")
    assert lake("catalog", "check", "t").exit_code == 0
