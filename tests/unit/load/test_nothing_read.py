"""First records of which none says what columns there are, of tables whose definition needs some:
they wait for one that does; too many bad ones stop the table as bad ones do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.errors import QuarantineRatioError
from tests.support import Lab

NOT_JSON = "not one valid JSON document"
NEEDY: dict[str, dict[str, Any]] = {
    "upsert": {"mode": "upsert", "primary_key": ("id",)},
    "ordered": {"mode": "upsert", "primary_key": ("id",), "ordering_field": "v"},
    "partitioned": {"partition_by": ("day",)},
    "envelope": {"mode": "upsert", "primary_key": ("id",), "envelope": "debezium"},
}
ROW = {"id": 1, "v": 2, "day": "a"}
EVENT = {"op": "c", "before": None, "after": ROW, "source": {"ts_ms": 1}}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def send_first(lab: Lab, kind: str) -> None:
    lab.send(EVENT if kind == "envelope" else ROW, key=b'{"id": 1}')


@pytest.mark.parametrize("kind", NEEDY)
def test_bad_ones_wait_for_the_first_record(lab: Lab, kind: str) -> None:
    lab.register(**NEEDY[kind])
    for _ in range(3):
        lab.send(b"{", reason=NOT_JSON)
    for _ in range(2):
        lab.dump()
        assert lab.load() == []
    assert "they wait for one that does" in lab.metastore.progress("t").load_error
    assert lab.metastore.active_schema("t") is None
    send_first(lab, kind)
    lab.cycle()
    assert lab.metastore.progress("t").load_error == ""
    assert [row["id"] for row in lab.plain_rows()] == [1]
    assert len(lab.quarantined()) == 3


@pytest.mark.parametrize("kind", ["upsert", "ordered"])
def test_tombstones_wait_too(lab: Lab, kind: str) -> None:
    lab.register(**NEEDY[kind])
    lab.send(None, key=b'{"id": 1}')
    lab.dump()
    assert lab.load() == []
    assert lab.metastore.progress("t").load_error_kind == "NoRecordYetError"
    send_first(lab, kind)
    lab.cycle()
    assert [row["id"] for row in lab.plain_rows()] == [1]


@pytest.mark.parametrize("kind", NEEDY)
def test_too_many_bad_ones_are_told_as_such_and_the_remedy_works(lab: Lab, kind: str) -> None:
    lab.register(**NEEDY[kind])
    for _ in range(20):
        lab.send(b"{", reason=NOT_JSON)
    lab.dump()
    with pytest.raises(QuarantineRatioError, match=r"20 of 20 .* max_quarantine_ratio=1\.0"):
        lab.load()
    assert lab.metastore.progress("t").load_error_kind == "QuarantineRatioError"
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    use_cases.change_dataset("t", {"max_quarantine_ratio": 1.0}, 1, "test")
    assert lab.load() == []
    send_first(lab, kind)
    bad, good = lab.cycle()
    assert (bad.applied.balance.quarantined, good.applied.balance.written) == (20, 1)
