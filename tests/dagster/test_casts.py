"""The check of what casts lose: of a run's batches, or of the newest that are on record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from assets.casts import casts_of
from assets.checks import check_names
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from tests.support import Lab

LOST = {
    "n": Lost(4, 1, {"partition": 0, "offset": 3, "value": "n/a"}),
    "d": Lost(4, 0),
}


@pytest.fixture
def lab(tmp_path: Any) -> Any:
    lab = Lab(tmp_path)
    lab.register()
    yield lab
    lab.close()


def test_only_where_there_are_steps() -> None:
    plain = Dataset(topic="t", table="t")
    assert "casts" not in check_names(plain)
    assert "casts" in check_names(replace(plain, transforms=(Transform(sql="SELECT 1"),)))


def test_of_a_run_and_of_what_is_on_record(lab: Lab) -> None:
    lab.send({"id": 1})
    [result] = lab.cycle()
    found = casts_of("t", [replace(result, lost=LOST)], ())
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "casts made NULL of values of n, in 1 batches"
    table = found.metadata["lost_by_cast"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [r.data for r in table.records] == [
        {"column": "n", "rows": 4, "lost": 1, "share": 0.25, "value": "n/a", "record": "p0/3"}
    ]
    [batch] = lab.metastore.batches("t")
    found = casts_of("t", (), [replace(batch, lost={"n": 1, "d": 0}), replace(batch, lost=None)])
    assert not found.passed
    assert found.metadata["batches_not_counted"] == dg.IntMetadataValue(1)
    found = casts_of("t", (), [replace(batch, lost={"n": 0})])
    assert (found.passed, found.description) == (True, "no value lost in 1 batches")
