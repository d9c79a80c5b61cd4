"""Settings that cannot be are one sentence that names the setting and shows no value."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.errors import SetupError
from lake_platform.settings import load_settings

CANARY = "canary-secret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", CANARY),
        ("API_PORT", "0"),
        ("DAGSTER_PORT", "70000"),
        ("KAFKA_BOOTSTRAP", ""),
        ("KAFKA_OPTIONS", CANARY),
        ("KAFKA_OPTIONS", f'["{CANARY}"]'),
        ("KAFKA_OPTIONS", f'{{"sasl.password": ["{CANARY}"]}}'),
        ("API_TOKENS", f'{{"a:admin": "{CANARY}"'),
        ("SLICE_BYTES", "0"),
        ("SLICE_RECORDS", "-1"),
        ("BATCH_BYTES", "0"),
        ("LOAD_BUDGET_SECONDS", "0"),
        ("CLAIM_LEASE_SECONDS", "-1"),
        ("RAW_RETENTION_DAYS", "-1"),
        ("LOG_KEEP_COMMITS", "0"),
    ],
)
def test_wrong_value_names_the_setting_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"LAKE_{name}", value)
    with pytest.raises(SetupError, match=f"LAKE_{name}") as caught:
        load_settings(tmp_path)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_settings_file_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(SetupError, match=r"settings\.json"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("LAKE_KAFKA_BOOTSTAP", "LAKE_KAFKA_BOOTSTRAP"), ("LAKE_STORAGE", "LAKE_STORAGE_URL"),
        ("LAKE_XYZ", "take it away"),
    ],
)  # fmt: skip
def test_a_misspelt_variable_is_no_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, near: str
) -> None:
    monkeypatch.setenv(name, "canary-secret")
    with pytest.raises(SetupError, match=f"{name} is in the environment.*{near}") as caught:
        load_settings(tmp_path)
    assert "canary" not in str(caught.value)


def test_a_misspelt_name_in_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"kafka_bootstap": "x:1"}')
    with pytest.raises(SetupError, match=r"settings.json has kafka_bootstap.*kafka_bootstrap\?"):
        load_settings(tmp_path)


def test_every_setting_may_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_STACK_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_TEST_X", "1")
    monkeypatch.setenv("LAKE_SPARK_MASTER", "local[1]")
    assert load_settings(tmp_path).spark_master == "local[1]"
