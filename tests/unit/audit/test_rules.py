"""Records that rules put aside are in one place for the audit too, after a replay as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Rule
from tests.audit_support import copy_of, parquet_lab


@pytest.mark.parametrize("deep", [False, True])
def test_the_audit_of_a_table_with_rules(tmp_path: Path, deep: bool) -> None:
    rules = (
        Rule(column="id", max=3, policy="quarantine"),
        Rule(column="id", unique=True, policy="quarantine"),
    )  # fmt: skip
    lab = parquet_lab(tmp_path / "lab", rules=rules)
    lab.send_all([{"id": n % 6} for n in range(12)])
    [result] = lab.cycle()
    assert dict(result.quarantined) == {
        "breaks the rule id.max": 4, "breaks the rule id.unique": 4,
    }  # fmt: skip
    report = copy_of(lab, tmp_path / "one").audit(deep=deep)
    assert report.sound, report
    assert (report.total.table, report.total.quarantined) == (4, 8)
    change: dict[str, Any] = {"rules": [{"column": "id", "min": 1, "policy": "quarantine"}]}
    lab.metastore.update("t", change, 1, "test")
    lab.load(replay=list(result.windows))
    report = copy_of(lab, tmp_path / "two").audit(deep=deep)
    assert report.sound, report
    assert (report.total.table, report.total.quarantined) == (10, 2)
    lab.close()
