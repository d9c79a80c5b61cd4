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
