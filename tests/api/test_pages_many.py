"""The dashboard over 1,000 datasets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bench.dashboard import PAGES, TARGET_MS, seed
from lake_platform.api.app import create_app
from lake_platform.settings import load_settings
from tests.api.conftest import LOCAL


def test_a_thousand_datasets_take_no_longer_than_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the processor, since others are busy on it, too; the bench has the clock's time."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    seed(load_settings(), 1_000)
    with TestClient(create_app(), base_url=LOCAL) as client:
        for path in PAGES:
            spent = []
            for _ in range(4):
                began = time.process_time()
                assert client.get(path).status_code == 200
                spent.append((time.process_time() - began) * 1000)
            assert min(spent) <= TARGET_MS, path
        assert "50 of 1,000" in client.get("/ui").text
